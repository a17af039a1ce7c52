//! The one question that look-up asks of all rules of a layer.
use super::{
    book::Book,
    mark::{Mark, Mode},
    record::State,
    rule::{Draft, Floors, Made, Rule, Validity},
    sequence,
};
use crate::{
    CacheKey,
    clock::Moment,
    stored::{Membership, ResponseHead},
};
use std::{
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Another one whenever a rule is made, and never the same in two layers; zero as long as there is no rule. A head remembers under which one it was
    /// found valid, so that most hits ask nothing else.
    stamp: AtomicU64,
    /// The number of the newest rule.
    newest: AtomicU64,
    book: RwLock<Book>,
}

impl Rules {
    /// What do the rules say of a response?
    pub(crate) fn validity(&self, primary: &CacheKey, head: &ResponseHead) -> Validity {
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp == 0 || head.found_valid.is(stamp) {
            return Validity::Valid;
        }
        let book = self.read();
        let uri = head.rare.groups.uri.as_deref();
        let mark =
            book.of_uri(primary, uri, head.fetch).or(book.of_tags(&head.rare.groups, head.fetch));
        match mark.concerns(head.fetch) {
            None => {
                head.found_valid.set(stamp);
                Validity::Valid
            }
            Some(Mode::Soft) => Validity::Soft(book.ledger.time_of(mark.soft)),
            Some(Mode::Hard) => Validity::Hard,
        }
    }

    /// Does a rule concern what is fetched for this key with this number? Its groups are those that are known.
    pub(crate) fn concern(&self, primary: &CacheKey, groups: &Membership, fetch: u64) -> bool {
        self.newest() > fetch && {
            let bare = primary.bare();
            let book = self.read();
            let mark = book.of_uri(primary, bare.as_ref(), fetch).or(book.of_tags(groups, fetch));
            mark.concerns(fetch).is_some()
        }
    }

    /// The number of the newest rule; what was asked for later is concerned by none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// How many targets have rules.
    pub(crate) fn len(&self) -> u64 {
        self.read().ledger.len()
    }

    /// From now on nothing is reused that was asked for before and that the rule names: it is in force when this returns.
    pub(crate) fn make(&self, draft: Draft, now: Moment, keep: Duration) -> Made {
        let mut book = self.write();
        let Draft { mode, cause, targets } = draft;
        // Drawn under the lock, so that who sees a number sees all rules with lower ones.
        let rule = Rule { number: sequence::next(), at: now.wall, mode, cause, targets };
        let mut gone = book.add(&rule, now);
        let has_forgotten = book.forget_old(&now, keep, &mut gone);
        let before = self.newest();
        self.publish(rule.number);
        Made { rule, before, gone, has_forgotten }
    }

    /// Rules and floors that a store has kept. Those that say nothing any more are given back.
    pub(crate) fn restore(&self, rules: Vec<Rule>, floors: Floors) -> Vec<u64> {
        let mut book = self.write();
        book.floors = floors;
        let mut gone = Vec::new();
        let mut newest = floors.all().map(Mark::newest).into_iter().max().unwrap_or_default();
        for rule in &rules {
            gone.extend(book.add(rule, Moment { wall: rule.at, monotonic: None }));
            newest = newest.max(rule.number);
        }
        if newest > 0 {
            self.publish(newest);
        }
        gone
    }

    pub(crate) fn floors(&self) -> Floors {
        self.read().floors
    }

    /// What is to be kept beside the rules, if no number up to this one may be given again.
    pub(crate) fn state(&self, reserved: u64) -> State {
        State { reserved, floors: self.floors() }
    }

    /// Called with the book locked.
    fn publish(&self, number: u64) {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        self.newest.fetch_max(number, Ordering::Release);
        let stamp = STAMPS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.stamp.store(stamp, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
