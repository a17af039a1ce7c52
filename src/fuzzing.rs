//! The private parsers and decisions, for the targets in `fuzz/`. It is there under `--cfg fuzzing` only, and no part of the API.
#![expect(clippy::result_unit_err, clippy::type_complexity, reason = "they are shown as they are")]
mod keys;

pub use keys::*;

use crate::{
    CachePolicy, CacheStatus, Detail, Distribution, Forward, NotStored, SetCookie,
    invalidation::record,
    semantics::{
        conditional, deception,
        directives::{Directives, RequestDirectives, Scope},
        fields, forwarding,
        freshness::{self, Freshness, Source},
        groups, invalidation,
        range::{self, Wanted},
        reuse::{self, Terms, Verdict},
        selecting::{self, Nominated},
        stored_fields,
        storing::{self, Candidate},
        survey, targeted, trailers, validation,
    },
    stored::{self, Parts, Whose},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use std::{
    borrow::Cow,
    ops::Range,
    time::{Duration, SystemTime},
};

/// Functions under their own names, as they are.
macro_rules! as_they_are {
    ($($module:ident::$name:ident($($arg:ident: $type:ty),*) -> $result:ty;)+) => {$(
        #[doc = concat!("`", stringify!($module), "::", stringify!($name), "`.")]
        pub fn $name($($arg: $type),*) -> $result {
            $module::$name($($arg),*)
        }
    )+};
}

as_they_are! {
    conditional::has_conditions(request: &HeaderMap) -> bool;
    conditional::if_range(request: &HeaderMap, stored: &HeaderMap) -> bool;
    conditional::is_for_origin(request: &HeaderMap) -> bool;
    conditional::is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool;
    deception::contradicts(path: &str, response: &HeaderMap) -> bool;
    fields::date_of(time: SystemTime) -> Option<HeaderValue>;
    fields::delta_seconds(value: &[u8]) -> Option<Duration>;
    fields::http_date(value: &HeaderValue) -> Option<SystemTime>;
    fields::single_date(headers: &HeaderMap, name: &HeaderName) -> Result<Option<SystemTime>, ()>;
    fields::token_len(value: &[u8]) -> usize;
    fields::trim(value: &[u8]) -> &[u8];
    fields::unquote(value: &[u8]) -> Option<Vec<u8>>;
    forwarding::is_loop(request: &HeaderMap, id: &HeaderValue) -> bool;
    forwarding::mark(request: &mut HeaderMap, version: Version, via: Option<&str>, id: Option<&HeaderValue>) -> ();
    forwarding::pseudonym(name: &str) -> Option<HeaderValue>;
    forwarding::via(version: Version, name: &str) -> Option<HeaderValue>;
    freshness::corrected_initial_age(headers: &HeaderMap, date: SystemTime, request: SystemTime, response: SystemTime) -> Duration;
    freshness::date_value(headers: &HeaderMap, response: SystemTime) -> SystemTime;
    freshness::spread(length: Duration, jitter: f64, random: u64) -> Duration;
    groups::listed(headers: &HeaderMap, name: &HeaderName) -> Vec<String>;
    invalidation::is_content_of(target: &Uri, response: &HeaderMap) -> bool;
    invalidation::named_uris(target: &Uri, response: &HeaderMap) -> Vec<Uri>;
    invalidation::resolve(base: &Uri, reference: &str) -> Option<Uri>;
    range::asks_for_one(request: &HeaderMap) -> bool;
    range::carried(response: &HeaderMap) -> Option<(Range<u64>, u64)>;
    range::content_range(part: &Range<u64>, len: u64) -> String;
    range::request_for(part: &Range<u64>) -> String;
    selecting::content_language(response: &HeaderMap) -> Option<Vec<u8>>;
    selecting::preferred_language(request: &HeaderMap) -> Option<Vec<u8>>;
    storing::content_length(headers: &HeaderMap) -> Result<Option<u64>, ()>;
    validation::add_validators(request: &mut HeaderMap, stored: &HeaderMap) -> ();
    validation::agrees(stored: &HeaderMap, update: &HeaderMap) -> bool;
    validation::freshen(stored: &mut HeaderMap, update: &HeaderMap) -> ();
    validation::identifies(stored: &HeaderMap, update: &HeaderMap) -> bool;
    validation::is_same_strong(a: &HeaderMap, b: &HeaderMap) -> bool;
}

/// `selecting::normalised`.
pub fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    selecting::normalised(name, request).map(Cow::into_owned)
}

/// `stored::compact`, with room for some content.
pub fn compact(headers: &HeaderMap) -> HeaderMap {
    stored::compact(headers.iter(), 7).0
}

