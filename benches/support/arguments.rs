//! The arguments of a bench that counts.
use super::cases::{CASES, Case, HARNESS, LARGE};
use std::env;

pub(crate) struct Arguments {
    /// Names of cases, or what stands before the slash; all cases but the large ones if there are none.
    names: Vec<String>,
    /// Ceilings are to be set anew.
    pub(crate) set: bool,
}

impl Arguments {
    /// `None` if this is no `cargo bench`, but a test run that only wants to know whether it starts.
    pub(crate) fn read() -> Option<Self> {
        let (flags, names): (Vec<_>, Vec<_>) =
            env::args().skip(1).partition(|argument| argument.starts_with("--"));
        let has = |flag: &str| flags.iter().any(|given| given == flag);
        has("--bench").then(|| Self { names, set: has("--set") })
    }

    /// The harness first, then what is wanted.
    pub(crate) fn cases(&self) -> Vec<&'static Case> {
        let is_named = |case: &Case| self.names.iter().any(|name| case.name == name);
        let is_wanted = |case: &Case| {
            let group = case.name.split('/').next();
            case.name == HARNESS || self.names.iter().any(|name| group == Some(name))
        };
        let usual = CASES.iter().filter(|case| is_named(case) || is_wanted(case));
        let large = LARGE.iter().filter(|case| is_named(case));
        if self.names.is_empty() { CASES.iter().collect() } else { usual.chain(large).collect() }
    }
}

pub(crate) fn find(name: &str) -> &'static Case {
    CASES.iter().chain(LARGE).find(|case| case.name == name).expect("a case of this name")
}
