//! The floor over moka.
use super::floor::{Key, Map, Stored};
use ahash::RandomState;
use moka::{Equivalent, sync::Cache};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct MokaMap(Cache<Key<Box<str>>, Arc<Stored>, RandomState>);

impl MokaMap {
    pub(crate) fn new(count: u64) -> Self {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        Self(Cache::builder().max_capacity(count).build_with_hasher(hasher))
    }
}

impl Map for MokaMap {
    fn get(&self, key: &Key<&str>) -> Option<Arc<Stored>> {
        self.0.get(key)
    }

    fn put(&self, key: Key<Box<str>>, stored: Arc<Stored>) {
        self.0.insert(key, stored);
    }

    fn settle(&self) {
        self.0.run_pending_tasks();
    }
}

impl Equivalent<Key<Box<str>>> for Key<&str> {
    fn equivalent(&self, key: &Key<Box<str>>) -> bool {
        key.is(self)
    }
}
