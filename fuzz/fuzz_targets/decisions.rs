//! May it be stored, how long is it fresh, may it answer? What forbids forbids whatever else is said, and time only ever makes older.
//!
//! The input: bytes of policy, method, status, times and path; then the fields of a request and, behind an empty line, of the response.
#![no_main]
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, SystemTime};
use tower_cdn::{
    CachePolicy, Forward, NotStored, SetCookie,
    fuzzing::{self, Asked, Exchange, Said},
};
use tower_cdn_fuzz::{Input, values};

const TARGETED: HeaderName = HeaderName::from_static("cdn-cache-control");
const MAX: Duration = Duration::from_secs(1 << 31);

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let rules = Rules::read(&mut input);
    let policy = rules.policy();
    let methods = [Method::GET, Method::GET, Method::GET, Method::POST, Method::HEAD, Method::PUT];
    let method = input.pick(&methods);
    let common = [200, 200, 200, 203, 204, 206, 301, 302, 304, 400, 404, 416, 500, 503];
    let status = match input.byte() {
        255 => 100 + (input.number() % 900) as u16,
        byte => common[usize::from(byte) % common.len()],
    };
    let status = StatusCode::from_u16(status).expect("a status");
    let times = [(); 4].map(|()| input.small());
    let path = ["/", "/x.css", "/a;b.js", "/x"][usize::from(input.byte() % 4)];
    let (request, response) = (input.fields(), input.fields());
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let exchange =
        Exchange { method: &method, path, request: &request, status, response: &response, time };
    storing(&rules, &policy, &exchange);
    lifetimes(&rules, &policy, &exchange);
    ages(&response, time, times);
    staleness(&rules, &policy, &request, &response, times);
    what_is_stored(&response, rules.set_cookie);
    trailers(&response, &request, times[0]);
});

struct Rules {
    min_ttl: u64,
    max_ttl: u64,
    default_ttl: Option<u64>,
    heuristic: bool,
    honor: bool,
    set_cookie: SetCookie,
    store_post: bool,
    ignore_cookies: bool,
    windows: [u64; 2],
}

impl Rules {
    fn read(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let is = |bit: u8| flags & (1 << bit) != 0;
        let cookies =
            [SetCookie::UnlessMeantForMany, SetCookie::Store, SetCookie::Strip, SetCookie::Never];
        Self {
            min_ttl: if is(0) { input.small() } else { 0 },
            max_ttl: if is(1) { input.small() } else { 1 << 31 },
            default_ttl: is(2).then(|| input.small()),
            heuristic: is(3),
            honor: is(4),
            set_cookie: input.pick(&cookies),
            store_post: is(5),
            ignore_cookies: is(6),
            windows: if is(7) { [input.small(), input.small()] } else { [0; 2] },
        }
    }

    fn policy(&self) -> CachePolicy {
        let policy = CachePolicy::default()
            .min_ttl(Duration::from_secs(self.min_ttl))
            .max_ttl(Duration::from_secs(self.max_ttl))
            .honor_request_directives(self.honor)
            .set_cookie(self.set_cookie)
            .store_post(self.store_post)
            .ignore_cookies(self.ignore_cookies)
            .stale_while_revalidate(Duration::from_secs(self.windows[0]))
            .stale_if_error(Duration::from_secs(self.windows[1]));
        let policy = match self.default_ttl {
            Some(ttl) => policy.default_ttl(Duration::from_secs(ttl)),
            None => policy,
        };
        if self.heuristic {
            policy.heuristic_freshness(0.1, Duration::from_secs(99))
        } else {
            policy
        }
    }
}

fn has(headers: &HeaderMap, name: HeaderName) -> bool {
    headers.contains_key(name)
}

fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    values(headers, name).into_iter().flat_map(fuzzing::members).collect()
}

