//! Stored responses in memory, bounded in bytes.
mod held;
mod reading;

use super::{Hashed, Store};
use crate::{CacheKey, Content, StoreError, StoredHead, StoredResponse, stored::Kind};
use held::{Evictions, Held, Weights};
use quick_cache::{
    OptionsBuilder,
    sync::{Cache, EntryAction, EntryResult},
};
use reading::too_large;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

/// A store in memory, bounded in bytes: content, heads, keys and overhead are weighed. What is asked for often stays, what is asked for once does not
/// drive it out (Clock-PRO, as `quick_cache` has it). Responses that are arriving take at most as much again. Clones share one store.
///
/// A response may take fifteen sixteenths of the store, or of its part: a store of 1 GiB has two parts with a lock and a share of the capacity each,
/// and the larger it is the more, up to sixteen; no part has less than 512 MiB.
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
    cache: Arc<Responses>,
    capacity: u64,
    /// Bytes of responses that are arriving.
    reading: Arc<AtomicU64>,
}

type Responses = Cache<CacheKey, Held, Weights, Hashed, Evictions>;

impl MemoryStore {
    /// A store of `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        let options = OptionsBuilder::new()
            .shards(shards(capacity))
            .weight_capacity(capacity)
            .hot_allocation(HOT)
            .estimated_items_capacity(usize::try_from(capacity / GHOST).unwrap_or(usize::MAX))
            .ghost_allocation(1.0)
            .build()
            .expect("both capacities are given");
        let cache = Arc::new(Cache::with_options(options, Weights, Hashed::default(), Evictions));
        Self { cache, capacity, reading: Arc::default() }
    }

    /// Bytes that the stored responses take.
    pub fn weight(&self) -> u64 {
        self.cache.weight()
    }

    /// How many responses are stored, each variant being one, and the list of the variants of an URI another.
    pub fn len(&self) -> u64 {
        self.cache.len() as u64
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

/// How many parts a store has, each with its lock and its share of the capacity: few enough that what is large still fits into one, and not so
/// many that a share is used up in one part while there is room in another.
fn shards(capacity: u64) -> usize {
    const SMALLEST: u64 = 512 * 1024 * 1024;
    match capacity / SMALLEST {
        0 | 1 => 1,
        2 | 3 => 2,
        4..8 => 4,
        8..16 => 8,
        16.. => 16,
    }
}

/// What is asked for again may take so much of a part; the rest is for what is new. Exact in binary.
const HOT: f64 = 15.0 / 16.0;

/// One key that was driven out is remembered for so many bytes of capacity. If it comes back, it is taken for one that is asked for often.
/// `benches/README.md` tells what other numbers do.
const GHOST: u64 = 128 * 1024;

impl MemoryStore {
    /// What one response may weigh. More would not be kept.
    fn largest(&self) -> u64 {
        self.cache.shard_capacity() / 16 * 15
    }

    /// As [`Store::peek`], without a head that has its key.
    #[inline]
    pub(super) fn peek_under(&self, key: &CacheKey) -> Option<(Kind, Content)> {
        self.cache.get(key)?.under(key)
    }
}

impl Store for MemoryStore {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(self.peek(key))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.cache.get(key).map(|held| held.response(key))
    }

    fn peek_tells_all(&self) -> bool {
        true
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let content = self.read(&response.content).await?;
        let held = Held::new(key, response.with_content(content));
        // It would take away what is there under the key.
        if held.weight > self.largest() {
            return Err(too_large());
        }
        self.cache.insert(key.clone(), held);
        Ok(())
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        // Else asking for what is not there would make a place for it.
        if !self.cache.contains_key(key) {
            return Ok(false);
        }
        let mut heavier = None;
        let result = self.cache.entry(key, None, |key, there| {
            if !head.kind.is_update_of(there.kind()) {
                return EntryAction::Retain(false);
            }
            let fresh = Held::new(key, StoredResponse { head, content: there.content.clone() });
            if fresh.weight > there.weight {
                heavier = Some(fresh);
                return EntryAction::ReplaceWithGuard;
            }
            *there = fresh;
            EntryAction::Retain(true)
        });
        Ok(match result {
            EntryResult::Retained(is_update) => is_update,
            // It has to make room, and has its place until then. What was put or deleted meanwhile came later.
            EntryResult::Replaced(place, _) => heavier.is_some_and(|it| place.insert(it).is_ok()),
            EntryResult::Removed(..) | EntryResult::Vacant(_) | EntryResult::Timeout => false,
        })
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.cache.remove(key);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
