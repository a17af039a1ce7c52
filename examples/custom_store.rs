//! A store of one's own: plain `async fn` on top of a map of bytes, checked by the conformance suite that the crate brings.
//!
//! `cargo run --example custom_store`
use bytes::Bytes;
use std::{collections::HashMap, sync::Mutex};
use tower_cdn::{
    CacheKey, CdnCacheLayer, Content, Store, StoreError, StoredHead, StoredResponse,
    store::conformance,
};

/// Keeps records of bytes, as a store would that writes to a disk or to a server.
#[derive(Debug, Default)]
struct Records(Mutex<Map>);

type Map = HashMap<Vec<u8>, (Vec<u8>, Content)>;

impl Records {
    fn with<T>(&self, act: impl FnOnce(&mut Map) -> T) -> Result<T, StoreError> {
        self.0.lock().map(|mut map| act(&mut map)).map_err(|_| StoreError::new("poisoned"))
    }
}

impl Store for Records {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let Some((record, content)) = self.with(|map| map.get(key.as_bytes()).cloned())? else {
            return Ok(None);
        };
        let head = StoredHead::from_bytes(record).map_err(StoreError::new)?;
        Ok(Some(StoredResponse::new(head, content)))
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        // An error here means that the content broke off: nothing is stored then.
        let content = response.content.collect().await?;
        let key = key.as_bytes().to_vec();
        self.with(|map| drop(map.insert(key, (response.head.to_bytes(), content))))
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.with(|map| {
            let Some((record, _)) = map.get_mut(key.as_bytes()) else { return false };
            let stored = StoredHead::from_bytes(record.clone());
            // A response that came in between has other content: this head is not its own.
            let is_update = stored.is_ok_and(|stored| head.is_update_of(&stored));
            if is_update {
                *record = head.to_bytes();
            }
            is_update
        })
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.with(|map| drop(map.remove(key.as_bytes())))
    }
}

#[tokio::main]
async fn main() {
    let content = Content::from(Bytes::from_static(b"hello"));
    println!(
        "content of {} bytes can be read in part and often",
        content.len().unwrap_or_default()
    );

    conformance::check(async || Records::default()).await;
    println!("the store keeps the contract");

    let layer = CdnCacheLayer::new(Records::default());
    println!("{layer:?}");
}
