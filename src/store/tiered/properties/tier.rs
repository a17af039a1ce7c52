//! A store that takes its time, and fails at what it is told to.
use crate::{CacheKey, Content, Store, StoreError, StoredHead, StoredResponse};
use http_body_util::Full;
use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

/// Numbers in a fixed order, for whoever asks next.
#[derive(Clone, Debug)]
pub(super) struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    pub(super) fn throw(&self, sides: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) % sides
    }

    /// Others may go on.
    pub(super) async fn pause(&self) {
        let mut left = self.throw(3);
        poll_fn(|_| {
            let is_over = left == 0;
            left = left.saturating_sub(1);
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Get,
    Read,
    Put,
    Freshen,
    Delete,
}

pub(super) const CALLS: [Call; 5] = [Call::Get, Call::Read, Call::Put, Call::Freshen, Call::Delete];

/// A store that takes its time, and fails at what it is told to.
#[derive(Clone, Debug)]
pub(super) struct Tier {
    pub(super) map: Arc<Mutex<HashMap<CacheKey, StoredResponse>>>,
    pub(super) failing: Arc<Mutex<Vec<Call>>>,
    pub(super) dice: Dice,
}

impl Tier {
    pub(super) fn new(dice: &Dice) -> Self {
        Self { map: Arc::default(), failing: Arc::default(), dice: dice.clone() }
    }

    pub(super) async fn effect<T>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut HashMap<CacheKey, StoredResponse>) -> T,
    ) -> Result<T, StoreError> {
        self.dice.pause().await;
        // A fault is there now and then as long as it lasts.
        if self.failing.lock().unwrap().contains(&call) && self.dice.throw(4) > 0 {
            return Err(StoreError::new("told to fail"));
        }
        let done = effect(&mut self.map.lock().unwrap());
        self.dice.pause().await;
        Ok(done)
    }
}

impl Store for Tier {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let found = self.effect(Call::Get, |map| map.get(key).cloned()).await?;
        let breaks = self.failing.lock().unwrap().contains(&Call::Read);
        Ok(found.map(|found| {
            let bytes = found.content.as_bytes().cloned().unwrap_or_default();
            let content = Content::from_fn(bytes.len() as u64, move |range| {
                let end = if breaks { range.start } else { range.end };
                Full::new(bytes.slice(range.start as usize..end as usize))
            });
            found.with_content(content)
        }))
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let content = response.content.collect().await?;
        let response = response.with_content(content);
        self.effect(Call::Put, |map| drop(map.insert(key.clone(), response))).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        let freshen = |map: &mut HashMap<CacheKey, StoredResponse>| {
            let stored = map.get_mut(key).filter(|stored| head.is_update_of(&stored.head));
            stored.map(|stored| stored.head = head).is_some()
        };
        self.effect(Call::Freshen, freshen).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.effect(Call::Delete, |map| drop(map.remove(key))).await
    }
}
