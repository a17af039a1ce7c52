//! What holds for any request, any response and any time.
use super::{
    conditional, directives::*, fields, forwarding, freshness::*, groups, invalidation, range,
    range::Wanted, reuse::*, selecting, sharing, storing::*, survey::ResponseSurvey, targeted,
    validation,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

/// Bytes that may stand in a field value: much of what parsers stumble over.
fn value() -> impl Strategy<Value = HeaderValue> {
    let pieces: Vec<&'static [u8]> = vec![
        b"max-age=",
        b"s-maxage",
        b"no-store",
        b"private",
        b"no-cache=",
        b"\"",
        b"\\",
        b",",
        b" ",
        b"\t",
        b"=",
        b";",
        b"-",
        b"*",
        b"bytes=",
        b"bytes ",
        b"/",
        b"0",
        b"60",
        b"99999999999999999999",
        b"W/",
        b"\"a\"",
        b"gzip;q=0.",
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"\xff\xe9",
        b"public",
        b"must-understand",
        b"stale-while-revalidate=5",
        b":",
        b"?1",
        b"(",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..12)
        .prop_map(|pieces| HeaderValue::from_bytes(&pieces.concat()).unwrap())
}

const NAMES: [HeaderName; 19] = [
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::EXPIRES,
    header::DATE,
    header::AGE,
    header::VARY,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::CONTENT_RANGE,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::LOCATION,
];

fn fields_of() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        prop::sample::select(NAMES.to_vec()),
        Just(HeaderName::from_static("cdn-cache-control")),
        Just(groups::CACHE_GROUPS),
        Just(forwarding::CDN_LOOP),
    ];
    prop::collection::vec((name, value()), 0..8)
        .prop_map(|lines| lines.into_iter().collect::<Vec<_>>())
        .prop_map(|lines| {
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                map.append(name, value);
            }
            map
        })
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..100, Just(u64::MAX), any::<u64>()]
}

fn rules(if_error: u64) -> StaleRules {
    StaleRules { while_revalidate: Duration::from_secs(5), if_error: Duration::from_secs(if_error) }
}

fn lifetime_rules(default: Option<u64>) -> LifetimeRules {
    LifetimeRules {
        min_ttl: Duration::from_secs(1),
        default_ttl: default.map(Duration::from_secs),
        max_ttl: Duration::from_secs(fields::MAX_DELTA),
        heuristic: Some((0.1, Duration::from_secs(86_400))),
        jitter: 0.1,
        errors: ErrorLifetimes::default(),
    }
}

/// The verdicts in their order: time only ever leads from one to a later one.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fresh => 0,
        Verdict::StaleWhileRevalidate => 1,
        Verdict::MustAsk(_) => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn s4_2_the_verdict_is_monotone_in_time(
        request in fields_of(), stored in fields_of(), lifetime in seconds(), age in seconds(), more in seconds(),
    ) {
        let (request, stored) = (RequestDirectives::of_request(&request), Directives::of_response(&stored));
        let at = |age| Freshness { lifetime: Duration::from_secs(lifetime), current_age: Duration::from_secs(age) };
        let verdict = |age| rank(judge(&request, &stored, at(age), &rules(0)));
        prop_assert!(verdict(age) <= verdict(age.saturating_add(more)));
        let on_error = |age| may_serve_on_error(&stored, at(age), &rules(7));
        prop_assert!(on_error(age) || !on_error(age.saturating_add(more)));
    }

    #[test]
    fn s5_2_2_no_store_and_private_are_never_stored(
        request in fields_of(), response in fields_of(), status in 100_u16..1000, default in prop::option::of(seconds()),
        which in prop::sample::select(vec!["no-store", "NO-STORE=x", "private", "Private=\"\"", "a=\"b, no-store"]),
    ) {
        let mut response = response;
        response.remove("cdn-cache-control");
        response.append(header::CACHE_CONTROL, which.parse().unwrap());
        let directives = Directives::of_response(&response);
        prop_assume!(!directives.must_understand);
        let status = StatusCode::from_u16(status).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let lifetime = lifetime(status, &response, &directives, false, now, &lifetime_rules(default));
        let candidate = Candidate {
            request_method: &Method::GET, path: "/", request_headers: &request, status, headers: &response,
            survey: &ResponseSurvey::of(&response, &[]), directives: &directives, declared: content_length(&response), lifetime, nominated: &selecting::Nominated::of(&response),
        };
        let rules = StoringRules { set_cookie: sharing::SetCookie::Store, honor_request_no_store: false, store_post: true, ignore_cookies: true };
        prop_assert!(may_store(&candidate, &rules).is_err());
    }

    #[test]
    fn s4_1_requests_that_select_one_variant_have_equal_values_in_every_nominated_field(
        one in fields_of(), two in fields_of(), response in fields_of(),
    ) {
        use crate::CacheKey;
        if let selecting::Nominated::Fields(names) = selecting::Nominated::of(&response) {
            let primary = CacheKey::from_bytes(vec![1]);
            let is_same_key = primary.variant(7, &names, &one) == primary.variant(7, &names, &two);
            let is_same = names.iter().all(|name| selecting::normalised(name, &one) == selecting::normalised(name, &two));
            prop_assert_eq!(is_same_key, is_same);
        }
    }

    #[test]
    fn s14_a_part_lies_within_the_representation(request in fields_of(), len in seconds()) {
        match range::wanted(&request, len) {
            Wanted::Whole | Wanted::Unsatisfiable => {}
            Wanted::Part(part) => prop_assert!(!part.is_empty() && part.end <= len),
            Wanted::Parts(parts) => {
                prop_assert!(parts.len() <= 8 && parts.windows(2).all(|pair| pair[0].end <= pair[1].start));
                prop_assert!(parts.iter().all(|part| !part.is_empty() && part.end <= len));
            }
        }
    }

    #[test]
    fn nothing_panics_on_any_fields(
        one in fields_of(), two in fields_of(), status in 100_u16..1000, reference in ".{0,30}", noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let status = StatusCode::from_u16(status).unwrap();
        let selected = targeted::select(&one, &targeted::cdn());
        let found = lifetime(status, &one, &selected.directives, selected.targeted, now, &lifetime_rules(Some(5)));
        prop_assert!(found.length <= Duration::from_secs(fields::MAX_DELTA));
        let _ = corrected_initial_age(&one, now, now, now);
        let _ = (conditional::is_not_modified(&one, &two), conditional::if_range(&one, &two), range::carried(&one), range::asks_for_one(&one));
        let _ = (groups::listed(&one, &groups::CACHE_GROUPS), selecting::preferred_language(&one), selecting::content_language(&one));
        let _ = forwarding::is_loop(&one, &HeaderValue::from_static("x"));
        let mut stored = one.clone();
        validation::freshen(&mut stored, &two);
        prop_assert_eq!(stored.get_all(header::CONTENT_LENGTH).iter().count(), one.get_all(header::CONTENT_LENGTH).iter().count());
        let _ = invalidation::resolve(&Uri::from_static("http://a/b/c?d"), &reference);
        let _ = fields::members(&noise).count();
        let _ = fields::unquote(&noise);
    }
}
