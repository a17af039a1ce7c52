//! Stored responses in memory, bounded in bytes.
use super::Store;
use crate::{CacheKey, StoreError, StoredHead, StoredResponse};
use moka::{ops::compute::Op, sync::Cache};
use std::{
    fmt,
    hash::{BuildHasher, Hasher},
};

/// A store in memory, bounded in bytes: content, heads, keys and overhead are weighed. What is asked for often stays, what is asked for once does not
/// drive it out (moka's TinyLFU). Clones share one store.
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
        Self { cache, capacity }
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

impl Store for MemoryStore {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(self.cache.get(key))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.cache.get(key)
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let content = response.content.collect().await?;
        let response = StoredResponse { content, ..response };
        // What can't fit, or can't be weighed, would drive out everything else.
        if weigh(key, &response) > self.capacity.min(u64::from(u32::MAX)) {
            self.cache.invalidate(key);
            return Err(StoreError::new("response is larger than the store"));
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
