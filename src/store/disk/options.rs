//! What can be chosen when a store is opened.
use super::{DiskStore, OpenError, shared::Shared};
use std::path::{Path, PathBuf};

/// Opens a [`DiskStore`] with what can be chosen.
///
/// # Example
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use tower_cdn::store::DiskStore;
///
/// let store = DiskStore::builder(dir.path(), 1024 * 1024 * 1024)
///     .start_afresh(true)
///     .queue(16 * 1024 * 1024)
///     .open()
///     .unwrap();
/// # drop(store);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DiskBuilder {
    pub(super) root: PathBuf,
    pub(super) capacity: u64,
    pub(super) start_afresh: bool,
    pub(super) queue: u64,
    pub(super) part_size: u32,
    pub(super) index_cache: usize,
    pub(super) sync: bool,
}

impl DiskBuilder {
    pub(super) fn new(root: &Path, capacity: u64) -> Self {
        Self {
            root: root.to_owned(),
            capacity,
            start_afresh: false,
            queue: 64 << 20,
            part_size: 256 << 10,
            index_cache: 32 << 20,
            sync: false,
        }
    }

    /// Begins with an empty store where the directory holds one of an unknown version, in place of an error. Files that no store makes are left alone. Default:
    /// no.
    pub fn start_afresh(mut self, start_afresh: bool) -> Self {
        self.start_afresh = start_afresh;
        self
    }

    /// Bytes that may wait to be written. What comes while there are more is not stored. Default: 64 MiB.
    pub fn queue(mut self, bytes: u64) -> Self {
        self.queue = bytes;
        self
    }

    /// Content is written and read in parts of this size, each with a checksum; from 4 KiB to 16 MiB. A reader takes the memory of two. Default: 256 KiB.
    pub fn part_size(mut self, bytes: u32) -> Self {
        self.part_size = bytes.clamp(4 << 10, 16 << 20).next_multiple_of(4 << 10);
        self
    }

    /// Memory that the index may take for what it has read and not yet written. Default: 32 MiB.
    pub fn index_cache(mut self, bytes: usize) -> Self {
        self.index_cache = bytes;
        self
    }

    /// Waits for the device at each commit, and for each file of content before it, so that what is stored outlives a loss of power. Without it, what was not
    /// [closed](DiskStore::close) before the machine goes down is not trusted afterwards. Default: no.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Opens the store; makes the directory if it is not there. Blocks for as long as that takes, which is not long: what takes time goes on in the background. A directory that is in use is waited for
    /// for a second, since a store that was dropped may still be closing.
    ///
    /// # Errors
    /// If the directory is in use, is of an unknown version, or cannot be used.
    pub fn open(self) -> Result<DiskStore, OpenError> {
        Shared::open(self).map(DiskStore::new)
    }

    /// Bytes of rows in one commit.
    pub(super) fn batch(&self) -> usize {
        usize::try_from(self.capacity / 64).unwrap_or(usize::MAX).min(4 << 20)
    }

    /// The longest content that is stored.
    pub(super) fn largest(&self) -> u64 {
        self.capacity / 2
    }
}
