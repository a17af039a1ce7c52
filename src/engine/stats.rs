//! What happened so far, in numbers.
use crate::CacheStatus;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of what happened since the layer was built.
///
/// # Example
/// ```
/// let layer = tower_cdn::CdnCacheLayer::in_memory(1024 * 1024);
/// let stats = layer.handle().stats();
/// assert_eq!((stats.hits, stats.forwarded), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that a stored response answered without the inner service being asked.
    pub hits: u64,
    /// Those among them whose response was stale.
    pub stale_hits: u64,
    /// Requests that went forward, for whatever reason, or were answered by a fetch that another request had started.
    pub forwarded: u64,
    /// Those among them that another request's fetch answered.
    pub collapsed: u64,
    /// Responses that were stored, or freshened.
    pub stored: u64,
    /// Faults of the store: errors, panics, and answers that did not come in time.
    pub store_faults: u64,
    /// Fetches that are under way now.
    pub fetches: u64,
    /// Invalidations: those of operators, and those by answers to unsafe requests.
    pub invalidations: u64,
    /// Requests for which something was stored that had been invalidated.
    pub invalidated: u64,
    /// Targets of invalidations that are remembered now.
    pub rules: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    stale_hits: AtomicU64,
    forwarded: AtomicU64,
    collapsed: AtomicU64,
    stored: AtomicU64,
    store_faults: AtomicU64,
    invalidations: AtomicU64,
    invalidated: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, status: &CacheStatus) {
        if status.hit {
            self.hits.fetch_add(1, Relaxed);
            if status.ttl.is_some_and(|ttl| ttl <= 0) {
                self.stale_hits.fetch_add(1, Relaxed);
            }
        }
        if status.forward.is_some() {
            self.forwarded.fetch_add(1, Relaxed);
        }
        if status.collapsed {
            self.collapsed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn stored(&self) {
        self.stored.fetch_add(1, Relaxed);
    }

    pub(crate) fn store_fault(&self) {
        self.store_faults.fetch_add(1, Relaxed);
    }

    pub(crate) fn invalidation(&self) {
        self.invalidations.fetch_add(1, Relaxed);
    }

    pub(crate) fn invalidated(&self) {
        self.invalidated.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, fetches: u64, rules: u64) -> Stats {
        Stats {
            hits: self.hits.load(Relaxed),
            stale_hits: self.stale_hits.load(Relaxed),
            forwarded: self.forwarded.load(Relaxed),
            collapsed: self.collapsed.load(Relaxed),
            stored: self.stored.load(Relaxed),
            store_faults: self.store_faults.load(Relaxed),
            fetches,
            invalidations: self.invalidations.load(Relaxed),
            invalidated: self.invalidated.load(Relaxed),
            rules,
        }
    }
}
