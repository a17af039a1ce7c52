//! What is known of one target: the numbers of the newest rules that name it.
use std::cmp::Ordering;

/// What a rule does to the responses that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are gone.
    Hard,
    /// They are stale from the time of the rule.
    Soft,
}

/// The newest rule of each mode; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) hard: u64,
    pub(crate) soft: u64,
}

impl Mark {
    /// What both say together.
    pub(super) fn or(self, other: Self) -> Self {
        Self { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft) }
    }

    /// The newest rule of both modes.
    pub(crate) fn newest(self) -> u64 {
        self.hard.max(self.soft)
    }

    /// Of what was asked for with this number.
    pub(super) fn concerns(self, fetch: u64) -> Option<Mode> {
        if fetch < self.hard {
            Some(Mode::Hard)
        } else if fetch < self.soft {
            Some(Mode::Soft)
        } else {
            None
        }
    }

    /// One more rule. Those that say nothing any more, which may be this one, are handed to `gone`.
    pub(super) fn add(&mut self, number: u64, mode: Mode, gone: &mut impl FnMut(u64)) {
        let place = match mode {
            Mode::Hard => &mut self.hard,
            Mode::Soft => &mut self.soft,
        };
        match number.cmp(place) {
            // Older, or the same target once more.
            Ordering::Less | Ordering::Equal => return gone(number),
            Ordering::Greater if *place > 0 => gone(std::mem::replace(place, number)),
            Ordering::Greater => *place = number,
        }
        // What is gone is no longer stale.
        if self.soft > 0 && self.soft < self.hard {
            gone(std::mem::take(&mut self.soft));
        }
    }

    /// Takes off the rules up to this one.
    pub(super) fn take_until(&mut self, last: u64) -> Self {
        let take = |number: &mut u64| if *number <= last { std::mem::take(number) } else { 0 };
        Self { hard: take(&mut self.hard), soft: take(&mut self.soft) }
    }

    pub(super) fn is_empty(self) -> bool {
        self.newest() == 0
    }

    /// The numbers that it has.
    pub(super) fn numbers(self) -> impl Iterator<Item = u64> {
        [self.hard, self.soft].into_iter().filter(|number| *number > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &[(u64, Mode)]) -> (Mark, Vec<u64>) {
        let (mut mark, mut gone) = (Mark::default(), Vec::new());
        for (number, mode) in rules {
            mark.add(*number, *mode, &mut |number| gone.push(number));
        }
        (mark, gone)
    }

    #[test]
    fn the_newest_of_each_mode_counts() {
        use Mode::{Hard, Soft};
        assert_eq!(of(&[(1, Hard), (2, Soft)]), (Mark { hard: 1, soft: 2 }, vec![]));
        assert_eq!(of(&[(1, Soft), (2, Hard)]), (Mark { hard: 2, soft: 0 }, vec![1]));
        assert_eq!(of(&[(1, Soft), (3, Soft), (2, Soft)]).1, [1, 2], "in any order");
        assert_eq!(of(&[(3, Hard), (2, Soft)]), (Mark { hard: 3, soft: 0 }, vec![2]));
        let (mark, _) = of(&[(5, Hard), (9, Soft)]);
        let concerns = |fetch| mark.concerns(fetch);
        assert_eq!([4, 5, 8, 9].map(concerns), [Some(Hard), Some(Soft), Some(Soft), None]);
    }
}