/// RFC 9111 section 3.
fn storing(rules: &Rules, policy: &CachePolicy, exchange: &Exchange<'_>) {
    let (said, is_targeted) = Said::of(exchange.response, &[TARGETED]);
    let verdict = fuzzing::may_store(policy, exchange);
    let [no_store, must_revalidate, _, public, must_understand] = said.flags();
    let for_many = public || said.seconds()[1].is_some();
    if verdict.is_ok() {
        let (request, response) = (exchange.request, exchange.response);
        let is_post = *exchange.method == Method::POST && rules.store_post;
        assert!(*exchange.method == Method::GET || is_post);
        let status = exchange.status.as_u16();
        assert!(status >= 200 && ![206, 304, 416].contains(&status));
        assert!(!no_store || must_understand);
        let is_private = said.scopes()[1].is_some_and(<[_]>::is_empty);
        assert!(!is_private, "private");
        assert!(fuzzing::nominated(response).is_some(), "Vary: *");
        let has_authorization = has(request, header::AUTHORIZATION);
        assert!(!has_authorization || for_many || must_revalidate);
        if has(response, header::SET_COOKIE) {
            assert!(match rules.set_cookie {
                SetCookie::Never => false,
                SetCookie::UnlessMeantForMany => for_many,
                _ => true,
            });
        }
        assert!(!rules.honor || !Asked::of(request).flags()[1], "no-store of the request");
        assert!(fuzzing::content_length(response).is_ok());
        for option in members(response, &header::CONNECTION) {
            assert!(!option.eq_ignore_ascii_case(b"cache-control"));
            assert!(!option.eq_ignore_ascii_case(b"set-cookie"));
        }
        let (_, is_asked_for) = fuzzing::lifetime(policy, exchange);
        let has_validator = has(response, header::ETAG) || has(response, header::LAST_MODIFIED);
        let is_explicit = said.seconds()[..2].iter().any(Option::is_some)
            || (!is_targeted && has(response, header::EXPIRES));
        assert!(is_explicit || !is_asked_for || has_validator);
    }

    // One more field can forbid storing, and never permit it.
    let with = |name: HeaderName, value: &'static str, of_request: bool| {
        let (mut request, mut response) = (exchange.request.clone(), exchange.response.clone());
        let headers = if of_request { &mut request } else { &mut response };
        headers.append(name, HeaderValue::from_static(value));
        fuzzing::may_store(
            policy,
            &Exchange { request: &request, response: &response, ..*exchange },
        )
    };
    let is_stored = |verdict: Result<(), NotStored>| verdict.is_ok();
    assert!(!is_stored(with(header::VARY, "*", false)));
    if !is_targeted {
        assert!(!is_stored(with(header::CACHE_CONTROL, "private", false)));
        let verdict = with(header::CACHE_CONTROL, "a=\"b, no-store", false);
        assert!(!is_stored(verdict) || Said::of(exchange.response, &[]).0.flags()[4]);
    }
    if verdict.is_err() {
        for (name, value) in [(header::AUTHORIZATION, "a"), (header::COOKIE, "a=b")] {
            assert!(!is_stored(with(name, value, true)));
        }
        for (name, value) in [
            (header::SET_COOKIE, "a=b"),
            (header::CONNECTION, "etag, x"),
            (header::TRANSFER_ENCODING, "chunked"),
            (header::VARY, "a"),
        ] {
            assert!(!is_stored(with(name, value, false)), "{verdict:?}");
        }
    }
}

