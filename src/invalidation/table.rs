//! Rules for what is named in full: URIs, groups and tags.
use super::mark::{Mark, Mode};
use std::{borrow::Borrow, collections::HashMap, hash::Hash};

#[derive(Debug)]
pub(super) struct Table<K> {
    marks: HashMap<K, Mark>,
    /// The newest rules for any of them, also of those that were forgotten.
    newest: Mark,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { marks: HashMap::new(), newest: Mark::default() }
    }
}

impl<K: Eq + Hash> Table<K> {
    pub(super) fn add(&mut self, key: K, number: u64, mode: Mode, gone: &mut impl FnMut(u64)) {
        self.newest.add(number, mode, &mut |_| {});
        self.marks.entry(key).or_default().add(number, mode, gone);
    }

    /// Need anything be looked for, for what was asked for with this number?
    pub(super) fn may_concern(&self, fetch: u64) -> bool {
        fetch < self.newest.newest()
    }

    pub(super) fn find<Q>(&self, key: &Q) -> Mark
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.marks.get(key).copied().unwrap_or_default()
    }

    /// What all rules for any of them say.
    pub(super) fn newest(&self) -> Mark {
        self.newest
    }

    /// Takes off the rules up to this one.
    pub(super) fn forget(&mut self, last: u64, forgotten: &mut impl FnMut(Mark)) {
        self.marks.retain(|_, mark| {
            let taken = mark.take_until(last);
            if !taken.is_empty() {
                forgotten(taken);
            }
            !mark.is_empty()
        });
    }
}
