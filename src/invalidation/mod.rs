//! Rules that make stored responses invalid: one question at look-up, and never a walk over the store.
//!
//! A rule has a number from the same sequence as the fetches; it concerns responses that were asked for before.
use crate::CacheKey;
use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// More groups than this are not told apart: then all responses that belong to any group and were asked for before are invalid.
const MAX_GROUPS: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Rules {
    groups: RwLock<HashMap<CacheKey, u64>>,
    /// The number of the newest rule; zero if there is none.
    newest: AtomicU64,
    /// Responses with groups that were asked for before this are invalid.
    floor: AtomicU64,
}

impl Rules {
    /// From now on no response of these groups is reused that was asked for before `number`.
    pub(crate) fn invalidate_groups(
        &self,
        groups: impl IntoIterator<Item = CacheKey>,
        number: u64,
    ) {
        let mut known = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        for group in groups {
            if known.len() >= MAX_GROUPS && !known.contains_key(&group) {
                self.floor.fetch_max(number, Ordering::AcqRel);
                known.clear();
            }
            known.insert(group, number);
            self.newest.fetch_max(number, Ordering::AcqRel);
        }
    }

    /// Does a rule concern a response of these groups that the fetch with this number brought?
    pub(crate) fn concern(&self, groups: &[CacheKey], fetch: u64) -> bool {
        if groups.is_empty() || fetch >= self.newest.load(Ordering::Acquire) {
            return false;
        }
        let known = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        fetch < self.floor.load(Ordering::Acquire)
            || groups.iter().any(|group| known.get(group).is_some_and(|number| fetch < *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u32) -> CacheKey {
        CacheKey::from_bytes(n.to_be_bytes().to_vec())
    }

    #[test]
    fn a_rule_concerns_what_was_asked_for_before() {
        let rules = Rules::default();
        assert!(!rules.concern(&[group(1)], 0));
        rules.invalidate_groups([group(1)], 5);
        assert!(rules.concern(&[group(2), group(1)], 4));
        assert!(!rules.concern(&[group(1)], 6));
        assert!(!rules.concern(&[group(2)], 4));
        assert!(!rules.concern(&[], 4));
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_concerns_all() {
        let rules = Rules::default();
        for n in 0..=MAX_GROUPS as u32 {
            rules.invalidate_groups([group(n)], u64::from(n) + 1);
        }
        assert!(rules.groups.read().unwrap().len() <= MAX_GROUPS);
        assert!(rules.concern(&[group(0)], 0), "the rule is forgotten and still holds");
        assert!(!rules.concern(&[group(0)], MAX_GROUPS as u64 + 2));
    }
}