/// RFC 9111 section 4.2.1.
fn lifetimes(rules: &Rules, policy: &CachePolicy, exchange: &Exchange<'_>) {
    let (length, is_asked_for) = fuzzing::lifetime(policy, exchange);
    let (said, is_targeted) = Said::of(exchange.response, &[TARGETED]);
    let clamp = |seconds: u64| Duration::from_secs(seconds.max(rules.min_ttl).min(rules.max_ttl));
    let [max_age, s_maxage, ..] = said.seconds();
    if let Some(seconds) = s_maxage.or(max_age) {
        return assert_eq!((length, is_asked_for), (clamp(seconds), true));
    }
    let single = |name| fuzzing::single_date(exchange.response, &name);
    if !is_targeted && has(exchange.response, header::EXPIRES) {
        let date = single(header::DATE).ok().flatten().unwrap_or(exchange.time);
        let left = single(header::EXPIRES).ok().flatten().map(|at| at.duration_since(date));
        let left = left.and_then(Result::ok).map_or(0, |left| left.as_secs());
        return assert_eq!((length, is_asked_for), (clamp(left), true));
    }
    if is_asked_for {
        assert_eq!(length, Duration::ZERO, "nothing was said");
    } else {
        assert!(rules.heuristic || rules.default_ttl.is_some());
        assert!(length >= clamp(0) && length <= Duration::from_secs(rules.max_ttl));
        let longest = rules.default_ttl.unwrap_or(0).max(99).max(rules.min_ttl);
        assert!(length <= Duration::from_secs(longest));
    }
    for random in [0, 1, u64::MAX / 2, u64::MAX] {
        let spread = fuzzing::spread(length, 0.25, random);
        assert!(spread <= length);
        assert!(spread.as_secs_f64() >= length.as_secs_f64() * 0.75 - 1e-3);
    }
}

/// RFC 9111 section 4.2.3.
fn ages(response: &HeaderMap, time: SystemTime, [delay, later, ..]: [u64; 4]) {
    let at = |seconds: u64| time.checked_add(Duration::from_secs(seconds));
    let Some((received, later)) = at(delay).zip(at(delay.saturating_add(later))) else { return };
    let age = fuzzing::corrected_initial_age(
        response,
        fuzzing::date_value(response, received),
        time,
        received,
    );
    let age_value = response
        .get(header::AGE)
        .and_then(|line| fuzzing::members(line.as_bytes()).first().copied())
        .and_then(fuzzing::delta_seconds)
        .unwrap_or_default();
    assert!(age >= age_value.saturating_add(Duration::from_secs(delay)));
    assert!(
        age <= fuzzing::corrected_initial_age(
            response,
            fuzzing::date_value(response, later),
            time,
            later
        ),
        "it only gets older"
    );
    if !has(response, header::DATE) {
        assert_eq!(age, age_value.saturating_add(Duration::from_secs(delay)));
    }
}

/// RFC 9111 sections 4.2.4, 5.2.1 and 5.2.2, RFC 5861: the verdict, from what was said.
fn staleness(
    rules: &Rules,
    policy: &CachePolicy,
    request: &HeaderMap,
    response: &HeaderMap,
    [lifetime, age, more, _]: [u64; 4],
) {
    let (asked, said) = (Asked::of(request), Said::of(response, &[TARGETED]).0);
    let judge = |age: u64| {
        let times = [lifetime, age].map(Duration::from_secs);
        fuzzing::judge(policy, (&asked, &said), times)
    };
    let on_error = |age: u64| {
        fuzzing::may_serve_on_error(policy, &said, [lifetime, age].map(Duration::from_secs))
    };
    let (rank, reason) = judge(age);
    assert!(rank <= judge(age.saturating_add(more)).0, "time makes nothing fresh");
    assert!(on_error(age) || !on_error(age.saturating_add(more)));

    let (max_age, min_fresh, max_stale) = asked.seconds();
    let [_, _, while_revalidate, if_error] = said.seconds();
    let staleness = age.saturating_sub(lifetime);
    let is_fresh = lifetime > age;
    let no_cache = said.scopes()[0].is_some_and(<[_]>::is_empty);
    let is_too_old = max_age.is_some_and(|max| age > max) && max_stale.is_none();
    let is_fresh_enough = is_fresh && min_fresh.is_none_or(|min| lifetime - age >= min);
    let is_permitted = max_stale.is_some_and(|max| max.is_none_or(|max| staleness <= max));
    let may_be_stale = !said.forbid_stale() && min_fresh.is_none();
    let naive = if asked.flags()[0] {
        (2, Some(Forward::Request))
    } else if no_cache {
        (2, Some(Forward::Stale))
    } else if is_too_old || (is_fresh && !is_fresh_enough) {
        (2, Some(Forward::Request))
    } else if is_fresh || (may_be_stale && is_permitted) {
        (0, None)
    } else if may_be_stale && staleness < while_revalidate.unwrap_or(rules.windows[0]) {
        (1, None)
    } else {
        (2, Some(Forward::Stale))
    };
    assert_eq!((rank, reason), naive);
    let naive =
        !said.forbid_stale() && (is_fresh || staleness < if_error.unwrap_or(rules.windows[1]));
    assert_eq!(on_error(age), naive);
    for seconds in said.seconds().into_iter().flatten() {
        assert!(Duration::from_secs(seconds) <= MAX);
    }
}

