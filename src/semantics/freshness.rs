//! Freshness (RFC 9111 section 4.2). Variable names are the RFC's own.
use super::{directives::Directives, fields, storing};
use http::{HeaderMap, StatusCode, header};
use std::time::{Duration, SystemTime};

/// What the operator decides about lifetimes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LifetimeRules {
    /// Nothing that may be stored lives shorter.
    pub(crate) min_ttl: Duration,
    /// For responses that say nothing of their lifetime; `None` stores them without one.
    pub(crate) default_ttl: Option<Duration>,
    /// Nothing lives longer.
    pub(crate) max_ttl: Duration,
    /// Section 4.2.2: what part of the time since `Last-Modified`, and the longest that gives.
    pub(crate) heuristic: Option<(f64, Duration)>,
    /// Up to which part a lifetime is cut, at random.
    pub(crate) jitter: f64,
    /// Errors live at least this long.
    pub(crate) errors: ErrorLifetimes,
}

/// What the operator decides about the lifetimes of errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ErrorLifetimes {
    /// Of 404, 410 and all that tells of a fault of the origin.
    pub(crate) usual: Option<Duration>,
    /// Of single statuses.
    pub(crate) of: Vec<(StatusCode, Duration)>,
}

impl ErrorLifetimes {
    /// Errors that one bad request may cause are the answers to that one.
    fn least(&self, status: StatusCode) -> Option<Duration> {
        if storing::blames_request(status) {
            return None;
        }
        let own = self.of.iter().rev().find(|(of, _)| *of == status).map(|(_, ttl)| *ttl);
        let is_usual =
            matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) || status.is_server_error();
        own.or_else(|| self.usual.filter(|_| is_usual))
    }
}

/// Where a freshness lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `s-maxage`, `max-age` or `Expires`.
    Explicit,
    /// Section 4.2.2.
    Heuristic,
    /// The operator's default.
    Default,
    /// Nothing was said: stale from the start.
    Silent,
}

/// Section 4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) length: Duration,
    pub(crate) source: Source,
}

/// How long a response is fresh. `targeted` tells that the directives came from a targeted field, beside which
/// `Expires` does not count (RFC 9213 section 2.2).
pub(crate) fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    targeted: bool,
    response_time: SystemTime,
    rules: &LifetimeRules,
) -> Lifetime {
    let explicit = directives
        .s_maxage
        .or(directives.max_age)
        .or_else(|| if targeted { None } else { expires(headers, response_time) });
    let clamp = |length: Duration| length.max(rules.min_ttl).min(rules.max_ttl);
    let error = rules.errors.least(status).map(|least| least.min(rules.max_ttl));
    if let Some(length) = explicit {
        let length = clamp(length).max(error.unwrap_or_default());
        return Lifetime { length, source: Source::Explicit };
    }
    if let Some(length) = error {
        return Lifetime { length, source: Source::Default };
    }
    if let Some(length) = heuristic(status, headers, directives, response_time, rules) {
        return Lifetime { length: clamp(length), source: Source::Heuristic };
    }
    match rules.default_ttl {
        Some(length)
            if storing::is_heuristically_cacheable(status) && !storing::blames_request(status) =>
        {
            Lifetime { length: clamp(length), source: Source::Default }
        }
        _ => Lifetime { length: Duration::ZERO, source: Source::Silent },
    }
}

/// A lifetime cut by up to the fraction `jitter`, so that what was stored together does not expire together. `random` is a number drawn evenly.
pub(crate) fn spread(length: Duration, jitter: f64, random: u64) -> Duration {
    let part = random as f64 / u64::MAX as f64;
    Duration::try_from_secs_f64(length.as_secs_f64() * (1.0 - jitter * part))
        .unwrap_or(length)
        .min(length)
}

/// Section 5.3: an `Expires` that is there but invalid is in the past.
fn expires(headers: &HeaderMap, response_time: SystemTime) -> Option<Duration> {
    match fields::single_date(headers, &header::EXPIRES) {
        Ok(None) => None,
        Ok(Some(expires)) => {
            Some(expires.duration_since(date_value(headers, response_time)).unwrap_or_default())
        }
        Err(()) => Some(Duration::ZERO),
    }
}

