//! Stored responses on a disk.
mod batch;
mod blocking;
mod commit;
mod directory;
mod error;
mod file;
mod hash;
mod hidden;
mod index;
mod load;
mod look_up;
mod meta;
mod options;
mod order;
mod pages;
mod put;
mod queue;
mod reading;
mod room;
mod row;
mod shared;
mod state;
mod stats;
mod taken;

pub use error::OpenError;
pub use options::DiskBuilder;
pub use stats::DiskStats;

use super::Store;
use crate::{CacheKey, StoreError, StoredHead, StoredResponse};
use bytes::Bytes;
use load::Progress;
use queue::Op;
use shared::Shared;
use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
};

/// A store in a directory, bounded in bytes on the disk. What is stored outlives the process, whatever becomes of that. Clones share one store.
///
/// Heads and small content lie in an index (redb), longer content in files. What is used stays, of the rest the oldest goes (SIEVE). In memory it takes at most 135
/// bytes for each stored response, [32 MiB](DiskBuilder::index_cache) for the index and 8 bytes for each 4 KiB of it, what [waits to be written](DiskBuilder::queue), and two
/// [parts](DiskBuilder::part_size) for each reader of long content.
///
/// # What it promises
///
/// - What is got is what was put, byte for byte: each part of content and each row has its checksum. What is damaged is not there any more; where that shows only
///   in the middle of content, its body ends with an error, and the cache asks the origin for the rest if it can.
/// - What was deleted or replaced does not come back: not after `kill -9`, nor because a file is damaged, missing or an old one. What could be told from that no
///   more is not trusted as a whole, and the store begins again.
/// - After the machine has gone down without [`close`](Self::close) the store begins again, unless [`sync`](DiskBuilder::sync) was chosen: without it nobody waits for
///   the device before that, and not for files of content. On systems other than Linux nobody can tell whether it went down, and what was not closed is not trusted.
/// - A directory belongs to one store at a time. Files have mode 0600, and names that tell nothing.
/// - What the disk cannot take, or not fast enough, is not stored, and [counted](DiskStats::dropped); what it would have replaced is gone. If the disk is full, or
///   fails, an event is logged (feature `tracing`), and writing goes on as soon as it can.
///
/// No task waits for the disk: that is done on tokio's threads for blocking work, so getting and putting needs a tokio runtime. Opening does not, and blocks.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// use tower_cdn::{CdnCacheLayer, store::DiskStore};
///
/// let store = DiskStore::open(dir.path(), 10 * 1024 * 1024 * 1024).unwrap();
/// let layer = CdnCacheLayer::new(store.clone());
/// // At the end:
/// store.close().await.unwrap();
/// # let _ = layer;
/// # });
/// ```
#[derive(Clone)]
pub struct DiskStore(Arc<Handle>);

/// Closes the store when the last one is dropped.
struct Handle(Arc<Shared>);

impl DiskStore {
    /// Opens the store in this directory, with room for `capacity` bytes on the disk; makes it if it is not there. Blocks, as [`DiskBuilder::open`] does.
    ///
    /// # Errors
    /// If the directory is in use, is of an unknown version, or cannot be used.
    pub fn open(directory: impl AsRef<Path>, capacity: u64) -> Result<Self, OpenError> {
        Self::builder(directory, capacity).open()
    }

    /// The same, with more to be chosen.
    pub fn builder(directory: impl AsRef<Path>, capacity: u64) -> DiskBuilder {
        DiskBuilder::new(directory.as_ref(), capacity)
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Handle(shared)))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// What it holds, and what has happened since it was opened.
    pub fn stats(&self) -> DiskStats {
        let shared = self.shared();
        let counters = &shared.counters;
        DiskStats {
            objects: shared.known().order.len() as u64,
            bytes: stats::read(&shared.usage).saturating_add(stats::read(&shared.arriving)),
            stored: stats::read(&counters.stored),
            dropped: stats::read(&counters.dropped),
            evicted: stats::read(&counters.evicted),
            damaged: stats::read(&counters.damaged),
            faults: stats::read(&counters.faults),
            queued: shared.queued.load(Ordering::Relaxed),
        }
    }

    /// Waits until all that is stored is known, and what nobody needs, or has no room, is to go with the next commits. That is found out in the background
    /// after opening. Responses are got and put before that; only where there is no room left, a put waits for it. A closed store is not waited for.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn loaded(&self) {
        self.shared().loaded(Progress::Done).await;
    }

    /// Writes what waits, and closes the store: the directory can be opened again, also after the machine went down. From then on nothing is there.
    /// When the last clone is dropped, the same is done in the background.
    ///
    /// The device is waited for until it has the index, but not until it has all files of content, unless [`sync`](DiskBuilder::sync) was chosen: the system writes those in its own
    /// time, mostly within a minute. What of them is lost if the power goes first is found damaged, and is a miss.
    ///
    /// # Errors
    /// If it was closed already.
    ///
    /// # Cancel safety
    /// Once it was polled the store closes, whoever waits.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.shared().submit(Op::Close).await.map(drop)
    }
}

impl Store for DiskStore {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let shared = self.shared();
        let hash = shared.hash(key.as_bytes());
        if shared.is_absent(hash) {
            return Ok(None);
        }
        let (shared, key) = (Arc::clone(shared), key.clone());
        let found = blocking::begin(move || shared.look_up(&key, hash)).await?;
        found.map_err(StoreError::new)
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.shared().put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        let shared = self.shared();
        let hash = shared.hash(key.as_bytes());
        if shared.is_absent(hash) {
            return Ok(false);
        }
        shared.submit(Op::Freshen { hash, key: key.clone(), head }).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        let shared = self.shared();
        let hash = shared.hash(key.as_bytes());
        // Also what is not known: it may be on its way out, and not yet be gone.
        shared.submit(Op::Delete { hash, key: key.clone(), until: u64::MAX }).await.map(drop)
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        let notes = self.shared().notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().map(|(number, note)| (*number, note.clone())).collect()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.shared().submit(Op::Note { number, note }).await.map(drop)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.send(Op::Close);
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("capacity", &self.shared().options.capacity)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