/// RFC 9111 section 3.1: what is not stored, and nothing else, is left out.
fn what_is_stored(response: &HeaderMap, cookies: SetCookie) {
    const HOP_BY_HOP: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let said = Said::of(response, &[TARGETED]).0;
    let mut stored = response.clone();
    said.remove_unstorable(&mut stored, cookies);
    let options = members(response, &header::CONNECTION);
    for name in response.keys() {
        let is_listed = options.iter().any(|o| o.eq_ignore_ascii_case(name.as_str().as_bytes()));
        let is_withheld = said.scopes().into_iter().flatten().any(|names| names.contains(name));
        let is_cookie = *name == header::SET_COOKIE && cookies == SetCookie::Strip;
        let expected =
            if is_listed || is_withheld || is_cookie || HOP_BY_HOP.contains(&name.as_str()) {
                Vec::new()
            } else {
                values(response, name)
            };
        assert_eq!(values(&stored, name), expected, "{name}");
    }
    let before = stored.clone();
    said.remove_unstorable(&mut stored, cookies);
    assert_eq!(stored, before);
    // Kept in one buffer, with places for what is added on the way out.
    let compact = fuzzing::compact(&stored);
    let not_empty = |headers: &HeaderMap, name: &HeaderName| -> Vec<Vec<u8>> {
        let values = values(headers, name).into_iter().filter(|value| !value.is_empty());
        values.map(<[u8]>::to_vec).collect()
    };
    for name in stored.keys() {
        match name.as_str() {
            // One is enough.
            "age" => {
                let first = not_empty(&stored, name).into_iter().take(1);
                assert!(not_empty(&compact, name).into_iter().eq(first));
            }
            "cache-status" => assert_eq!(not_empty(&compact, name), not_empty(&stored, name)),
            _ => assert_eq!(values(&compact, name), values(&stored, name)),
        }
    }
    for name in compact.keys().filter(|name| !stored.contains_key(*name)) {
        assert!(matches!(name.as_str(), "age" | "cache-status") && values(&compact, name) == [b""]);
    }
}

/// RFC 9110 section 6.5.1: trailers that only the head may say, that are for one, or too long, are left out.
fn trailers(head: &HeaderMap, trailers: &HeaderMap, max: u64) {
    const NEVER: [&str; 10] = [
        "connection",
        "transfer-encoding",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "set-cookie",
        "trailer",
        "vary",
    ];
    let said = Said::of(head, &[TARGETED]).0;
    let max = usize::try_from(max).expect("64 bits");
    let storable = |trailers: &HeaderMap| said.storable_trailers(trailers.clone(), max);
    let Some(stored) = storable(trailers) else { return };
    assert!(!stored.is_empty());
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    assert!(stored.iter().map(size).sum::<usize>() <= max);
    for name in stored.keys() {
        assert_eq!(values(&stored, name), values(trailers, name));
        assert!(!NEVER.contains(&name.as_str()));
        assert!(!said.scopes().into_iter().flatten().any(|withheld| withheld.contains(name)));
    }
    assert_eq!(storable(&stored).as_ref(), Some(&stored));
}