/// Section 4.2.2: a part of the time since the last modification.
fn heuristic(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Directives,
    response_time: SystemTime,
    rules: &LifetimeRules,
) -> Option<Duration> {
    let (fraction, longest) = rules.heuristic?;
    if !storing::is_heuristically_cacheable(status) && !directives.public {
        return None;
    }
    let last_modified = fields::single_date(headers, &header::LAST_MODIFIED).ok()??;
    let since = date_value(headers, response_time).duration_since(last_modified).ok()?;
    Some(
        Duration::try_from_secs_f64(since.as_secs_f64() * fraction).unwrap_or(longest).min(longest),
    )
}

/// The `Date` of the response, or when it was received (RFC 9110 section 6.6.1).
pub(crate) fn date_value(headers: &HeaderMap, response_time: SystemTime) -> SystemTime {
    fields::single_date(headers, &header::DATE).ok().flatten().unwrap_or(response_time)
}

/// Section 4.2.3, all of it that is known when the response arrives.
pub(crate) fn corrected_initial_age(
    headers: &HeaderMap,
    date_value: SystemTime,
    request_time: SystemTime,
    response_time: SystemTime,
) -> Duration {
    let apparent_age = response_time.duration_since(date_value).unwrap_or_default();
    let response_delay = response_time.duration_since(request_time).unwrap_or_default();
    let corrected_age_value = age_value(headers).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// Section 5.1: of several values the first counts; one that is no number is ignored.
fn age_value(headers: &HeaderMap) -> Duration {
    headers
        .get(header::AGE)
        .and_then(|line| fields::members(line.as_bytes()).next())
        .and_then(fields::delta_seconds)
        .unwrap_or_default()
}

/// How fresh a stored response is at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    pub(crate) lifetime: Duration,
    pub(crate) current_age: Duration,
}

impl Freshness {
    /// Section 4.2.
    pub(crate) fn is_fresh(self) -> bool {
        self.lifetime > self.current_age
    }

    /// How long it has been stale.
    pub(crate) fn staleness(self) -> Duration {
        self.current_age.saturating_sub(self.lifetime)
    }

