//! Lists of variants in a store that takes its time.
mod support;

use std::sync::Arc;
use support::{Client, Origin, Seen, answer, ok, settle};
use tokio::sync::Semaphore;
use tower::Layer;
use tower_cdn::{
    CacheKey, CdnCacheLayer, Clock, MemoryStore, Store, StoreError, StoredHead, StoredResponse,
};

/// Each put and each delete waits until it is let go.
#[derive(Clone)]
struct Slow {
    inner: MemoryStore,
    puts: Arc<Semaphore>,
    deletes: Arc<Semaphore>,
}

const MANY: usize = 1_000;

impl Store for Slow {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.puts.acquire().await.expect("open").forget();
        self.inner.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.deletes.acquire().await.expect("open").forget();
        self.inner.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_deleted_does_not_come_back_with_what_is_added_to_it() {
    let semaphore = || Arc::new(Semaphore::new(MANY));
    let store = Slow { inner: MemoryStore::new(1 << 20), puts: semaphore(), deletes: semaphore() };
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    origin.always("/", |seen: &Seen| match seen.method.as_str() {
        "POST" => answer(204),
        _ => ok("a").max_age(100_000).vary("accept-language"),
    });
    let ask = |language: &str| client.get("/").header("accept-language", language);
    for language in ["de", "en"] {
        assert!(ask(language).told().await.contains("miss"));
    }
    assert_eq!(store.inner.len(), 3, "two variants, and their list");

    store.deletes.forget_permits(MANY);
    client.ask("POST", "/").told().await;
    // It has read the list, and writes it when that has been deleted.
    store.puts.forget_permits(MANY);
    store.puts.add_permits(1);
    assert_eq!(ask("en").told().await, "200 a (vary-miss)");
    store.deletes.add_permits(MANY);
    settle().await;
    store.puts.add_permits(MANY);
    settle().await;
    assert_eq!(store.inner.len(), 1, "the old variant, which nobody finds");
}
