//! Under which rules something may have been stored: those of all distributions that the cache has had.
use crate::{CachePolicy, KeyPolicy};
use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Only ever grows: what was stored under a distribution that is gone is found again if that comes back.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: RwLock<Vec<KeyPolicy>>,
    /// For how long any policy needs rules of invalidation, in seconds.
    rules_live: AtomicU64,
}

impl Known {
    pub(super) fn learn(&self, policy: &CachePolicy, keys: &KeyPolicy) {
        let seconds = policy.rules_live().as_secs().saturating_add(1);
        self.rules_live.fetch_max(seconds, Ordering::Relaxed);
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(keys) {
            known.push(keys.clone());
        }
    }

    /// Calls `each` with every key policy.
    pub(super) fn for_each_keys(&self, each: impl FnMut(&KeyPolicy)) {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(each);
    }

    pub(super) fn rules_live(&self) -> Duration {
        Duration::from_secs(self.rules_live.load(Ordering::Relaxed))
    }
}
