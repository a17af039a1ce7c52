//! The checks of a test, in the order of the reference runner (with `--strict`): the first that does not hold ends it.
mod arrivals;
mod reply;

pub(crate) use arrivals::judge_arrivals;
pub(crate) use reply::judge_reply;

use crate::{
    definition::Step,
    outcome::{Finding, Verdict},
};
use std::fmt::Display;

/// The place of a check.
struct At<'a> {
    step: &'a Step,
    place: String,
}

/// A check that the definitions do not name, hence only preparation.
const UNNAMED: &str = "";

impl At<'_> {
    /// `part` is the member of the definition that asks for it; the step may declare it to be mere preparation.
    fn require(
        &self,
        part: &str,
        holds: bool,
        expected: impl Display,
        got: impl Display,
    ) -> Result<(), Finding> {
        let preparation = part == UNNAMED || self.step.prepares(part);
        let verdict = if preparation { Verdict::Setup } else { Verdict::Fail };
        if holds { Ok(()) } else { Err(self.finding(verdict, expected, got)) }
    }

    fn finding(&self, verdict: Verdict, expected: impl Display, got: impl Display) -> Finding {
        Finding { verdict, text: format!("{}: expected {expected}, got {got}", self.place) }
    }
}

/// A value that may be missing.
fn show(value: Option<&str>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"))
}
