//! The head of a stored response: parsed once, shared by all who use it.
use super::{KeptDate, KeptDirectives, Rare, RecordError, VariantIndex, record};
use crate::{
    CacheKey,
    clock::Moment,
    semantics::{
        conditional,
        freshness::Freshness,
        range::{self, Wanted},
    },
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Everything that is stored about a response but its content. Cheap to clone.
///
/// A store keeps it as it is, or as the bytes of [`to_bytes`](Self::to_bytes).
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHead {
    pub(crate) key: CacheKey,
    pub(crate) kind: Kind,
}

/// What lies under a key: a response, or the marker that tells which request fields select one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Response(Arc<ResponseHead>),
    Variants(Arc<VariantIndex>),
}

impl Kind {
    /// See [`StoredHead::is_update_of`].
    pub(crate) fn is_update_of(&self, stored: &Self) -> bool {
        match (self, stored) {
            (Self::Response(new), Self::Response(old)) => new.content == old.content,
            _ => false,
        }
    }

    pub(crate) fn has_content(&self, content: u64) -> bool {
        matches!(self, Self::Response(head) if head.content == content)
    }
}

/// The head of a response, and what was derived from it when it was received.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) directives: KeptDirectives,
    /// RFC 9111 section 4.2.1, clamped by the policy.
    pub(crate) lifetime: Duration,
    /// RFC 9111 section 4.2.3.
    pub(crate) corrected_initial_age: Duration,
    pub(crate) response_time: Moment,
    /// The `Date` field, or when the response was received.
    pub(crate) date: KeptDate,
    /// Drawn at random for each content that is stored: a head goes only with its own content.
    pub(crate) content: u64,
    /// The fetch that brought it, for the order of fetches and invalidations.
    pub(crate) fetch: u64,
    pub(crate) found_valid: FoundValid,
    pub(crate) rare: Rare,
}

/// Under which stamp of the rules it was found valid the last time.
#[derive(Debug, Default)]
pub(crate) struct FoundValid(AtomicU64);

impl FoundValid {
    pub(crate) fn is(&self, stamp: u64) -> bool {
        self.0.load(Ordering::Relaxed) == stamp
    }

    pub(crate) fn set(&self, stamp: u64) {
        self.0.store(stamp, Ordering::Relaxed);
    }
}

/// A copy is another response, of which nothing is known yet.
impl Clone for FoundValid {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ResponseHead {
    /// RFC 9111 section 4.2.3. Where nobody knows how long it has been stored, it counts as stale.
    #[inline]
    pub(crate) fn freshness(&self, now: &Moment) -> Freshness {
        let current_age = now.since(&self.response_time).map_or(Duration::MAX, |resident_time| {
            self.corrected_initial_age.saturating_add(resident_time)
        });
        Freshness { lifetime: self.lifetime, current_age }
    }

    /// The same, stale since then: it may answer while the origin fails, as far as it says so, and else only once it was validated. Where nobody knows since when, it
    /// has never been fresh.
    pub(crate) fn stale_since(&self, then: Option<&Moment>) -> Self {
        let age = then
            .and_then(|then| then.since(&self.response_time))
            .map_or(Duration::ZERO, |resident_time| {
                self.corrected_initial_age.saturating_add(resident_time)
            });
        let mut directives = self.directives.get().into_owned();
        directives.stale_while_revalidate = Some(Duration::ZERO);
        Self { lifetime: self.lifetime.min(age), directives: directives.into(), ..self.clone() }
    }
}

/// The groups that a response belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) named: Vec<CacheKey>,
    /// It has more tags than are kept, and counts as one with any.
    pub(crate) any: bool,
    /// The URI, if the key has more than that.
    pub(crate) uri: Option<Box<CacheKey>>,
}

impl ResponseHead {
    /// RFC 9111 section 3.3: what is not complete answers only a GET for a range that it contains.
    pub(crate) fn suffices(&self, request: &request::Parts) -> bool {
        let Some(parts) = &self.rare.part else { return true };
        request.method == Method::GET
            && conditional::if_range(&request.headers, &self.headers)
            && match range::wanted(&request.headers, parts.complete) {
                Wanted::Part(part) => parts.locate(&part).is_some(),
                Wanted::Whole | Wanted::Parts(_) | Wanted::Unsatisfiable => false,
            }
    }
}

impl PartialEq for ResponseHead {
    /// The monotonic clock, and what it was found to be, belong to this process and not to the response.
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && self.headers.iter().eq(other.headers.iter())
            && self.directives.get() == other.directives.get()
            && self.lifetime == other.lifetime
            && self.corrected_initial_age == other.corrected_initial_age
            && self.response_time.wall == other.response_time.wall
            && self.date == other.date
            && self.rare.variant == other.rare.variant
            && self.rare.groups == other.rare.groups
            && self.content == other.content
            && self.rare.part == other.rare.part
            && self.fetch == other.fetch
    }
}

impl StoredHead {
    pub(crate) fn response(key: CacheKey, head: impl Into<Arc<ResponseHead>>) -> Self {
        Self { key, kind: Kind::Response(head.into()) }
    }

    pub(crate) fn variants(key: CacheKey, index: VariantIndex) -> Self {
        Self { key, kind: Kind::Variants(Arc::new(index)) }
    }

