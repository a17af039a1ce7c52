//! The reception of an origin's response: may it be stored, where, and with what head (RFC 9111 section 3)?
use super::{Engine, look_up::LookUp};
use crate::{
    CacheKey, CachePolicy,
    clock::Moment,
    semantics::{
        directives::Directives,
        fields, freshness, groups,
        selecting::{self, Nominated},
        sharing,
        stored_fields::{Unstorable, end_to_end},
        storing::{self, Candidate, NotStored},
        survey::ResponseSurvey,
        targeted,
    },
    stored::{self, FoundValid, Membership, Parts, RareParts, ResponseHead},
};
use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// What arrived, and when it was asked for and came.
pub(crate) struct Arrival<'a> {
    pub(crate) request_method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) request_headers: &'a HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// Those of them that the origin sent, if the others are those of a stored response.
    pub(crate) update: Option<&'a HeaderMap>,
    /// That stored response.
    pub(crate) stored: Option<&'a ResponseHead>,
    pub(crate) times: (Moment, Moment),
    /// The number of the fetch.
    pub(crate) fetch: u64,
    /// Those of the stored response that it freshens or completes.
    pub(crate) groups: Membership,
    /// The content that it is the head of, if that is stored already.
    pub(crate) content: Option<u64>,
    /// What it has of the representation, if not all.
    pub(crate) part: Option<Parts>,
}

/// A response that may be stored.
pub(crate) struct Reception {
    pub(crate) key: CacheKey,
    pub(crate) head: Arc<ResponseHead>,
    /// The length that the head declares.
    pub(crate) declared: Option<u64>,
    pub(crate) own: OwnFields,
    /// For the content, if it is known to be small.
    pub(crate) room: BytesMut,
}

/// How the fields for the one who asked come of those that were received.
#[derive(Debug)]
pub(crate) struct OwnFields {
    /// Some of them belong to the connection.
    has_hop_by_hop: bool,
    /// Where the response has none.
    date: Option<HeaderValue>,
}

impl OwnFields {
    /// They are moved out and not copied: all but what belongs to the connection, also those that nobody else may have.
    pub(crate) fn of(self, received: HeaderMap) -> HeaderMap {
        let mut own = if self.has_hop_by_hop { end_to_end(received) } else { received };
        if let Some(date) = self.date {
            own.insert(header::DATE, date);
        }
        own
    }
}

/// Content that is not longer is kept in one allocation with its head.
const SMALL: u64 = 4096;

impl Engine {
    /// Judges a response, or a stored one that was freshened.
    pub(crate) fn receive(
        &self,
        primary: &CacheKey,
        look: &LookUp,
        arrival: Arrival<'_>,
    ) -> Result<Reception, NotStored> {
        let Arrival { request_method, path, request_headers, status, headers, .. } = arrival;
        let (request_time, response_time) = arrival.times;
        let survey = ResponseSurvey::of(headers, &self.policy.targets);
        let targets = if survey.targeted { self.policy.targets.as_slice() } else { &[] };
        let mut selected = targeted::select(headers, targets);
        let nominated = if survey.vary { Nominated::of(headers) } else { Nominated::Nothing };
        let lifetime = freshness::lifetime(
            status,
            headers,
            &selected.directives,
            selected.targeted,
            response_time.wall,
            &self.policy.lifetime,
        );
        let declared = storing::content_length(headers);
        let candidate = Candidate {
            request_method,
            path,
            request_headers,
            status,
            headers,
            survey: &survey,
            directives: &selected.directives,
            declared,
            lifetime,
            nominated: &nominated,
        };
        storing::may_store(&candidate, &self.policy.storing)?;
        let must_be_validated = match arrival.stored {
            // For whom it may have been made, the request that it answered has told, and not the one that updates it.
            Some(stored) if stored.lifetime.is_zero() => {
                lifetime.length.is_zero() && stored.directives.get().must_revalidate
            }
            _ => storing::must_be_validated(&candidate, &self.policy.storing),
        };
        if let Some(update) = arrival.update {
            let CachePolicy { targets, storing, .. } = &self.policy;
            sharing::may_update(request_headers, update, targets, storing.set_cookie)?;
        }
        let declared = declared.map_err(|()| NotStored::Framing)?;
        if declared > Some(self.policy.limits.max_object)
            || survey.bytes > self.policy.limits.max_head
        {
            return Err(NotStored::TooLarge);
        }

        let date = freshness::date_value(headers, response_time.wall);
        let corrected_initial_age =
            freshness::corrected_initial_age(headers, date, request_time.wall, response_time.wall);
        let groups = self.groups_of(primary, headers, &survey, arrival.groups);
        // A head that was freshened has its content already.
        let room = declared.filter(|length| arrival.content.is_none() && *length <= SMALL);
        let room = room.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let (own, (headers, room)) =
            self.divide(headers, &survey, &selected.directives, response_time, room);
        let (key, variant) = match nominated {
            Nominated::Fields(shape) => {
                let generation = look.generation.unwrap_or_else(random);
                let key = primary.variant(generation, &shape, request_headers);
                (key, Some((generation, shape)))
            }
            Nominated::Nothing | Nominated::Star => (primary.clone(), None),
        };
        let by_language = variant.as_ref().and_then(|(generation, shape)| {
            let language = selecting::content_language(&headers)?;
            primary.language_variant(*generation, shape, request_headers, &language)
        });
        selected.directives.must_revalidate |= must_be_validated;
        let content = arrival.content.unwrap_or_else(random);
        let length = freshness::spread(lifetime.length, self.policy.lifetime.jitter, content);
        let head = ResponseHead {
            status,
            headers,
            directives: selected.directives.into(),
            lifetime: length,
            corrected_initial_age,
            response_time,
            date: date.into(),
            content,
            fetch: arrival.fetch,
            found_valid: FoundValid::default(),
            rare: RareParts {
                variant,
                by_language: by_language.map(Box::new),
                groups,
                part: arrival.part,
            }
            .into(),
        };
        Ok(Reception { key, head: Arc::new(head), declared, own, room })
    }

