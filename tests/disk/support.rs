//! What the tests of this store share: heads as the cache makes them, and content that tells by itself what it is.
#![allow(dead_code, reason = "each file of tests uses a part of it")]
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{
    CacheKey, CdnCacheLayer, Clock, Content, MemoryStore, Store, StoreError, StoredHead,
    StoredResponse, store::DiskStore,
};

pub(crate) const ROOM: u64 = 64 << 20;

/// A head, and what a validation made of it.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    pub(crate) first: StoredHead,
    pub(crate) update: StoredHead,
}

impl Heads {
    /// From an origin, through the cache, as there is no other way to make them.
    pub(crate) async fn make(count: usize) -> Vec<Self> {
        let store = Capture { inner: MemoryStore::new(1 << 20), seen: Arc::default() };
        let seconds = Arc::new(AtomicU64::new(0));
        let (now, passed) = (Clock::system().now(), Arc::clone(&seconds));
        let clock =
            Clock::from_fn(move || now + Duration::from_secs(passed.load(Ordering::SeqCst)));
        let layer = CdnCacheLayer::builder(store.clone()).clock(clock).build();
        let service = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
            let is_known = request.headers().contains_key("if-none-match");
            let response = Response::builder()
                .status(if is_known { 304 } else { 200 })
                .header("cache-control", "max-age=60")
                .header("etag", "\"a\"")
                .header("x-path", request.uri().path())
                .header("x-known", is_known.to_string());
            let body = Full::from(if is_known { "" } else { "content" });
            Ok::<_, Infallible>(response.body(body).expect("a response"))
        }));
        let ask = async |n: usize| {
            let uri = format!("http://example.com/{n}");
            let request = Request::get(uri).body(Full::default()).expect("a request");
            let response = service.clone().oneshot(request).await.expect("never fails");
            response.into_body().collect().await.expect("a body");
            while layer.handle().stats().fetches > 0 {
                tokio::task::yield_now().await;
            }
        };
        let mut heads = Vec::new();
        for n in 0..count {
            ask(n).await;
            seconds.fetch_add(100, Ordering::SeqCst);
            ask(n).await;
            let seen = std::mem::take(&mut *store.seen.lock().expect("not poisoned"));
            let [first, update] = seen.try_into().expect("a head and its update");
            heads.push(Self { first, update });
        }
        heads
    }
}

/// Remembers the heads that it gets.
#[derive(Clone)]
struct Capture {
    inner: MemoryStore,
    seen: Arc<Mutex<Vec<StoredHead>>>,
}

impl Capture {
    fn see(&self, head: &StoredHead) {
        self.seen.lock().expect("not poisoned").push(head.clone());
    }
}

impl Store for Capture {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.see(&response.head);
        self.inner.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.see(&head);
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}

pub(crate) fn key(n: u64) -> CacheKey {
    CacheKey::from_bytes(format!("key {n} {}", "x".repeat(n as usize % 100)).into_bytes())
}

/// Content that is like no other: of this key, in this version, with this length, which is at least 16.
pub(crate) fn content(key: u64, version: u64, len: usize) -> Bytes {
    let mut out = Vec::with_capacity(len + 8);
    out.extend(key.to_be_bytes());
    out.extend(version.to_be_bytes());
    let mut state = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ version ^ (len as u64) << 40;
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        out.extend((state ^ state >> 29).to_be_bytes());
    }
    out.truncate(len);
    out.into()
}

/// The version of this content, if it is of this key and whole.
pub(crate) fn version_of(key: u64, bytes: &Bytes) -> Option<u64> {
    let version = u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    (*bytes == content(key, version, bytes.len())).then_some(version)
}

pub(crate) async fn read(content: &Content) -> Option<Bytes> {
    content.read().collect().await.ok().map(|collected| collected.to_bytes())
}

pub(crate) fn response(head: &StoredHead, content: Bytes) -> StoredResponse {
    StoredResponse::new(head.clone(), content.into())
}

/// Bytes on the disk below this directory, the directories themselves included.
pub(crate) fn disk_usage(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    below.map(|entry| disk_usage(&entry.path())).sum::<u64>() + metadata.blocks() * 512
}

/// All files below this directory.
pub(crate) fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Nothing waits in the store: what is under way has been committed.
pub(crate) async fn settled(store: &DiskStore) {
    store.loaded().await;
    for _ in 0..3 {
        store.delete(&CacheKey::from_bytes(&b"nothing"[..])).await.expect("delete must not fail");
    }
}

/// Numbers that look random and are the same each time.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Below `n`.
    pub(crate) fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// Mostly small, sometimes of many parts.
    pub(crate) fn length(&mut self) -> usize {
        let bound = match self.roll(10) {
            0..6 => 3_000,
            6..9 => 40_000,
            _ => 600_000,
        };
        16 + self.roll(bound) as usize
    }
}
