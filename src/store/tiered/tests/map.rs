//! A store that does what it is told instead of its work.
use crate::{
    CacheKey, Content, Store, StoreError, StoredHead, StoredResponse,
    error::{ContentError, Cut},
    store::conformance::key,
};
use bytes::Bytes;
use futures_util::future::pending;
use http_body::{Body, Frame};
use http_body_util::Full;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    Get,
    Put,
    /// Before it is there.
    Hang,
    /// After it is there.
    HangAfter,
    /// While content is read.
    HangRead,
    Delete,
    Note,
    TooLarge,
}

/// A map that does what it is told instead of its work, and counts what it is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    pub(super) map: Arc<Mutex<HashMap<CacheKey, StoredResponse>>>,
    pub(super) notes: Arc<Mutex<BTreeMap<u64, Bytes>>>,
    pub(super) faults: Arc<Mutex<HashSet<Fault>>>,
    pub(super) gets: Arc<AtomicU64>,
}

impl Map {
    pub(super) fn has(&self, name: &str) -> Option<StoredHead> {
        self.map.lock().unwrap().get(&key(name)).map(|stored| stored.head.clone())
    }

    pub(super) fn forget(&self, name: &str) {
        self.map.lock().unwrap().remove(&key(name));
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap().insert(fault);
    }

    pub(super) fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(super) fn suffer(&self, fault: Fault) -> Result<(), StoreError> {
        let fails = self.faults.lock().unwrap().contains(&fault);
        if fails { Err(StoreError::new("told to fail")) } else { Ok(()) }
    }
}

struct Reading {
    map: Map,
    body: Full<Bytes>,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = Infallible;

    /// Wakes nobody: tests poll by hand.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.map.suffer(Fault::HangRead) {
            Err(_) => Poll::Pending,
            Ok(()) => Pin::new(&mut self.body).poll_frame(cx),
        }
    }
}

impl Store for Map {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.suffer(Fault::Get)?;
        let found = self.map.lock().unwrap().get(key).cloned();
        Ok(found.map(|found| {
            let bytes = found.content.as_bytes().cloned().unwrap_or_default();
            let trailers = found.content.trailers().cloned();
            let map = self.clone();
            let content = Content::from_fn(bytes.len() as u64, move |range| {
                let bytes = bytes.slice(range.start as usize..range.end as usize);
                Reading { map: map.clone(), body: Full::new(bytes) }
            });
            found.with_content(content.with_trailers(trailers))
        }))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.map.lock().unwrap().get(key).cloned()
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.suffer(Fault::Put)?;
        if self.suffer(Fault::TooLarge).is_err() {
            return Err(ContentError(Cut::NotStored).into());
        }
        let content = response.content.collect().await?;
        if self.suffer(Fault::Hang).is_err() {
            pending::<()>().await;
        }
        self.map.lock().unwrap().insert(key.clone(), response.with_content(content));
        if self.suffer(Fault::HangAfter).is_err() {
            pending::<()>().await;
        }
        Ok(())
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        let mut map = self.map.lock().unwrap();
        Ok(map.get_mut(key).map(|stored| stored.head = head).is_some())
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.suffer(Fault::Delete)?;
        self.map.lock().unwrap().remove(key);
        Ok(())
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.notes.lock().unwrap().clone().into_iter().collect()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.suffer(Fault::Note)?;
        let mut notes = self.notes.lock().unwrap();
        match note {
            Some(note) => drop(notes.insert(number, note)),
            None => drop(notes.remove(&number)),
        }
        Ok(())
    }
}
