//! What may lie in the index and must not be seen: it was to be replaced or deleted, and that failed.
use std::collections::HashSet;

#[derive(Debug, Default)]
pub(super) struct Hidden {
    hashes: HashSet<u64>,
    /// It was too much to be remembered.
    is_all: bool,
}

/// What is hidden is remembered up to here. Beyond, nothing is seen until the index has begun again.
pub(super) const HIDDEN: usize = 64 * 1024;

impl Hidden {
    pub(super) fn contains(&self, hash: u64) -> bool {
        self.is_all || self.hashes.contains(&hash)
    }

    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }

    /// One by one, unless it is all.
    pub(super) fn hashes(&self) -> &HashSet<u64> {
        &self.hashes
    }

    pub(super) fn extend(&mut self, hashes: impl IntoIterator<Item = u64>) {
        for hash in hashes {
            if self.is_all {
                return;
            }
            self.hashes.insert(hash);
            if self.hashes.len() > HIDDEN {
                *self = Self { hashes: HashSet::new(), is_all: true };
            }
        }
    }

    /// These are not in the index any more.
    pub(super) fn remove(&mut self, hashes: &HashSet<u64>) {
        self.hashes.retain(|hash| !hashes.contains(hash));
    }

    /// Nothing is in the index any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
