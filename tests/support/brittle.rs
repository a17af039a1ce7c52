//! A store on a device that fails while content is read.
use super::OriginError;
use bytes::Bytes;
use futures_util::stream;
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};
use tower_cdn::{CacheKey, Content, MemoryStore, Store, StoreError, StoredHead, StoredResponse};

/// What happens to readings of content at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Error,
    /// It ends as if it were over.
    End,
    /// There is more than there should be.
    Excess,
}

/// Content is never in memory, and comes byte by byte. Clones share all.
#[derive(Clone)]
pub(crate) struct Brittle {
    pub(crate) inner: MemoryStore,
    breaks: Arc<Mutex<Option<(u64, Break)>>>,
    /// It can tell at once what is there.
    peeks: bool,
}

impl Brittle {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(1 << 26), breaks: Arc::default(), peeks: false }
    }

    pub(crate) fn with_peek() -> Self {
        Self { peeks: true, ..Self::new() }
    }

    /// What is read from now on breaks at this byte.
    pub(crate) fn breaks_at(&self, at: u64, how: Break) {
        *self.breaks.lock().expect("not poisoned") = Some((at, how));
    }

    fn outside(&self, found: StoredResponse) -> StoredResponse {
        let bytes = found.content.as_bytes().cloned().expect("it is in memory");
        let (trailers, store) = (found.content.trailers().cloned(), self.clone());
        let content =
            Content::from_fn(bytes.len() as u64, move |range| store.frames(&bytes, &range));
        found.with_content(content.with_trailers(trailers))
    }

    fn frames(
        &self,
        bytes: &Bytes,
        range: &Range<u64>,
    ) -> impl Body<Data = Bytes, Error = OriginError> + use<> {
        let byte = |at: u64| Ok(Frame::data(bytes.slice(at as usize..at as usize + 1)));
        let mut frames: Vec<_> = range.clone().map(byte).collect();
        let breaks = *self.breaks.lock().expect("not poisoned");
        if let Some((at, how)) = breaks.filter(|(at, _)| range.contains(at)) {
            frames.truncate((at - range.start) as usize);
            match how {
                Break::Error => frames.push(Err(OriginError("the device fails"))),
                Break::End => {}
                Break::Excess => frames.push(Ok(Frame::data(vec![b'x'; 1 << 20].into()))),
            }
        }
        StreamBody::new(stream::iter(frames))
    }
}

impl Store for Brittle {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(self.inner.get(key).await?.map(|found| self.outside(found)))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        let found = if self.peeks { self.inner.peek(key) } else { None };
        found.map(|found| self.outside(found))
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
}