    /// The key it was stored under.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// Does this head, made by a validation, belong to the content that lies under this stored one? Only then may it take its place; see
    /// [`Store::freshen`](crate::Store::freshen).
    pub fn is_update_of(&self, stored: &Self) -> bool {
        self.kind.is_update_of(&stored.kind)
    }

    /// The memory it takes, in bytes, near enough to bound a store by.
    pub fn weight(&self) -> usize {
        let rest = match &self.kind {
            Kind::Response(head) => head.weight(),
            Kind::Variants(index) => index.weight(),
        };
        self.key.weight().saturating_add(rest)
    }

    /// A record of it, for stores that keep bytes. The format has a version; a record of another version is refused.
    pub fn to_bytes(&self) -> Vec<u8> {
        record::encode(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is damaged, or of another version. Never panics.
    pub fn from_bytes(record: impl Into<Bytes>) -> Result<Self, RecordError> {
        record::decode(record.into())
    }
}

impl ResponseHead {
    fn weight(&self) -> usize {
        let names: usize = self.headers.keys().map(|name| name.as_str().len()).sum();
        let values: usize = self.headers.values().map(HeaderValue::len).sum();
        let repeated = self.headers.len().saturating_sub(self.headers.keys_len());
        let fields = self
            .headers
            .keys_len()
            .saturating_mul(FIELD)
            .saturating_add(repeated.saturating_mul(REPEATED_FIELD))
            .saturating_add(self.headers.capacity().saturating_mul(INDEX));
        [HEAD, names, values, fields, self.rare.weight()].into_iter().fold(0, usize::saturating_add)
    }
}

/// The head and its allocations beside the bytes that they are for: the map's entries and index, the values, and what counts who shares them.
const HEAD: usize = size_of::<ResponseHead>() + 128;
/// An entry of the map.
const FIELD: usize = 104;
/// One more value of a field.
const REPEATED_FIELD: usize = 72;
/// The share of a field in the index.
const INDEX: usize = 6;

/// The same fields with all values in one buffer: what was received keeps larger buffers alive. Fields that a response gets on its way out have a place
/// already, in front and mostly with an empty value, so that a copy of the map need not grow.
///
/// Behind the values is room for so much content: what is small is kept in one allocation with its head.
pub(crate) fn compact<'a>(
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    room: usize,
) -> (HeaderMap, BytesMut) {
    let mut listed = Vec::with_capacity(USUAL_FIELDS);
    listed.extend(fields);
    let fields = listed;
    let total: usize = fields.iter().map(|(_, value)| value.len()).sum();
    let mut room = BytesMut::with_capacity(total.saturating_add(room));
    fields.iter().for_each(|(_, value)| room.extend_from_slice(value.as_bytes()));
    let mut buffer = room.split().freeze();
    let mut compacted = HeaderMap::with_capacity(fields.len().saturating_add(PLACES.len()));
    for name in &PLACES {
        compacted.insert(name, HeaderValue::from_static(""));
    }
    for (name, value) in fields {
        let bytes = buffer.split_to(value.len());
        let mut copy = HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
        copy.set_sensitive(value.is_sensitive());
        let place = if PLACES.contains(name) { place(&mut compacted, name) } else { None };
        match place {
            Some(place) if place.is_empty() => *place = copy,
            // One value is enough.
            Some(_) if *name == header::AGE => {}
            Some(_) | None => drop(compacted.append(name, copy)),
        }
    }
    // Maps grow by doubling; a copy has room for just what is there.
    let is_roomy = compacted.capacity() > compacted.keys_len().saturating_add(SPARE_FIELDS);
    (if is_roomy { compacted.clone() } else { compacted }, room)
}

/// Room for more fields than this is given back.
const SPARE_FIELDS: usize = 2;

/// More than most responses have.
const USUAL_FIELDS: usize = 32;

/// The place that a stored head has for a field of [`PLACES`].
fn place<'a>(headers: &'a mut HeaderMap, name: &HeaderName) -> Option<&'a mut HeaderValue> {
    headers.iter_mut().take(PLACES.len()).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Where they are found without a hash, wherever else they are then too.
static PLACES: [HeaderName; 2] = [header::AGE, HeaderName::from_static("cache-status")];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_compact_head_has_what_was_received_and_places_in_front() {
        let received = map(&[
            ("etag", "\"a\""),
            ("cache-status", "one"),
            ("x-a", "1"),
            ("age", "5"),
            ("x-a", "2"),
            ("cache-status", "two"),
            ("age", "6"),
        ]);
        let (mut compacted, room) = compact(received.iter(), 7);
        assert_eq!((room.len(), room.capacity()), (0, 7));
        assert_eq!(place(&mut compacted, &header::AGE).unwrap(), "5", "one is enough");
        assert_eq!(place(&mut compacted, &PLACES[1]).unwrap(), "one");
        for name in ["etag", "x-a", "cache-status"] {
            assert!(compacted.get_all(name).iter().eq(received.get_all(name)), "{name}");
        }
        assert_eq!(compact(compacted.iter(), 0).0, compacted);
        let (mut none, _) = compact(HeaderMap::new().iter(), 0);
        for name in &PLACES {
            assert_eq!(place(&mut none, name).unwrap(), "");
        }
        assert_eq!(place(&mut none, &header::ETAG), None);
    }
}
