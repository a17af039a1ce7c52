//! What lies under a key, and what it weighs.
use crate::{CacheKey, Content, StoredHead, StoredResponse, stored::Kind};
use http::{HeaderMap, HeaderName, HeaderValue};
use quick_cache::{Lifecycle, Weighter};

/// What lies under a key. Weighed once: the map asks for the weight whenever it makes room.
#[derive(Clone)]
pub(super) struct Held {
    head: HeldHead,
    pub(super) content: Content,
    pub(super) weight: u64,
}

#[derive(Clone)]
enum HeldHead {
    /// The rest of it: its key is the one in the map.
    Keyed(Kind),
    Other(Box<StoredHead>),
}

impl Held {
    pub(super) fn new(key: &CacheKey, response: StoredResponse) -> Self {
        let StoredResponse { head, content } = response;
        let weight = content
            .len()
            .unwrap_or(u64::MAX)
            .saturating_add(content.trailers().map_or(0, weight_of_trailers))
            .saturating_add(head.weight() as u64)
            .saturating_add(ENTRY_OVERHEAD);
        let head = if head.key == *key {
            HeldHead::Keyed(head.kind)
        } else {
            HeldHead::Other(Box::new(head))
        };
        Self { head, content, weight }
    }

    pub(super) fn kind(&self) -> &Kind {
        match &self.head {
            HeldHead::Keyed(kind) => kind,
            HeldHead::Other(head) => &head.kind,
        }
    }

    /// What is under the key that it is stored under.
    #[inline]
    pub(super) fn under(self, key: &CacheKey) -> Option<(Kind, Content)> {
        match self.head {
            HeldHead::Keyed(kind) => Some((kind, self.content)),
            HeldHead::Other(head) => {
                StoredResponse { head: *head, content: self.content }.under(key)
            }
        }
    }

    #[inline]
    pub(super) fn response(self, key: &CacheKey) -> StoredResponse {
        let head = match self.head {
            HeldHead::Keyed(kind) => StoredHead { key: key.clone(), kind },
            HeldHead::Other(head) => *head,
        };
        StoredResponse { head, content: self.content }
    }
}

/// A map of fields, as most responses have none behind their content.
fn weight_of_trailers(trailers: &HeaderMap) -> u64 {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        FIELD.saturating_add(name.as_str().len()).saturating_add(value.len())
    };
    trailers.iter().map(field).fold(FIELD, usize::saturating_add) as u64
}

/// A field with its share of the map, its allocations, and what counts who shares them; the map itself takes as much again.
const FIELD: usize = 256;

/// An entry of the map beside its key, its share of the index, and the allocation of the content.
const ENTRY_OVERHEAD: u64 = 128;

#[derive(Clone, Copy)]
pub(super) struct Weights;

impl Weighter<CacheKey, Held> for Weights {
    fn weight(&self, _: &CacheKey, held: &Held) -> u64 {
        held.weight
    }
}

/// Collects what is driven out, which is then dropped without holding a lock.
#[derive(Clone, Copy)]
pub(super) struct Evictions;

impl Lifecycle<CacheKey, Held> for Evictions {
    type RequestState = Vec<Held>;

    fn on_evict(&self, gone: &mut Vec<Held>, _: CacheKey, held: Held) {
        gone.push(held);
    }
}