/// `Distribution::route`.
pub fn route(distribution: &Distribution, uri: &Uri, headers: &HeaderMap) -> Option<usize> {
    distribution.route(uri, headers)
}

/// `groups::of_response`: the tags that are kept, and whether it has any.
pub fn tags(headers: &HeaderMap, tag_fields: &[HeaderName]) -> (Vec<String>, bool) {
    let tags = groups::of_response(headers, tag_fields);
    (tags.names, tags.any)
}

/// Is this a note of rules, under this number, or of the state beside them? If it is, what is written again is what was read.
pub fn note(number: u64, note: &[u8]) -> bool {
    let note = bytes::Bytes::copy_from_slice(note);
    let rule = record::decode_rule(number, note.clone());
    let state = record::decode_state(note.clone());
    assert!(rule.is_err() || state.is_err(), "it is one of both");
    for again in rule.iter().map(record::encode_rule).chain(state.iter().map(record::encode_state))
    {
        assert_eq!(again, note);
    }
    rule.is_ok() || state.is_ok()
}

/// `fields::members`.
pub fn members(line: &[u8]) -> Vec<&[u8]> {
    fields::members(line).collect()
}

/// The fields that `Vary` nominates; `None` for a star.
pub fn nominated(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    match Nominated::of(response) {
        Nominated::Nothing => Some(Vec::new()),
        Nominated::Fields(names) => Some(names),
        Nominated::Star => None,
    }
}

/// `range::wanted`: the parts, of which none is a 416; `None` for the whole.
pub fn wanted(request: &HeaderMap, len: u64) -> Option<Vec<Range<u64>>> {
    match range::wanted(request, len) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(vec![part]),
        Wanted::Parts(parts) => Some(parts),
        Wanted::Unsatisfiable => Some(Vec::new()),
    }
}

/// The directives of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(Directives);

impl Said {
    /// Those of `Cache-Control`, or of a field of the target list, and whether it is such a one.
    pub fn of(response: &HeaderMap, targets: &[HeaderName]) -> (Self, bool) {
        let selected = targeted::select(response, targets);
        (Self(selected.directives), selected.targeted)
    }

    /// `max-age`, `s-maxage`, `stale-while-revalidate`, `stale-if-error`.
    pub fn seconds(&self) -> [Option<u64>; 4] {
        let d = &self.0;
        [d.max_age, d.s_maxage, d.stale_while_revalidate, d.stale_if_error]
            .map(|duration| duration.map(|d| d.as_secs()))
    }

    /// `no-store`, `must-revalidate`, `proxy-revalidate`, `public`, `must-understand`.
    pub fn flags(&self) -> [bool; 5] {
        let d = &self.0;
        [d.no_store, d.must_revalidate, d.proxy_revalidate, d.public, d.must_understand]
    }

    /// `no-cache` and `private`: the fields they list, of which none is the whole response.
    pub fn scopes(&self) -> [Option<&[HeaderName]>; 2] {
        [&self.0.no_cache, &self.0.private].map(|scope| match scope {
            Scope::Absent => None,
            Scope::Fields(names) => Some(names.as_slice()),
            Scope::Whole => Some(&[][..]),
        })
    }

    /// `Directives::forbid_stale`.
    pub fn forbid_stale(&self) -> bool {
        self.0.forbid_stale()
    }

    /// `trailers::storable`.
    pub fn storable_trailers(&self, trailers: HeaderMap, max: usize) -> Option<HeaderMap> {
        trailers::storable(trailers, &self.0, &[], max)
    }

    /// What `stored_fields::Unstorable` leaves.
    pub fn remove_unstorable(&self, headers: &mut HeaderMap, cookies: SetCookie) {
        let unstorable = stored_fields::Unstorable::of(headers, &self.0, cookies);
        let left = headers.iter().filter(|(name, _)| !unstorable.contains(name));
        *headers = left.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
}

/// The directives of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(RequestDirectives);

impl Asked {
    /// Those of `Cache-Control` or `Pragma`.
    pub fn of(request: &HeaderMap) -> Self {
        Self(RequestDirectives::of_request(request))
    }

    /// `max-age`, `min-fresh`, and `max-stale`, which may have no limit.
    pub fn seconds(&self) -> (Option<u64>, Option<u64>, Option<Option<u64>>) {
        let seconds = |duration: Duration| duration.as_secs();
        let d = &self.0;
        (d.max_age.map(seconds), d.min_fresh.map(seconds), d.max_stale.map(|d| d.map(seconds)))
    }

