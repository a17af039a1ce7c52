//! Stored responses in memory, bounded in bytes.
use super::Store;
use crate::{
    CacheKey, Content, StoreError, StoredHead, StoredResponse,
    error::{ContentError, Cut},
    stored::Kind,
};
use http_body_util::BodyExt;
use quick_cache::{
    Lifecycle, OptionsBuilder, Weighter,
    sync::{Cache, EntryAction, EntryResult},
};
use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
        let cache = Arc::new(Cache::with_options(options, Weights, Hashed, Evictions));
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

/// What lies under a key. Weighed once: the map asks for the weight whenever it makes room.
#[derive(Clone)]
struct Held {
    head: HeldHead,
    content: Content,
    weight: u64,
}

#[derive(Clone)]
enum HeldHead {
    /// The rest of it: its key is the one in the map.
    Keyed(Kind),
    Other(Box<StoredHead>),
}

impl Held {
    fn new(key: &CacheKey, response: StoredResponse) -> Self {
        let StoredResponse { head, content } = response;
        let weight = content
            .len()
            .unwrap_or(u64::MAX)
            .saturating_add(head.weight() as u64)
            .saturating_add(ENTRY_OVERHEAD);
        let head = if head.key == *key {
            HeldHead::Keyed(head.kind)
        } else {
            HeldHead::Other(Box::new(head))
        };
        Self { head, content, weight }
    }

    fn kind(&self) -> &Kind {
        match &self.head {
            HeldHead::Keyed(kind) => kind,
            HeldHead::Other(head) => &head.kind,
        }
    }

    fn response(self, key: &CacheKey) -> StoredResponse {
        let head = match self.head {
            HeldHead::Keyed(kind) => StoredHead { key: key.clone(), kind },
            HeldHead::Other(head) => *head,
        };
        StoredResponse { head, content: self.content }
    }
}

/// An entry of the map beside its key, its share of the index, and the allocation of the content.
const ENTRY_OVERHEAD: u64 = 128;

#[derive(Clone, Copy)]
struct Weights;

impl Weighter<CacheKey, Held> for Weights {
    fn weight(&self, _: &CacheKey, held: &Held) -> u64 {
        held.weight
    }
}

/// Collects what is driven out, which is then dropped without holding a lock.
#[derive(Clone, Copy)]
struct Evictions;

impl Lifecycle<CacheKey, Held> for Evictions {
    type RequestState = Vec<Held>;

    fn on_evict(&self, gone: &mut Vec<Held>, _: CacheKey, held: Held) {
        gone.push(held);
    }
}

impl MemoryStore {
    /// What one response may weigh. More would not be kept.
    fn largest(&self) -> u64 {
        self.cache.shard_capacity() / 16 * 15
    }

    /// Reads content into memory, as long as it may fit beside what others are reading in.
    async fn read(&self, content: &Content) -> Result<Content, StoreError> {
        if content.as_bytes().is_some() {
            return Ok(content.clone());
        }
        let mut reading = Reading { store: self, bytes: 0 };
        reading.reserve(content.len().unwrap_or(0))?;
        let mut body = content.read();
        let (mut bytes, mut trailers) = (content.buffer(), None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    reading.reserve((bytes.len() as u64).saturating_add(data.len() as u64))?;
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Content::from_buffer(bytes).with_trailers(trailers))
    }
}

/// Bytes that are being read in, all together never more than the capacity.
struct Reading<'a> {
    store: &'a MemoryStore,
    bytes: u64,
}

impl Reading<'_> {
    /// Makes it so many bytes, if that fits.
    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(more) = bytes.checked_sub(self.bytes) else { return Ok(()) };
        let before = self.store.reading.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        let fits =
            bytes <= self.store.largest() && before.saturating_add(more) <= self.store.capacity;
        if fits { Ok(()) } else { Err(not_stored()) }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.store.reading.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// It does not fit, which is no fault.
