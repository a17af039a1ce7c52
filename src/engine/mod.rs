//! One client request lives in [`request`], one origin exchange in [`fetch`]; [`flight`] joins them, and a rope carries the body
//! from the one to the many.
pub(crate) mod begin;
mod deliver;
mod exit;
mod fetch;
mod fetched;
mod flight;
mod forward;
mod goes_on;
mod head;
mod invalidate;
mod judge;
mod keep;
mod known;
mod landing;
mod look_up;
mod mend;
mod origin;
mod partial;
mod plan;
mod pump;
mod read_ahead;
mod reception;
pub(crate) mod request;
mod route;
mod seat;
mod shelf;
mod spare;
mod stats;
mod storing;
mod unshareable;
mod values;
mod within;
pub(crate) mod write_through;

pub(crate) use exit::Age;
pub(crate) use origin::Origin;
pub(crate) use route::{Engines, Route};
pub use stats::Stats;

use crate::{
    Behaviour, CacheKey, CachePolicy, Clock, KeyPolicy, Store, invalidation::Rules,
    store::ErasedStore, stored::rope::Window,
};
use flight::Flights;
use http::Uri;
pub(crate) use spare::Spare;
use stats::Counters;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};
use unshareable::Unshareable;

/// The rules of one behaviour, and what it shares with the others of its layer.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    pub(crate) policy: CachePolicy,
    pub(crate) keys: KeyPolicy,
    /// Nothing is cached.
    pub(crate) is_dynamic: bool,
    pub(crate) clock: Clock,
    pub(crate) spare: Arc<Spare>,
}

/// What all services of one layer share.
struct Shared {
    store: Box<dyn ErasedStore>,
    /// As the store says.
    peek_tells_all: bool,
    flights: Flights,
    unshareable: Unshareable,
    indexing: shelf::Indexing,
    counters: Counters,
    cache_statuses: values::CacheStatuses,
    rules: Rules,
    known: known::Known,
    notes: invalidate::Notes,
    deleted: invalidate::Deleted,
    /// Bytes of bodies that are arriving.
    arriving: Arc<AtomicUsize>,
}

impl Engine {
    pub(crate) fn new(store: impl Store) -> Self {
        let shared = Shared {
            peek_tells_all: store.peek_tells_all(),
            store: Box::new(store),
            flights: Flights::default(),
            unshareable: Unshareable::default(),
            indexing: shelf::Indexing::default(),
            counters: Counters::default(),
            cache_statuses: values::CacheStatuses::default(),
            rules: Rules::default(),
            known: known::Known::default(),
            notes: invalidate::Notes::default(),
            deleted: invalidate::Deleted::default(),
            arriving: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
            policy: CachePolicy::default(),
            keys: KeyPolicy::default(),
            is_dynamic: false,
            clock: Clock::default(),
            spare: Arc::default(),
        }
    }

    /// The same cache under the rules of a behaviour.
    fn under(&self, behaviour: &Behaviour) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            policy: behaviour.policy.clone(),
            keys: behaviour.keys.clone(),
            is_dynamic: behaviour.is_dynamic,
            clock: self.clock.clone(),
            spare: Arc::clone(&self.spare),
        }
    }

    /// The keys that a URI has under the rules of this cache, those of other behaviours among them: mostly one.
    pub(crate) fn keys_of_uri(&self, uri: &Uri) -> Vec<CacheKey> {
        let mut keys: Vec<CacheKey> = self.keys.key_of_uri(uri).into_iter().collect();
        self.add_other_keys(uri, &mut keys);
        keys
    }

    /// Adds the keys that a URI has under the rules of other behaviours.
    pub(crate) fn add_other_keys(&self, uri: &Uri, keys: &mut Vec<CacheKey>) {
        self.shared.known.for_each_keys(|policy| {
            keys.extend(policy.key_of_uri(uri).filter(|key| !keys.contains(key)));
        });
    }

    /// What a body that arrives may keep.
    fn window(&self) -> Window {
        let limits = &self.policy.limits;
        Window { each: limits.window, all: limits.windows, kept: Arc::clone(&self.shared.arriving) }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared.counters.read(self.shared.flights.under_way(), self.shared.rules.len())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("policy", &self.policy).finish_non_exhaustive()
    }
}
