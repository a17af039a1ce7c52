//! Which rules there are, since when, and how much they take: what is needed to forget them again.
use super::rule::{Cause, Rule};
use crate::clock::Moment;
use std::{collections::BTreeMap, time::Duration};

/// More than this is not kept of what operators name; the older half goes.
const OPERATORS: Total = Total { targets: 131_072, bytes: 32 * 1024 * 1024 };
/// The same of what answers to unsafe requests name, of which clients may cause many.
const ANSWERS: Total = Total { targets: 16_384, bytes: 8 * 1024 * 1024 };

#[derive(Debug, Default)]
pub(super) struct Ledger {
    rules: BTreeMap<u64, Line>,
    operators: Total,
    answers: Total,
}

#[derive(Debug)]
struct Line {
    at: Moment,
    cause: Cause,
    /// Targets for which no newer rule says the same.
    live: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    targets: usize,
    bytes: usize,
}

impl Ledger {
    pub(super) fn open(&mut self, rule: &Rule, at: Moment) {
        let live = rule.targets.len();
        if live == 0 {
            return;
        }
        let bytes = rule.targets.iter().map(|target| target.size()).sum();
        let total = self.total(rule.cause);
        total.targets = total.targets.saturating_add(live);
        total.bytes = total.bytes.saturating_add(bytes);
        self.rules.insert(rule.number, Line { at, cause: rule.cause, live, bytes });
    }

    /// For each number, one target of its rule has got a newer rule. Those that have no target left are closed.
    pub(super) fn settle(&mut self, numbers: Vec<u64>) -> Vec<u64> {
        let mut closed = Vec::new();
        for number in numbers {
            let Some(line) = self.rules.get_mut(&number) else { continue };
            line.live = line.live.saturating_sub(1);
            let (cause, is_over) = (line.cause, line.live == 0);
            let bytes = if is_over { std::mem::take(&mut line.bytes) } else { 0 };
            let total = self.total(cause);
            total.targets = total.targets.saturating_sub(1);
            total.bytes = total.bytes.saturating_sub(bytes);
            if is_over {
                self.rules.remove(&number);
                closed.push(number);
            }
        }
        closed
    }

    /// When a rule was made; `None` if it was forgotten.
    pub(super) fn time_of(&self, number: u64) -> Option<Moment> {
        self.rules.get(&number).map(|line| line.at)
    }

    pub(super) fn len(&self) -> u64 {
        self.operators.targets.saturating_add(self.answers.targets) as u64
    }

    /// Up to which number rules go: those that are older than `keep`, once some are older by a quarter, so that it is not done for each; or half of
    /// those that are too many.
    pub(super) fn last_to_forget(
        &mut self,
        cause: Cause,
        now: &Moment,
        keep: Duration,
    ) -> Option<u64> {
        let limit = match cause {
            Cause::Operator => OPERATORS,
            Cause::Answer => ANSWERS,
        };
        let total = *self.total(cause);
        let of_cause = || self.rules.iter().filter(|(_, line)| line.cause == cause);
        if total.targets > limit.targets || total.bytes > limit.bytes {
            let middle = of_cause().count() / 2;
            return of_cause().nth(middle).map(|(number, _)| *number);
        }
        let is_older = |line: &Line, than| now.since(&line.at).is_some_and(|age| age > than);
        let (_, oldest) = self.rules.first_key_value()?;
        if !is_older(oldest, keep.saturating_add(keep / 4)) {
            return None;
        }
        let old = of_cause().take_while(|(_, line)| is_older(line, keep));
        old.last().map(|(number, _)| *number)
    }

    fn total(&mut self, cause: Cause) -> &mut Total {
        match cause {
            Cause::Operator => &mut self.operators,
            Cause::Answer => &mut self.answers,
        }
    }
}
