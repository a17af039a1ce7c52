//! The dyn-compatible face of [`Store`]; private, so that the public surface has one store trait.
#[cfg(feature = "memory")]
use super::MemoryStore;
use super::Store;
use crate::{
    CacheKey, StoreError, StoredHead, StoredResponse,
    stored::{Content, Kind},
};
use bytes::Bytes;
#[cfg(feature = "memory")]
use std::any::Any;
use std::{future::Future, pin::Pin};

type Erased<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

pub(crate) trait ErasedStore: Send + Sync {
    /// What lies under this very key, without the key: it is large, and a hit would move it about.
    fn get<'a>(&'a self, key: &'a CacheKey) -> Erased<'a, Option<(Kind, Content)>>;
    /// The same.
    fn peek(&self, key: &CacheKey) -> Option<(Kind, Content)>;
    fn put<'a>(&'a self, key: &'a CacheKey, response: StoredResponse) -> Erased<'a, ()>;
    fn freshen<'a>(&'a self, key: &'a CacheKey, head: StoredHead) -> Erased<'a, bool>;
    fn delete<'a>(&'a self, key: &'a CacheKey) -> Erased<'a, ()>;
    fn notes(&self) -> Vec<(u64, Bytes)>;
    fn note(&self, number: u64, note: Option<Bytes>) -> Erased<'_, ()>;
}

impl<T: Store> ErasedStore for T {
    fn get<'a>(&'a self, key: &'a CacheKey) -> Erased<'a, Option<(Kind, Content)>> {
        Box::pin(async { Ok(Store::get(self, key).await?.and_then(|stored| stored.under(key))) })
    }

    fn peek(&self, key: &CacheKey) -> Option<(Kind, Content)> {
        // Decided when this is compiled. Such a store need not make a head that has its key, to be compared and thrown away: 140 instructions of each hit.
        #[cfg(feature = "memory")]
        if let Some(memory) = (self as &dyn Any).downcast_ref::<MemoryStore>() {
            return memory.peek_under(key);
        }
        Store::peek(self, key)?.under(key)
    }

    fn put<'a>(&'a self, key: &'a CacheKey, response: StoredResponse) -> Erased<'a, ()> {
        Box::pin(Store::put(self, key, response))
    }

    fn freshen<'a>(&'a self, key: &'a CacheKey, head: StoredHead) -> Erased<'a, bool> {
        Box::pin(Store::freshen(self, key, head))
    }

    fn delete<'a>(&'a self, key: &'a CacheKey) -> Erased<'a, ()> {
        Box::pin(Store::delete(self, key))
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        Store::notes(self)
    }

    fn note(&self, number: u64, note: Option<Bytes>) -> Erased<'_, ()> {
        Box::pin(Store::note(self, number, note))
    }
}
