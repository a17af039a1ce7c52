//! Rules that make stored responses invalid: one question at look-up, and never a walk over the store.
//!
//! A rule has a number from the same sequence as the fetches; it concerns responses that were asked for before.
use crate::{CacheKey, stored::Membership};
use std::{
    collections::HashMap,
    slice,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// More rules of one kind than this are not kept: the older half goes, and what was asked for before the newest of these is invalid.
const MAX_RULES: usize = 16_384;

/// What is invalid, by group.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Groups that origins name (RFC 9875).
    named: Kind,
    /// All responses of an URI whose keys have more than it.
    uris: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    rules: RwLock<HashMap<CacheKey, u64>>,
    /// The number of the newest rule; zero if there is none.
    newest: AtomicU64,
    /// Responses with groups of this kind that were asked for before this are invalid.
    floor: AtomicU64,
}

impl Rules {
    /// From now on no response of these groups is reused that was asked for before `number`.
    pub(crate) fn invalidate_groups(
        &self,
        groups: impl IntoIterator<Item = CacheKey>,
        number: u64,
    ) {
        groups.into_iter().for_each(|group| self.named.add(group, number));
    }

    /// The same for all responses of an URI, whatever their keys have beside it (RFC 9111 section 4.4).
    pub(crate) fn invalidate_uri(&self, bare: &CacheKey, number: u64) {
        self.uris.add(bare.clone(), number);
    }

    /// Does a rule concern a response of these groups that the fetch with this number brought?
    pub(crate) fn concern(&self, groups: &Membership, fetch: u64) -> bool {
        self.named.concern(&groups.named, fetch)
            || groups.uri.as_ref().is_some_and(|uri| self.uris.concern(slice::from_ref(uri), fetch))
    }
}

impl Kind {
    fn add(&self, group: CacheKey, number: u64) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if rules.len() >= MAX_RULES {
            let mut numbers: Vec<u64> = rules.values().copied().collect();
            let (_, middle, _) = numbers.select_nth_unstable(MAX_RULES / 2);
            self.floor.fetch_max(middle.saturating_add(1), Ordering::AcqRel);
            rules.retain(|_, number| *number > *middle);
        }
        rules.insert(group, number);
        self.newest.fetch_max(number, Ordering::AcqRel);
    }

    fn concern(&self, groups: &[CacheKey], fetch: u64) -> bool {
        if groups.is_empty() || fetch >= self.newest.load(Ordering::Acquire) {
            return false;
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        fetch < self.floor.load(Ordering::Acquire)
            || groups.iter().any(|group| rules.get(group).is_some_and(|number| fetch < *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u32) -> CacheKey {
        CacheKey::from_bytes(n.to_be_bytes().to_vec())
    }

    fn of(groups: &[u32]) -> Membership {
        Membership { named: groups.iter().map(|n| group(*n)).collect(), uri: None }
    }

    #[test]
    fn a_rule_concerns_what_was_asked_for_before() {
        let rules = Rules::default();
        assert!(!rules.concern(&of(&[1]), 0));
        rules.invalidate_groups([group(1)], 5);
        assert!(rules.concern(&of(&[2, 1]), 4));
        assert!(!rules.concern(&of(&[1]), 6));
        assert!(!rules.concern(&of(&[2]), 4));
        assert!(!rules.concern(&of(&[]), 4));
        let uri = Membership { named: Vec::new(), uri: Some(Box::new(group(1))) };
        assert!(!rules.concern(&uri, 4), "an URI is no group that is named alike");
        rules.invalidate_uri(&group(1), 7);
        assert!(rules.concern(&uri, 4));
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_still_holds() {
        let rules = Rules::default();
        let many = 3 * MAX_RULES as u32;
        for n in 0..many {
            rules.invalidate_groups([group(n)], u64::from(n) + 1);
        }
        assert!(rules.named.rules.read().unwrap().len() <= MAX_RULES);
        assert!(rules.concern(&of(&[0]), 0), "the rule is forgotten and still holds");
        assert!(!rules.concern(&of(&[0]), u64::from(many)), "what came later stays");
        let newest = u64::from(many) - 100;
        assert!(!rules.concern(&of(&[many + 1]), newest), "and what is recent and of other groups");
    }
}
