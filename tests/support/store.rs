//! Stores that give trouble, and one that gives none.
use super::OriginError;
use bytes::Bytes;
use http_body_util::Full;
use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};
use tower_cdn::{CacheKey, Content, MemoryStore, Store, StoreError, StoredHead, StoredResponse};

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Get,
    Peek,
    Put,
    Freshen,
    Delete,
}

/// What a method does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Error,
    Hang,
    Panic,
}

/// A store in memory that does what it is told instead of its work. Clones share all.
#[derive(Clone)]
pub(crate) struct Troubled {
    inner: MemoryStore,
    faults: Arc<Mutex<HashMap<Call, Fault>>>,
    /// As one that has to wait for a disk.
    peeks: bool,
}

impl Troubled {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(1 << 26), faults: Arc::default(), peeks: true }
    }

    /// A store that cannot tell at once.
    pub(crate) fn without_peek() -> Self {
        Self { peeks: false, ..Self::new() }
    }

    pub(crate) fn trouble(&self, call: Call, fault: Fault) {
        self.faults.lock().expect("not poisoned").insert(call, fault);
    }

    pub(crate) fn heal(&self) {
        self.faults.lock().expect("not poisoned").clear();
    }

    pub(crate) fn len(&self) -> u64 {
        self.inner.len()
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        self.faults.lock().expect("not poisoned").get(&call).copied()
    }

    async fn suffer(&self, call: Call) -> Result<(), StoreError> {
        match self.fault(call) {
            None => Ok(()),
            Some(Fault::Error) => Err(StoreError::new(OriginError("store is broken"))),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Panic) => std::panic::resume_unwind(Box::new("the store panics")),
        }
    }
}

impl Store for Troubled {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.suffer(Call::Get).await?;
        self.inner.get(key).await
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        match self.fault(Call::Peek) {
            None if self.peeks => self.inner.peek(key),
            Some(Fault::Panic) => std::panic::resume_unwind(Box::new("the store panics")),
            _ => None,
        }
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.suffer(Call::Put).await?;
        self.inner.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.suffer(Call::Freshen).await?;
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.suffer(Call::Delete).await?;
        self.inner.delete(key).await
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.inner.notes()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.inner.note(number, note).await
    }
}

/// What somebody would write for a first store that outlives the process: heads as bytes, content elsewhere, notes, no `peek`.
#[derive(Default)]
pub(crate) struct PlainStore {
    records: Mutex<HashMap<Vec<u8>, Record>>,
    notes: Mutex<BTreeMap<u64, Bytes>>,
    /// It keeps no more notes.
    pub(crate) is_full: AtomicBool,
}

#[derive(Clone)]
struct Record {
    head: Vec<u8>,
    bytes: Bytes,
    trailers: Option<http::HeaderMap>,
}

impl Store for PlainStore {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let Some(record) = self.records().get(key.as_bytes()).cloned() else { return Ok(None) };
        let head = StoredHead::from_bytes(record.head).map_err(StoreError::new)?;
        let len = record.bytes.len() as u64;
        let open = move |range: std::ops::Range<u64>| {
            Full::new(record.bytes.slice(range.start as usize..range.end as usize))
        };
        let content = Content::from_fn(len, open).with_trailers(record.trailers);
        Ok(Some(StoredResponse::new(head, content)))
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let content = response.content.collect().await?;
        let bytes = content.as_bytes().cloned().unwrap_or_default();
        let trailers = content.trailers().cloned();
        let record = Record { head: response.head.to_bytes(), bytes, trailers };
        self.records().insert(key.as_bytes().to_vec(), record);
        Ok(())
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        let mut records = self.records();
        let Some(record) = records.get_mut(key.as_bytes()) else { return Ok(false) };
        let stored = StoredHead::from_bytes(record.head.clone()).map_err(StoreError::new)?;
        let is_update = head.is_update_of(&stored);
        if is_update {
            record.head = head.to_bytes();
        }
        Ok(is_update)
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.records().remove(key.as_bytes());
        Ok(())
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.all_notes().iter().map(|(number, note)| (*number, note.clone())).collect()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::new(OriginError("store is full")));
        }
        match note {
            Some(note) => self.all_notes().insert(number, note),
            None => self.all_notes().remove(&number),
        };
        Ok(())
    }
}

impl PlainStore {
    pub(crate) fn len(&self) -> usize {
        self.records().len()
    }

    pub(crate) fn all_notes(&self) -> MutexGuard<'_, BTreeMap<u64, Bytes>> {
        self.notes.lock().expect("not poisoned")
    }

    fn records(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Record>> {
        self.records.lock().expect("not poisoned")
    }
}
