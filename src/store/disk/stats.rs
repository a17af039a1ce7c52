//! Counts of what happened to a store.
use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`DiskStore`](super::DiskStore) holds, and what has happened since it was opened.
///
/// # Example
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// let store = tower_cdn::store::DiskStore::open(dir.path(), 64 * 1024 * 1024).unwrap();
/// let stats = store.stats();
/// assert_eq!((stats.objects, stats.stored, stats.dropped), (0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStats {
    /// Responses that are stored, as far as they are known: after opening they are counted in the background.
    pub objects: u64,
    /// Bytes on the disk: allocated blocks of files and index.
    pub bytes: u64,
    /// Responses that were stored.
    pub stored: u64,
    /// Responses that were not stored, since the disk or the queue could not take them. What they would have replaced is gone.
    pub dropped: u64,
    /// Responses that went to make room.
    pub evicted: u64,
    /// Responses that were found damaged or missing, and went.
    pub damaged: u64,
    /// Commits that failed.
    pub faults: u64,
    /// Bytes that wait to be written.
    pub queued: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) stored: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) faults: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
