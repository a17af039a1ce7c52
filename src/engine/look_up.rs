//! What is stored for a request: by primary key, then among the variants (RFC 9111 section 4.1).
use super::{Engine, flight::Elsewhere};
use crate::{
    CacheKey, CacheStatus,
    invalidation::Validity,
    semantics::cache_status::{Detail, Forward},
    stored::{Content, Kind, ResponseHead, VariantIndex},
};
use http::request;
use std::sync::Arc;

/// A stored response that a request selects.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) head: Arc<ResponseHead>,
    pub(crate) content: Content,
}

/// What look-up came to.
#[derive(Clone, Debug)]
pub(crate) struct LookUp {
    /// Where the response to this request lies, or would lie as far as is known.
    pub(crate) key: CacheKey,
    /// The variants of the URI, if it has any.
    pub(crate) index: Option<Arc<VariantIndex>>,
    /// The generation of its variants, where it is known before the index is there.
    pub(crate) generation: Option<u64>,
    pub(crate) found: Option<Found>,
    /// Parts of it that are stored, where they are not enough for the request (RFC 9111 section 3.3).
    pub(crate) part: Option<Found>,
    /// What is stored, or was, a rule has made stale or gone.
    pub(crate) invalidated: bool,
}

impl LookUp {
    pub(crate) fn nothing(key: CacheKey) -> Self {
        Self { key, index: None, generation: None, found: None, part: None, invalidated: false }
    }

    /// A complete response that needs no variants.
    pub(crate) fn plain(key: CacheKey, found: Found) -> Self {
        Self { found: Some(found), ..Self::nothing(key) }
    }

    /// Parts answer only requests for what they have.
    fn of(
        key: CacheKey,
        index: Option<Arc<VariantIndex>>,
        found: Option<Found>,
        request: &request::Parts,
    ) -> Self {
        let generation = index.as_ref().map(|index| index.generation);
        let look = Self { index, generation, ..Self::nothing(key) };
        match found {
            Some(part) if !part.head.suffices(request) => Self { part: Some(part), ..look },
            found => Self { found, ..look },
        }
    }

    /// The same for another variant, of which nothing is known.
    pub(crate) fn at(&self, place: Elsewhere) -> Self {
        let generation = Some(place.generation);
        Self { index: self.index.clone(), generation, ..Self::nothing(place.key) }
    }

    /// What is said of a request that goes forward for this reason.
    pub(crate) fn forwarded(&self, reason: Forward) -> CacheStatus {
        let status = CacheStatus::forwarded(reason);
        if self.invalidated { status.detail_of(Detail::Invalidated) } else { status }
    }

    /// Why the request goes forward if nothing was found.
    pub(crate) fn miss(&self) -> Forward {
        match (&self.part, &self.index) {
            (Some(_), _) => Forward::Partial,
            (None, Some(_)) => Forward::VaryMiss,
            (None, None) => Forward::UriMiss,
        }
    }
}

/// What a store could tell at once.
pub(crate) enum Peeked {
    /// A response under the primary key, complete: most of what is stored, and nothing more needs to be known to answer with it.
    Plain(Found),
    /// The variant that the request selects, complete. If it cannot answer, it is looked up again with what a fetch has to know of the others.
    Variant(Found),
    Other(LookUp),
}

impl Engine {
    /// The same as [`look_up`](Self::look_up), if the store can tell at once: the path of a hit. `None` means that it has to be looked up: the store cannot tell,
    /// or it has a part of a variant, or a list of variants that selects nothing.
    pub(crate) fn peek(&self, primary: &CacheKey, request: &request::Parts) -> Option<Peeked> {
        let Some((kind, content)) = self.peek_at(primary) else {
            return self.shared.peek_tells_all.then(|| Peeked::Other(self.nothing(primary)));
        };
        let index = match kind {
            // It may fail while it is read, and who answers at once has nobody to ask then.
            Kind::Response(_) if !content.is_in_memory() => return None,
            Kind::Response(head) => match self.validity(primary, &head) {
                Validity::Valid if head.rare.part.is_none() => {
                    return Some(Peeked::Plain(Found { head, content }));
                }
                Validity::Valid => {
                    let found = Some(Found { head, content });
                    let look = LookUp::of(primary.clone(), None, found, request);
                    return Some(Peeked::Other(look));
                }
                Validity::Soft(_) | Validity::Hard => return None,
            },
            Kind::Variants(index) => index,
        };
        let mut best = Best::default();
        for key in index.candidates(primary, &request.headers) {
            match self.peek_at(&key)? {
                (Kind::Response(head), content)
                    if content.is_in_memory()
                        && head.rare.part.is_none()
                        && matches!(self.validity(primary, &head), Validity::Valid) =>
                {
                    best.offer(key, Found { head, content });
                }
                _ => return None,
            }
        }
        let (key, found) = best.found?;
        index.touch(&key);
        Some(Peeked::Variant(found))
    }

