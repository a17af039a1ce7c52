//! Stored responses in memory, bounded in bytes.
use super::Store;
use crate::{
    CacheKey, Content, StoreError, StoredHead, StoredResponse,
    error::{ContentError, Cut},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use moka::{ops::compute::Op, sync::Cache};
use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A store in memory, bounded in bytes: content, heads, keys and overhead are weighed. What is asked for often stays, what is asked for once does not
/// drive it out (moka's TinyLFU). Responses that are arriving take at most as much again. Clones share one store.
///
/// # Example
/// ```
/// use tower_cdn::{CdnCacheLayer, MemoryStore};
///
/// let store = MemoryStore::new(256 * 1024 * 1024);
/// let layer = CdnCacheLayer::new(store.clone());
/// assert_eq!(store.weight(), 0);
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    cache: Cache<CacheKey, StoredResponse, Hashed>,
    capacity: u64,
    /// Bytes of responses that are arriving.
    reading: Arc<AtomicU64>,
}

impl MemoryStore {
    /// A store of `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &CacheKey, response: &StoredResponse| {
                u32::try_from(weigh(key, response)).unwrap_or(u32::MAX)
            })
            .build_with_hasher(Hashed);
        Self { cache, capacity, reading: Arc::default() }
    }

    /// Bytes that the stored responses take. Responses that came or went a moment ago may not be counted yet.
    pub fn weight(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.weighted_size()
    }

    /// How many responses are stored, each variant being one, and the list of the variants of an URI another.
    pub fn len(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.entry_count()
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The key lies in the map and in the head; moka's entry, its queues and counters are part of the head's overhead.
fn weigh(key: &CacheKey, response: &StoredResponse) -> u64 {
    let content = response.content.len().unwrap_or(u64::MAX);
    content
        .saturating_add(response.head.weight() as u64)
        .saturating_add(key.as_bytes().len() as u64)
}

impl MemoryStore {
    fn largest(&self) -> u64 {
        self.capacity.min(u64::from(u32::MAX))
    }

    /// Reads content into memory, as long as it may fit beside what others are reading in.
    async fn read(&self, content: &Content) -> Result<Content, StoreError> {
        if content.as_bytes().is_some() {
            return Ok(content.clone());
        }
        let mut reading = Reading { all: &self.reading, bytes: 0 };
        let mut bytes = Vec::new();
        if let Some(length) = content.len() {
            reading.reserve(length, self.largest())?;
            bytes.reserve(usize::try_from(length).unwrap_or(usize::MAX).min(RESERVED_AT_ONCE));
        }
        let mut body = content.read();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    let length = (bytes.len() as u64).saturating_add(data.len() as u64);
                    reading.reserve(length, self.largest())?;
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        bytes.shrink_to_fit();
        Ok(Content::from(Bytes::from(bytes)).with_trailers(trailers))
    }
}

/// A length that was only declared reserves no more than this.
const RESERVED_AT_ONCE: usize = 1024 * 1024;

/// Bytes that are being read in, all together never more than the capacity.
struct Reading<'a> {
    all: &'a AtomicU64,
    bytes: u64,
}

impl Reading<'_> {
    /// Makes it so many bytes, if that fits.
    fn reserve(&mut self, bytes: u64, capacity: u64) -> Result<(), StoreError> {
        let Some(more) = bytes.checked_sub(self.bytes) else { return Ok(()) };
        let before = self.all.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        if before.saturating_add(more) > capacity { Err(not_stored()) } else { Ok(()) }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// It does not fit, which is no fault.
fn not_stored() -> StoreError {
    ContentError(Cut::NotStored).into()
}

impl Store for MemoryStore {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(self.cache.get(key))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.cache.get(key)
    }

    fn peek_tells_all(&self) -> bool {
        true
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let content = self.read(&response.content).await?;
        let response = response.with_content(content);
        // What can't fit, or can't be weighed, would drive out everything else.
        if weigh(key, &response) > self.largest() {
            return Err(not_stored());
        }
        self.cache.insert(key.clone(), response);
        Ok(())
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        let result = self.cache.entry_by_ref(key).and_compute_with(|found| match found {
            Some(entry) if head.is_update_of(&entry.value().head) => {
                Op::Put(StoredResponse { head, content: entry.into_value().content })
            }
            Some(_) | None => Op::Nop,
        });
        Ok(matches!(result, moka::ops::compute::CompResult::ReplacedWith(_)))
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.cache.invalidate(key);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .field("weight", &self.cache.weighted_size())
            .finish_non_exhaustive()
    }
}

/// Keys are hashed already, with a seed of this process.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed;

impl BuildHasher for Hashed {
    type Hasher = Pass;

    fn build_hasher(&self) -> Pass {
        Pass(0)
    }
}

#[derive(Debug)]
struct Pass(u64);

impl Hasher for Pass {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
