//! `MemoryStore` as a policy, asked as the layer asks it.
use crate::Policy;
use bytes::Bytes;
use futures_util::future::FutureExt;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{
    CacheKey, CdnCacheLayer, Content, MemoryStore, Store, StoreError, StoredHead, StoredResponse,
};

pub(crate) struct Ours {
    store: MemoryStore,
    head: StoredHead,
    /// What the weigher adds to the content.
    around: u64,
    /// What all contents are pieces of, so that they take no memory.
    content: Bytes,
}

impl Ours {
    pub(crate) fn new(capacity: u64) -> Self {
        let (head, content) = (some_head(), vec![0; 1 << 20].into());
        let mut one = Self { store: MemoryStore::new(1 << 20), head, around: 0, content };
        one.ask(0, 0);
        Self { around: one.store.weight(), store: MemoryStore::new(capacity), ..one }
    }
}

impl Policy for Ours {
    /// `bytes` is what the weigher says: the content is so much shorter as head and key are long.
    fn ask(&mut self, item: u32, bytes: u64) -> bool {
        let key = CacheKey::from_bytes(item.to_be_bytes().to_vec());
        if self.store.peek(&key).is_some() {
            return true;
        }
        let length = usize::try_from(bytes.saturating_sub(self.around)).expect("small");
        let content = Content::from(self.content.slice(..length));
        let response = StoredResponse::new(self.head.clone(), content);
        self.store.put(&key, response).now_or_never().expect("at once").expect("it fits");
        false
    }
}

/// The smallest head that a layer stores.
fn some_head() -> StoredHead {
    let first = Arc::new(First::default());
    let origin = service_fn(|_: Request<Empty<Bytes>>| async {
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).expect("a response"))
    });
    let service = CdnCacheLayer::new(Arc::clone(&first)).layer(origin);
    let request = Request::get("http://a/").body(Empty::new()).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        service.oneshot(request).await.expect("an answer");
        while first.0.get().is_none() {
            tokio::task::yield_now().await;
        }
    });
    first.0.get().expect("it was put").clone()
}

/// Keeps the head of the first response that is put.
#[derive(Default)]
struct First(OnceLock<StoredHead>);

impl Store for First {
    async fn get(&self, _: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(None)
    }

    async fn put(&self, _: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.0.get_or_init(|| response.head);
        Ok(())
    }

    async fn freshen(&self, _: &CacheKey, _: StoredHead) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn delete(&self, _: &CacheKey) -> Result<(), StoreError> {
        Ok(())
    }
}