    /// `no-cache`, `no-store`, `only-if-cached`.
    pub fn flags(&self) -> [bool; 3] {
        [self.0.no_cache, self.0.no_store, self.0.only_if_cached]
    }
}

/// A request and the response to it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// Of the request.
    pub path: &'a str,
    /// Of the request.
    pub request: &'a HeaderMap,
    /// Of the response.
    pub status: StatusCode,
    /// Of the response.
    pub response: &'a HeaderMap,
    /// When the response came.
    pub time: SystemTime,
}

/// How long the response is fresh, and whether it says so itself, in words or by its silence.
pub fn lifetime(policy: &CachePolicy, exchange: &Exchange<'_>) -> (Duration, bool) {
    let selected = targeted::select(exchange.response, &policy.targets);
    let lifetime = lifetime_of(policy, exchange, &selected);
    (lifetime.length, matches!(lifetime.source, Source::Explicit | Source::Silent))
}

fn lifetime_of(
    policy: &CachePolicy,
    exchange: &Exchange<'_>,
    selected: &targeted::Selected,
) -> freshness::Lifetime {
    let Exchange { status, response, time, .. } = *exchange;
    let targeted::Selected { directives, targeted } = selected;
    freshness::lifetime(status, response, directives, *targeted, time, &policy.lifetime)
}

/// `storing::may_store`.
pub fn may_store(policy: &CachePolicy, exchange: &Exchange<'_>) -> Result<(), NotStored> {
    let selected = targeted::select(exchange.response, &policy.targets);
    let candidate = Candidate {
        request_method: exchange.method,
        path: exchange.path,
        request_headers: exchange.request,
        status: exchange.status,
        headers: exchange.response,
        survey: &survey::ResponseSurvey::of(exchange.response, &policy.targets),
        directives: &selected.directives,
        declared: storing::content_length(exchange.response),
        lifetime: lifetime_of(policy, exchange, &selected),
        nominated: &Nominated::of(exchange.response),
    };
    storing::may_store(&candidate, &policy.storing)
}

/// `reuse::judge`: how far it is from fresh, from 0 to 2, and why the origin has to be asked, if it has.
pub fn judge(
    policy: &CachePolicy,
    (asked, said): (&Asked, &Said),
    [lifetime, current_age]: [Duration; 2],
) -> (u8, Option<Forward>) {
    let freshness = Freshness { lifetime, current_age };
    match reuse::judge(&asked.0, &said.0, freshness, &policy.stale) {
        Verdict::Fresh => (0, None),
        Verdict::StaleWhileRevalidate => (1, None),
        Verdict::MustAsk(reason) => (2, Some(reason)),
    }
}

/// `reuse::may_serve_on_error`.
pub fn may_serve_on_error(
    policy: &CachePolicy,
    said: &Said,
    [lifetime, current_age]: [Duration; 2],
) -> bool {
    reuse::may_serve_on_error(&said.0, Freshness { lifetime, current_age }, &policy.stale)
}

/// A `CacheStatus` of any parts, and the member of the field with this name.
pub fn cache_status(
    [hit, stored, collapsed]: [bool; 3],
    forward: Option<Forward>,
    forward_status: Option<StatusCode>,
    ttl: Option<i64>,
    detail: Option<Detail>,
    name: &str,
) -> (CacheStatus, Option<HeaderValue>) {
    let status = CacheStatus { hit, forward, forward_status, ttl, stored, collapsed, detail };
    (status, status.to_value(name))
}

/// Which parts of a representation are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part(Parts);

impl Part {
    /// `None` if they are not sound.
    pub fn new(ranges: Vec<Range<u64>>, complete: u64) -> Option<Self> {
        Parts::from_ranges(ranges, complete).map(Self)
    }

    /// Ascending, disjoint and not adjacent.
    pub fn ranges(&self) -> &[Range<u64>] {
        self.0.ranges()
    }

    /// `Parts::locate`.
    pub fn locate(&self, wanted: &Range<u64>) -> Option<Range<u64>> {
        self.0.locate(wanted)
    }

    /// `Parts::gap`.
    pub fn gap(&self) -> Option<Range<u64>> {
        self.0.gap()
    }

    /// `Parts::is_complete`.
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// `Parts::combine`: both, and the pieces, of which the new ones are marked.
    pub fn combine(&self, new: &Self) -> Option<(Self, Vec<(bool, Range<u64>)>)> {
        let (both, pieces) = self.0.combine(&new.0)?;
        let pieces = pieces.into_iter().map(|(whose, range)| (whose == Whose::New, range));
        Some((Self(both), pieces.collect()))
    }
}
