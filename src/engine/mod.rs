//! One client request lives in [`request`], one origin exchange in [`fetch`]; [`flight`] joins them, and a rope carries the body
//! from the one to the many.
pub(crate) mod begin;
mod deliver;
mod exit;
mod fetch;
mod flight;
mod head;
mod invalidate;
mod landing;
mod look_up;
mod origin;
mod partial;
mod pump;
mod reception;
pub(crate) mod request;
mod seat;
mod shelf;
mod spare;
mod stats;
mod unshareable;
mod values;
mod within;
pub(crate) mod write_through;

pub(crate) use origin::Origin;
pub use stats::Stats;

use crate::{
    CachePolicy, Clock, KeyPolicy, Store, invalidation::Rules, store::ErasedStore,
    stored::rope::Window,
};
use flight::Flights;
pub(crate) use spare::Spare;
use stats::Counters;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};
use unshareable::Unshareable;

/// What all services of one layer share.
pub(crate) struct Engine {
    store: Box<dyn ErasedStore>,
    /// As the store says.
    peek_tells_all: bool,
    flights: Flights,
    unshareable: Unshareable,
    indexing: shelf::Indexing,
    counters: Counters,
    cache_statuses: values::CacheStatuses,
    rules: Rules,
    notes: invalidate::Notes,
    deleted: invalidate::Deleted,
    /// Bytes of bodies that are arriving.
    arriving: Arc<AtomicUsize>,
    pub(crate) policy: CachePolicy,
    pub(crate) keys: KeyPolicy,
    pub(crate) clock: Clock,
    pub(crate) spare: Spare,
}

impl Engine {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            peek_tells_all: store.peek_tells_all(),
            store: Box::new(store),
            flights: Flights::default(),
            unshareable: Unshareable::default(),
            indexing: shelf::Indexing::default(),
            counters: Counters::default(),
            cache_statuses: values::CacheStatuses::default(),
            rules: Rules::default(),
            notes: invalidate::Notes::default(),
            deleted: invalidate::Deleted::default(),
            arriving: Arc::default(),
            policy: CachePolicy::default(),
            keys: KeyPolicy::default(),
            clock: Clock::default(),
            spare: Spare::default(),
        }
    }

    /// What a body that arrives may keep.
    fn window(&self) -> Window {
        let limits = &self.policy.limits;
        Window { each: limits.window, all: limits.windows, kept: Arc::clone(&self.arriving) }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.read(self.flights.under_way(), self.rules.len())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("policy", &self.policy).finish_non_exhaustive()
    }
}