fn not_stored() -> StoreError {
    ContentError(Cut::NotStored).into()
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
            return Err(not_stored());
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

#[cfg(test)]
mod tests {
    use super::{
        super::conformance::{head, key},
        *,
    };
    use crate::stored::{
        compact,
        rope::{self, Window},
    };
    use bytes::Bytes;
    use futures_util::FutureExt;
    use http::{HeaderValue, header};
    use std::thread;

    const MIB: u64 = 1024 * 1024;

    fn response(name: &str, version: u8, length: usize) -> StoredResponse {
        StoredResponse::new(head(name, version), Bytes::from(vec![version; length]).into())
    }

    fn put(store: &MemoryStore, name: &str, version: u8, length: usize) -> bool {
        store.put(&key(name), response(name, version, length)).now_or_never().unwrap().is_ok()
    }

    fn freshen(store: &MemoryStore, name: &str, field: usize) -> bool {
        let mut head = head(name, 2);
        let Kind::Response(response) = &mut head.kind else { unreachable!() };
        let value = vec![b'x'; field].try_into().unwrap();
        Arc::make_mut(response).headers.insert("x-version", value);
        store.freshen(&key(name), head).now_or_never().unwrap().unwrap()
    }

    fn sum(store: &MemoryStore) -> u64 {
        store.cache.iter().map(|(key, held)| Held::new(&key, held.response(&key)).weight).sum()
    }

    #[test]
    fn what_does_not_fit_leaves_all_that_is_there() {
        let store = MemoryStore::new(MIB);
        for name in ["a", "b"] {
            assert!(put(&store, name, 1, 1_000));
        }
        assert!(!put(&store, "a", 2, MIB as usize));
        assert!(!put(&store, "a", 2, MIB as usize / 16 * 15));
        assert_eq!(store.peek(&key("a")).unwrap().head, head("a", 1));
        assert_eq!(store.len(), 2);
        assert!(put(&store, "a", 2, MIB as usize / 16 * 15 - 10_000), "all but the overhead");
        assert_eq!(store.peek(&key("a")).unwrap().head, head("a", 2));
    }

    #[test]
    fn a_head_with_another_key_comes_back_as_it_was() {
        let store = MemoryStore::new(MIB);
        let put = store.put(&key("prefix/a"), response("a", 1, 1)).now_or_never();
        put.unwrap().unwrap();
        assert_eq!(store.peek(&key("prefix/a")).unwrap().head, head("a", 1));
        let freshened = store.freshen(&key("prefix/a"), head("a", 2)).now_or_never();
        assert!(freshened.unwrap().unwrap());
        assert_eq!(store.peek(&key("prefix/a")).unwrap().head, head("a", 2));
    }

    #[test]
    fn small_content_is_kept_behind_the_values_of_its_head() {
        let store = MemoryStore::new(MIB);
        let value = HeaderValue::from_static("\"a\"");
        let (headers, room) = compact([(&header::ETAG, &value)].into_iter(), 5);
        let end = headers[header::ETAG].as_bytes().as_ptr_range().end;
        let window = Window { each: 1 << 20, all: usize::MAX, kept: Arc::default() };
        let (writer, rope) = rope::channel(window, Some(5));
        let content = Content::arriving(rope.clone(), rope.store_reader().unwrap(), room);
        writer.push(Bytes::from_static(b"hello"));
        writer.finish(None);
        let response = StoredResponse::new(head("a", 1), content);
        store.put(&key("a"), response).now_or_never().unwrap().unwrap();
        let stored = store.peek(&key("a")).unwrap().content;
        let stored = stored.as_bytes().unwrap();
        assert_eq!(stored, "hello");
        assert_eq!(stored.as_ptr(), end, "one allocation for both");
    }

    #[test]
    fn what_takes_more_than_before_makes_room() {
        let store = MemoryStore::new(MIB);
        let names: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        for length in [1_000, 2_000, 10_000, 200_000] {
            for name in &names {
                assert!(put(&store, name, 1, length));
                assert!(store.weight() <= MIB && store.weight() == sum(&store));
            }
        }
        for field in [1_000, 100, 30_000, 200_000] {
            let freshened = names.iter().filter(|name| freshen(&store, name, field)).count();
            assert!(freshened > 0, "{field}");
            assert!(store.weight() <= MIB && store.weight() == sum(&store), "{field}");
        }
        for name in &names {
            store.delete(&key(name)).now_or_never().unwrap().unwrap();
        }
        assert!(store.is_empty() && store.weight() == 0);
    }

    #[test]
    fn many_at_once_leave_what_is_weighed_right() {
        let store = MemoryStore::new(MIB);
        let run = |seed: usize| {
            for n in 0..5_000 {
                let name = ((n * seed) % 50).to_string();
                match n % 7 {
                    0 | 1 => drop(put(&store, &name, 1, (n * seed) % 40_000)),
                    2 | 3 => drop(freshen(&store, &name, (n * seed) % 2_000)),
                    4 => drop(store.delete(&key(&name)).now_or_never()),
                    _ => {
                        let got = store.peek(&key(&name));
                        assert!(got.is_none_or(|got| got.head.key == key(&name)));
                    }
                }
                assert!(store.weight() <= MIB);
            }
        };
        thread::scope(|scope| {
            for seed in [7, 11, 13, 17] {
                scope.spawn(move || run(seed));
            }
        });
        assert_eq!(store.weight(), sum(&store));
    }

    #[test]
    fn parts_are_large() {
        for (gib, parts, largest) in
            [(0, 1, 0), (1, 2, 480), (2, 4, 480), (3, 4, 720), (10, 16, 600), (64, 16, 3_840)]
        {
            let store = MemoryStore::new(gib * 1024 * MIB);
            assert_eq!(store.cache.num_shards(), parts, "{gib} GiB");
            assert_eq!(store.largest(), largest * MIB, "{gib} GiB");
            assert!(store.cache.capacity() <= gib * 1024 * MIB);
        }
        let huge = MemoryStore::new(u64::MAX);
        assert!(put(&huge, "a", 1, 1) && huge.len() == 1);
    }
}
