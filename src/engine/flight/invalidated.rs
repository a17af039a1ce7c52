//! Which URIs were invalidated, for as long as somebody may not know it yet: a store that has not deleted them, or a fetch that was sent before.
use crate::CacheKey;
use std::collections::HashMap;

/// More URIs than this, of which the store has nothing any more, are not remembered one by one; then it is all that is under way.
const MAX_DELETED: usize = 4096;

/// More URIs than this, of which the store has not said that it has nothing any more, are not remembered one by one; then it is all that is stored.
const MAX_UNDELETED: usize = 16 * 1024;

/// Each with the number of its newest invalidation.
#[derive(Debug, Default)]
pub(super) struct Invalidated {
    /// What the store may still have.
    undeleted: HashMap<CacheKey, u64>,
    /// What only fetches under way may still bring.
    deleted: HashMap<CacheKey, u64>,
    /// All fetches under way that were sent before this are invalid.
    floor: u64,
}

impl Invalidated {
    /// False if there were too many: everything that is stored has to count as invalid then.
    pub(super) fn add(&mut self, primary: &CacheKey, number: u64) -> bool {
        let fits = self.undeleted.len() < MAX_UNDELETED || self.undeleted.contains_key(primary);
        if !fits {
            self.undeleted.clear();
        }
        self.undeleted.insert(primary.clone(), number);
        fits
    }

    /// The store has nothing of it any more.
    pub(super) fn deleted(&mut self, primary: &CacheKey, number: u64) {
        if self.undeleted.get(primary) != Some(&number) {
            return;
        }
        self.undeleted.remove(primary);
        if self.deleted.len() >= MAX_DELETED {
            let newest = self.deleted.drain().map(|(_, number)| number).max();
            self.floor = self.floor.max(newest.unwrap_or_default());
        }
        self.deleted.insert(primary.clone(), number);
    }

    /// Does one concern what this fetch has brought, or will bring if it `is_active`?
    pub(super) fn concerns(
        &self,
        primary: &CacheKey,
        fetch: u64,
        is_active: impl FnOnce() -> bool,
    ) -> bool {
        let concerns = |key: &CacheKey| {
            let known = [&self.undeleted, &self.deleted].map(|known| known.get(key));
            known.into_iter().flatten().any(|number| fetch < *number)
        };
        // The URI may have been invalidated under its bare key.
        !self.is_empty()
            && (concerns(primary)
                || primary.bare().is_some_and(|bare| concerns(&bare))
                || fetch < self.floor && is_active())
    }

    /// Forgets what concerns nothing any more. `oldest` is the number of the oldest fetch under way.
    pub(super) fn prune(&mut self, oldest: u64) {
        self.deleted.retain(|_, number| *number > oldest);
        if self.floor <= oldest {
            self.floor = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.undeleted.is_empty() && self.deleted.is_empty() && self.floor == 0
    }
}