    /// The same, if it is known at once that nothing is there: mostly so for a fetch that looks again.
    pub(crate) fn peek_nothing(&self, primary: &CacheKey) -> Option<LookUp> {
        let is_known = self.shared.peek_tells_all && self.peek_at(primary).is_none();
        is_known.then(|| self.nothing(primary))
    }

    /// What is stored for this request. A store that fails has nothing.
    pub(crate) async fn look_up(&self, primary: &CacheKey, request: &request::Parts) -> LookUp {
        let stored = self.get_at(primary).await;
        let index = match stored.map(|stored| self.read(primary, stored)) {
            None => return self.nothing(primary),
            Some(Read::Gone) => {
                return LookUp { invalidated: true, ..LookUp::nothing(primary.clone()) };
            }
            Some(Read::Response(found)) => {
                return LookUp::of(primary.clone(), None, Some(found), request);
            }
            Some(Read::Stale(found)) => {
                let look = LookUp::of(primary.clone(), None, Some(found), request);
                return LookUp { invalidated: true, ..look };
            }
            Some(Read::Variants(index)) => index,
        };
        let mut best = Best::default();
        let mut invalidated = false;
        for key in index.candidates(primary, &request.headers).collect::<Vec<_>>() {
            let stored = self.get_at(&key).await;
            let read = stored.map(|stored| self.read(primary, stored));
            invalidated |= matches!(read, Some(Read::Stale(_) | Read::Gone));
            match read {
                Some(Read::Response(found) | Read::Stale(found)) => best.offer(key, found),
                Some(Read::Variants(_) | Read::Gone) | None => best.miss(key),
            }
        }
        if best.found.is_none()
            && self.policy.language_variants
            && let Some(key) = index.in_language(primary, &request.headers)
            && let Some(stored) = self.get_at(&key).await
            && let Read::Response(found) = self.read(primary, stored)
        {
            best.offer(key, found);
        }
        let look = best.select(primary, index, request);
        LookUp { invalidated, ..look.unwrap_or_else(|| LookUp::nothing(primary.clone())) }
    }

    /// Nothing is there, perhaps since it was invalidated.
    fn nothing(&self, primary: &CacheKey) -> LookUp {
        LookUp {
            invalidated: self.shared.deleted.take(primary),
            ..LookUp::nothing(primary.clone())
        }
    }

    /// Was it asked for before something made it invalid?
    #[inline]
    pub(crate) fn validity(&self, primary: &CacheKey, head: &ResponseHead) -> Validity {
        if self.shared.flights.is_invalidated(primary, head.fetch) {
            return Validity::Hard;
        }
        self.shared.rules.validity(primary, head)
    }

    /// What a stored response says.
    #[inline]
    fn read(&self, primary: &CacheKey, (kind, content): (Kind, Content)) -> Read {
        match kind {
            Kind::Response(head) => match self.validity(primary, &head) {
                Validity::Valid => Read::Response(Found { head, content }),
                Validity::Soft(then) => {
                    let head = Arc::new(head.stale_since(then.as_ref()));
                    Read::Stale(Found { head, content })
                }
                Validity::Hard => Read::Gone,
            },
            Kind::Variants(index) => Read::Variants(index),
        }
    }
}

enum Read {
    Response(Found),
    Variants(Arc<VariantIndex>),
    /// A rule has made it so.
    Stale(Found),
    /// A rule has made it as if it were not there.
    Gone,
}

/// Of several responses that a request selects, the most recent one is used (RFC 9111 section 4).
#[derive(Default)]
struct Best {
    found: Option<(CacheKey, Found)>,
    missed: Option<CacheKey>,
}

impl Best {
    fn offer(&mut self, key: CacheKey, new: Found) {
        if self.found.as_ref().is_none_or(|(_, best)| best.head.date < new.head.date) {
            self.found = Some((key, new));
        }
    }

    fn miss(&mut self, key: CacheKey) {
        self.missed.get_or_insert(key);
    }

    fn select(
        self,
        primary: &CacheKey,
        index: Arc<VariantIndex>,
        request: &request::Parts,
    ) -> Option<LookUp> {
        match (self.found, self.missed) {
            (Some((key, found)), _) => {
                index.touch(&key);
                Some(LookUp::of(key, Some(index), Some(found), request))
            }
            (None, Some(key)) => Some(LookUp::of(key, Some(index), None, request)),
            // An index without a set of fields selects nothing.
            (None, None) => Some(LookUp::nothing(primary.clone())),
        }
    }
}