    /// The groups of a response; `before` is what it had before it was freshened. Tags are not stored with its fields: they stay unless the update has all fields that
    /// list them.
    pub(super) fn groups_of(
        &self,
        primary: &CacheKey,
        headers: &HeaderMap,
        survey: &ResponseSurvey,
        before: Membership,
    ) -> Membership {
        let tag_fields = &self.policy.tag_fields;
        let names = if survey.groups || !tag_fields.is_empty() {
            groups::of_response(headers, tag_fields)
        } else {
            groups::Names::default()
        };
        let mut named: Vec<_> = names.names.iter().map(|name| primary.group(name)).collect();
        let mut any = names.any;
        if !tag_fields.iter().all(|name| headers.contains_key(name)) {
            any |= before.any;
            named.extend(before.named.into_iter().filter(|old| {
                let name = old.target().group.unwrap_or_default();
                !names.names.iter().any(|new| new.as_bytes() == name)
            }));
        }
        any |= named.len() > groups::MAX_GROUPS;
        named.truncate(groups::MAX_GROUPS);
        Membership { named, any, uri: primary.bare().map(Box::new) }
    }

    /// The fields for the one who asked, and those for the store with room for so much content.
    fn divide(
        &self,
        headers: &HeaderMap,
        survey: &ResponseSurvey,
        directives: &Directives,
        response_time: Moment,
        room: usize,
    ) -> (OwnFields, (HeaderMap, BytesMut)) {
        // RFC 9110 section 6.6.1.
        let date = (!survey.date).then(|| fields::date_of(response_time.wall)).flatten();
        let cookies = self.policy.storing.set_cookie;
        let unstorable = if survey.hop_by_hop {
            Unstorable::of(headers, directives, cookies)
        } else {
            Unstorable::end_to_end(directives, cookies)
        };
        let tags = self.policy.own_tag_fields();
        let storable =
            headers.iter().filter(|(name, _)| !unstorable.contains(name) && !tags.contains(name));
        let added = date.iter().map(|date| (&header::DATE, date));
        let stored = stored::compact(storable.chain(added), room);
        (OwnFields { has_hop_by_hop: survey.hop_by_hop, date }, stored)
    }

    /// The fields that list tags are for the cache, unless caches stand in front of it.
    pub(super) fn remove_tags(&self, headers: &mut HeaderMap) {
        for name in self.policy.own_tag_fields() {
            headers.remove(name);
        }
    }
}

/// Of all names and values, in bytes.
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0, usize::saturating_add)
}

/// Never the same twice: variants of an index that was removed stay out of reach, and a head finds only its own content.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
