//! A number is covered by a note before a response with it is there. Until then the store reads what arrives, and nobody waits.
mod support;

use bytes::Bytes;
use std::sync::{Arc, atomic::Ordering};
use support::{Client, Origin, PlainStore, ok, pass, seconds, settle};
use tokio::sync::Semaphore;
use tower::Layer;
use tower_cdn::{
    CacheKey, CachePolicy, CdnCache, CdnCacheLayer, Clock, Store, StoreError, StoredHead,
    StoredResponse,
};

const CHUNK: usize = 16 * 1024;

/// Each note waits until it is let go.
struct SlowNotes {
    inner: PlainStore,
    notes: Semaphore,
}

impl Store for SlowNotes {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.inner.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.inner.notes()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.notes.acquire().await.expect("open").forget();
        self.inner.note(number, note).await
    }
}

struct World {
    store: Arc<SlowNotes>,
    origin: Origin,
    client: Client<CdnCache<Origin>>,
}

fn world() -> World {
    let store = Arc::new(SlowNotes { inner: PlainStore::default(), notes: Semaphore::new(0) });
    let policy = CachePolicy::default().window(4 * CHUNK).store_timeout(seconds(5));
    let builder = CdnCacheLayer::builder(Arc::clone(&store)).clock(Clock::tokio());
    let layer = builder.policy(policy).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    World { store, origin, client }
}

impl World {
    /// Far more than the window, to the end.
    async fn read(&self, target: &str) {
        self.origin.says(target, ok("").max_age(60).made(40, CHUNK).0);
        assert_eq!(self.client.get(target).await.text().await.len(), 40 * CHUNK);
        settle().await;
    }

    async fn how(&self, target: &str) -> String {
        self.origin.says(target, ok("").max_age(60).made(40, CHUNK).0);
        let reply = self.client.get(target).await;
        let how = reply.how();
        reply.text().await;
        settle().await;
        how
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_is_stored_once_its_number_is_covered() {
    let w = world();
    w.read("/").await;
    assert_eq!(w.store.inner.len(), 0, "not before");
    w.store.notes.add_permits(1);
    settle().await;
    assert_eq!((w.store.inner.len(), w.store.inner.all_notes().len()), (1, 1));
    assert_eq!(w.how("/").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn one_note_covers_all_who_wait() {
    let w = world();
    for target in ["/a", "/b", "/c"] {
        w.read(target).await;
    }
    w.store.notes.add_permits(1);
    settle().await;
    assert_eq!(w.store.inner.len(), 3);
    w.read("/d").await;
    assert_eq!(w.store.inner.len(), 4, "and who comes later");
}

#[tokio::test(start_paused = true)]
async fn err_without_a_note_nothing_is_stored() {
    let w = world();
    w.store.inner.is_full.store(true, Ordering::Relaxed);
    w.store.notes.add_permits(100);
    w.read("/").await;
    assert_eq!(w.store.inner.len(), 0);
    w.store.inner.is_full.store(false, Ordering::Relaxed);
    assert_eq!(w.how("/").await, "uri-miss");
    assert_eq!(w.how("/").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn err_a_store_that_does_not_come_to_its_note_is_left_alone() {
    let w = world();
    w.read("/").await;
    pass(5).await;
    pass(5).await;
    w.store.notes.add_permits(1);
    settle().await;
    assert_eq!((w.store.inner.len(), w.store.inner.all_notes().len()), (0, 0));
    assert_eq!(w.how("/").await, "uri-miss");
}