    /// The seconds of life that are left; below zero when stale (RFC 9211 section 2.4).
    pub(crate) fn ttl(self) -> i64 {
        let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime).saturating_sub(seconds(self.current_age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn rules() -> LifetimeRules {
        LifetimeRules {
            min_ttl: Duration::ZERO,
            default_ttl: None,
            max_ttl: Duration::from_secs(fields::MAX_DELTA),
            heuristic: Some((0.1, Duration::from_secs(86_400))),
            jitter: 0.0,
            errors: ErrorLifetimes::default(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
    }

    fn headers(lines: &[(&str, String)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect()
    }

    fn date(seconds: u64) -> String {
        httpdate::fmt_http_date(at(seconds))
    }

    fn of(lines: &[(&str, String)], rules: &LifetimeRules) -> (u64, Source) {
        let headers = headers(lines);
        let directives = Directives::of_response(&headers);
        let l = lifetime(StatusCode::OK, &headers, &directives, false, at(0), rules);
        (l.length.as_secs(), l.source)
    }

    #[test]
    fn s4_2_1_order_of_sources() {
        let expires = ("expires", date(30));
        let year_before = at(0) - Duration::from_secs(365 * 86_400);
        let modified = ("last-modified", httpdate::fmt_http_date(year_before));
        for (lines, want) in [
            (
                vec![("cache-control", "max-age=10, s-maxage=20".into()), expires.clone()],
                (20, Source::Explicit),
            ),
            (vec![("cache-control", "max-age=10".into()), expires.clone()], (10, Source::Explicit)),
            (vec![expires.clone(), modified.clone()], (30, Source::Explicit)),
            (vec![modified], (86_400, Source::Heuristic)),
            (vec![], (0, Source::Silent)),
        ] {
            assert_eq!(of(&lines, &rules()), want, "{lines:?}");
        }
    }

    #[test]
    fn s5_3_an_invalid_expires_is_in_the_past() {
        for bad in ["0".to_owned(), String::new(), "soon".to_owned()] {
            assert_eq!(of(&[("expires", bad)], &rules()), (0, Source::Explicit));
        }
        let two = [("expires", date(30)), ("expires", date(40))];
        assert_eq!(of(&two, &rules()), (0, Source::Explicit));
        assert_eq!(
            of(&[("expires", date(10)), ("date", date(20))], &rules()),
            (0, Source::Explicit)
        );
    }

    #[test]
    fn the_operator_clamps_lifetimes() {
        let short = ("cache-control", "max-age=1".to_owned());
        let long = ("cache-control", "max-age=1000".to_owned());
        let rules = LifetimeRules {
            min_ttl: Duration::from_secs(5),
            default_ttl: Some(Duration::from_secs(7)),
            max_ttl: Duration::from_secs(60),
            heuristic: None,
            jitter: 0.0,
            errors: ErrorLifetimes::default(),
        };
        assert_eq!(of(&[short], &rules).0, 5);
        assert_eq!(of(&[long], &rules).0, 60);
        assert_eq!(of(&[], &rules), (7, Source::Default));
    }

    #[test]
    fn errors_live_as_long_as_the_operator_says_at_least() {
        let ten = Duration::from_secs(10);
        let errors = ErrorLifetimes {
            usual: Some(ten),
            of: vec![(StatusCode::BAD_GATEWAY, ten * 2), (StatusCode::FORBIDDEN, ten)],
        };
        let rules = LifetimeRules { errors, heuristic: None, ..rules() };
        let of = |status: u16, control: &str| {
            let headers = headers(&[("cache-control", control.to_owned())]);
            let directives = Directives::of_response(&headers);
            let status = StatusCode::from_u16(status).unwrap();
            let lifetime = lifetime(status, &headers, &directives, false, at(0), &rules);
            (lifetime.length.as_secs(), lifetime.source)
        };
        for status in [404, 410, 500, 503] {
            assert_eq!(of(status, ""), (10, Source::Default), "{status}");
        }
        assert_eq!(of(502, ""), (20, Source::Default));
        assert_eq!(of(404, "max-age=1"), (10, Source::Explicit));
        assert_eq!(of(404, "max-age=60"), (60, Source::Explicit));
        for status in [200, 301, 403, 400, 501] {
            assert_eq!(of(status, ""), (0, Source::Silent), "{status}");
        }
    }

    #[test]
    fn jitter_only_shortens() {
        let spread = |jitter, random| spread(Duration::from_secs(100), jitter, random).as_secs();
        assert_eq!((spread(0.0, u64::MAX), spread(0.2, 0), spread(0.2, u64::MAX)), (100, 100, 80));
    }

    #[test]
    fn s4_2_3_age() {
        let age = |lines: &[(&str, String)]| {
            let headers = headers(lines);
            let date = date_value(&headers, at(14));
            corrected_initial_age(&headers, date, at(10), at(14)).as_secs()
        };
        assert_eq!(age(&[]), 4, "response_delay");
        assert_eq!(age(&[("date", date(0))]), 14, "apparent_age");
        assert_eq!(age(&[("date", date(99))]), 4, "a date in the future is no age");
        assert_eq!(age(&[("age", "100".into())]), 104, "corrected_age_value");
        assert_eq!(age(&[("age", "99999999999999999999".into())]), fields::MAX_DELTA + 4);
    }

    #[test]
    fn s5_1_the_first_age_counts_and_nonsense_is_ignored() {
        for (value, want) in [("7, 0", 7), ("0, 7", 0), ("old", 0), ("-7", 0), ("7.5", 0), ("", 0)]
        {
            assert_eq!(age_value(&headers(&[("age", value.into())])).as_secs(), want, "{value}");
        }
    }
}
