//! Clients that read slowly or not at all: they cost neither work nor more memory than was agreed.
mod support;

use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use support::{Client, Origin, ok, settle, world_of};
use tower::Layer;
use tower_cdn::{
    CacheKey, CachePolicy, CdnCacheLayer, Clock, MemoryStore, Store, StoreError, StoredHead,
    StoredResponse,
};

const CHUNK: usize = 16 * 1024;

/// Counts how often its `put` is polled.
#[derive(Clone)]
struct Counting(MemoryStore, Arc<AtomicU64>);

impl Store for Counting {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.0.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let mut put = pin!(self.0.put(key, response));
        poll_fn(|cx| {
            self.1.fetch_add(1, SeqCst);
            put.as_mut().poll(cx)
        })
        .await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.0.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.0.notes()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.0.note(number, note).await
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_costs_no_work() {
    let (origin, polls) = (Origin::new(), Arc::default());
    let layer = CdnCacheLayer::builder(Counting(MemoryStore::new(1 << 26), Arc::clone(&polls)))
        .clock(Clock::tokio())
        .policy(CachePolicy::default().window(4 * CHUNK))
        .build();
    let client = Client::new(layer.layer(origin.clone()));
    let (answer, pulled) = ok("").max_age(60).made(100, CHUNK);
    origin.says("/", answer);
    let mut reply = client.get("/").await;
    settle().await;
    let before = (pulled.load(SeqCst), polls.load(SeqCst));
    assert!(before.0 < 10, "the window is full");
    settle().await;
    assert_eq!((pulled.load(SeqCst), polls.load(SeqCst)), before, "nothing happens");
    let (text, error) = reply.read().await;
    assert_eq!((text.len(), error.is_none()), (100 * CHUNK, true));
}

#[tokio::test(start_paused = true)]
async fn memory_of_many_slow_readers_is_bounded_in_sum() {
    // Room for ten full windows.
    let w = world_of(CachePolicy::default().window(64 * CHUNK).windows(640 * CHUNK));
    let mut replies = Vec::new();
    let mut pulled = Vec::new();
    for n in 0..40 {
        let path = format!("/{n}");
        let (answer, count) = ok("").max_age(60).made(120, CHUNK);
        w.origin.says(&path, answer);
        replies.push(w.get(&path).await);
        pulled.push(count);
        settle().await;
    }
    let kept: u64 = pulled.iter().map(|count| count.load(SeqCst)).sum();
    // 64 KiB are four chunks; one more arrives before a window is full, and one may be on its way.
    assert!(kept <= 640 + 40 * 6, "{kept} chunks");
    // All of them get all of it at last, and then there is room again.
    for mut reply in replies {
        let (text, error) = reply.read().await;
        assert_eq!((text.len(), error.is_none()), (120 * CHUNK, true));
    }
    w.assert_idle().await;
    let (answer, count) = ok("").max_age(60).made(120, CHUNK);
    w.origin.says("/after", answer);
    let _reply = w.get("/after").await;
    settle().await;
    assert!(count.load(SeqCst) >= 64, "{}", count.load(SeqCst));
}
