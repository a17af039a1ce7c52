//! The floor over `quick_cache`, whose `get` needs the same `Equivalent` that moka's does.
use super::floor::{Key, Map, Stored};
use ahash::RandomState;
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use std::sync::Arc;

type Quick = Cache<Key<Box<str>>, Arc<Stored>, UnitWeighter, RandomState>;

#[derive(Clone)]
pub(crate) struct QuickMap(Arc<Quick>);

impl QuickMap {
    pub(crate) fn new(count: usize) -> Self {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let lifecycle = DefaultLifecycle::default();
        Self(Arc::new(Cache::with(count, count as u64, UnitWeighter, hasher, lifecycle)))
    }
}

impl Map for QuickMap {
    fn get(&self, key: &Key<&str>) -> Option<Arc<Stored>> {
        self.0.get(key)
    }

    fn put(&self, key: Key<Box<str>>, stored: Arc<Stored>) {
        self.0.insert(key, stored);
    }
}
