//! All tests with one policy.
use crate::{
    definition::{Case, Kind},
    expected::Expected,
    outcome::{Outcome, Verdict},
    replay::replay,
};
use std::sync::{Arc, OnceLock};
use tower_cdn::CachePolicy;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    Rfc9111,
    Default,
}

impl Preset {
    pub(crate) const ALL: [Self; 2] = [Self::Rfc9111, Self::Default];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rfc9111 => "rfc9111",
            Self::Default => "default",
        }
    }

    fn policy(self) -> CachePolicy {
        match self {
            Self::Rfc9111 => CachePolicy::rfc9111(),
            Self::Default => CachePolicy::default(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Rfc9111 => include_str!("expected-rfc9111.txt"),
            Self::Default => include_str!("expected-default.txt"),
        }
    }
}

/// The tests, each run when its outcome is asked for, and only once.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) preset: Preset,
    pub(crate) cases: Arc<[Arc<Case>]>,
    pub(crate) expected: Expected,
    outcomes: Vec<OnceLock<Outcome>>,
}

/// What is known of a test when those that it depends on are known too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing<'a> {
    Passed,
    NotPassed(&'a Outcome),
    /// It says nothing, because this one did not pass.
    Blocked(&'a str),
}

impl Replay {
    pub(crate) fn new(preset: Preset, cases: Arc<[Arc<Case>]>) -> Self {
        let outcomes = cases.iter().map(|_| OnceLock::new()).collect();
        Self { preset, cases, expected: Expected::read(preset.expected()), outcomes }
    }

    pub(crate) fn standing(&self, index: usize) -> Standing<'_> {
        if let Some(dependency) = self.blocked_by(index, &mut Vec::new()) {
            return Standing::Blocked(dependency);
        }
        let outcome = self.outcome(index);
        if outcome.verdict == Verdict::Pass {
            Standing::Passed
        } else {
            Standing::NotPassed(outcome)
        }
    }

    fn outcome(&self, index: usize) -> &Outcome {
        self.outcomes[index].get_or_init(|| replay(&self.cases[index], self.preset.policy()))
    }

    /// The test that keeps this one from saying anything. One that does not run is taken to pass; so is one that depends on itself.
    fn blocked_by(&self, index: usize, path: &mut Vec<usize>) -> Option<&str> {
        if path.contains(&index) {
            return None;
        }
        path.push(index);
        let found = self.cases[index].depends_on.iter().find(|id| {
            self.position(id).is_some_and(|dependency| {
                self.blocked_by(dependency, path).is_some()
                    || self.outcome(dependency).verdict != Verdict::Pass
            })
        });
        path.pop();
        found.map(String::as_str)
    }

    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.cases.iter().position(|case| case.id == id)
    }
}

impl Case {
    /// There is a right answer, and it counts.
    pub(crate) fn is_judged(&self) -> bool {
        self.kind != Kind::Check && !self.dependency_only
    }
}
