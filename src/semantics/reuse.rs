//! May this stored response answer this request, now (RFC 9111 section 4)?
use super::{
    cache_status::Forward,
    directives::{Directives, RequestDirectives, Scope},
    freshness::Freshness,
};
use http::StatusCode;
use std::time::Duration;

/// What the operator decides about stale responses.
#[derive(Clone, Debug)]
pub(crate) struct StaleRules {
    /// Added to what `stale-while-revalidate` allows where the response is silent.
    pub(crate) while_revalidate: Duration,
    /// The same for `stale-if-error`.
    pub(crate) if_error: Duration,
}

/// What a stored response says of its reuse, in whatever form that is kept.
pub(crate) trait Terms {
    /// RFC 9111 section 5.2.2.4, for all of the response.
    fn no_cache(&self) -> bool;

    /// Section 4.2.4: may it never be used when stale?
    fn forbid_stale(&self) -> bool;

    /// RFC 5861 section 3.
    fn stale_while_revalidate(&self) -> Option<Duration>;

    /// RFC 5861 section 4.
    fn stale_if_error(&self) -> Option<Duration>;
}

impl Terms for Directives {
    fn no_cache(&self) -> bool {
        self.no_cache == Scope::Whole
    }

    fn forbid_stale(&self) -> bool {
        self.must_revalidate
            || self.proxy_revalidate
            || self.s_maxage.is_some()
            || Terms::no_cache(self)
    }

    fn stale_while_revalidate(&self) -> Option<Duration> {
        self.stale_while_revalidate
    }

    fn stale_if_error(&self) -> Option<Duration> {
        self.stale_if_error
    }
}

/// What is to be done with a stored response that was selected for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers the request.
    Fresh,
    /// It answers the request, and is validated behind the client's back (RFC 5861 section 3).
    StaleWhileRevalidate,
    /// The origin has to be asked, for this reason.
    MustAsk(Forward),
}

/// `request` is what the client asked for if the policy honours it, else nothing.
#[inline]
pub(crate) fn judge(
    request: &RequestDirectives,
    stored: &impl Terms,
    freshness: Freshness,
    rules: &StaleRules,
) -> Verdict {
    if request.no_cache {
        return Verdict::MustAsk(Forward::Request);
    }
    if stored.no_cache() {
        return Verdict::MustAsk(Forward::Stale);
    }
    // Section 5.2.1.1: no older than that, unless max-stale permits it.
    if request.max_age.is_some_and(|limit| freshness.current_age > limit)
        && request.max_stale.is_none()
    {
        return Verdict::MustAsk(Forward::Request);
    }
    if freshness.is_fresh() {
        let left = || freshness.lifetime.saturating_sub(freshness.current_age);
        // Section 5.2.1.3.
        return match request.min_fresh {
            Some(wanted) if left() < wanted => Verdict::MustAsk(Forward::Request),
            _ => Verdict::Fresh,
        };
    }
    if stored.forbid_stale() || request.min_fresh.is_some() {
        return Verdict::MustAsk(Forward::Stale);
    }
    // Section 5.2.1.2.
    if let Some(limit) = request.max_stale
        && limit.is_none_or(|limit| freshness.staleness() <= limit)
    {
        return Verdict::Fresh;
    }
    // RFC 5861 section 3.
    let window = stored.stale_while_revalidate().unwrap_or(rules.while_revalidate);
    if freshness.staleness() < window {
        Verdict::StaleWhileRevalidate
    } else {
        Verdict::MustAsk(Forward::Stale)
    }
}

/// RFC 5861 section 4: may it answer although it is stale, since the origin fails?
pub(crate) fn may_serve_on_error(
    stored: &impl Terms,
    freshness: Freshness,
    rules: &StaleRules,
) -> bool {
    let window = stored.stale_if_error().unwrap_or(rules.if_error);
    !stored.forbid_stale() && (freshness.is_fresh() || freshness.staleness() < window)
}

/// The statuses that count as a failure of the origin (RFC 5861 section 4).
pub(crate) fn is_origin_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header};

    const NO_RULES: StaleRules =
        StaleRules { while_revalidate: Duration::ZERO, if_error: Duration::ZERO };

    fn headers(cc: &str) -> HeaderMap {
        [(header::CACHE_CONTROL, cc.parse().unwrap())].into_iter().collect()
    }

    fn at(age: u64, lifetime: u64) -> Freshness {
        Freshness { lifetime: Duration::from_secs(lifetime), current_age: Duration::from_secs(age) }
    }

    fn verdict(request: &str, stored: &str, freshness: Freshness) -> Verdict {
        judge(
            &RequestDirectives::of_request(&headers(request)),
            &Directives::of_response(&headers(stored)),
            freshness,
            &NO_RULES,
        )
    }

    #[test]
    fn s4_2_fresh_until_the_lifetime_is_reached() {
        assert_eq!(verdict("", "", at(59, 60)), Verdict::Fresh);
        assert_eq!(verdict("", "", at(60, 60)), Verdict::MustAsk(Forward::Stale));
        assert_eq!(verdict("", "", at(0, 0)), Verdict::MustAsk(Forward::Stale));
    }

    #[test]
    fn s5_2_2_4_no_cache_is_always_validated() {
        assert_eq!(verdict("", "no-cache", at(0, 60)), Verdict::MustAsk(Forward::Stale));
        assert_eq!(verdict("max-stale", "no-cache", at(0, 60)), Verdict::MustAsk(Forward::Stale));
        assert_eq!(verdict("", "no-cache=\"a\"", at(0, 60)), Verdict::Fresh);
    }

    #[test]
    fn s5_2_1_what_a_client_may_ask() {
        let ask = Verdict::MustAsk(Forward::Request);
        assert_eq!(verdict("no-cache", "", at(0, 60)), ask);
        assert_eq!(verdict("max-age=5", "", at(6, 60)), ask);
        assert_eq!(verdict("max-age=5", "", at(5, 60)), Verdict::Fresh);
        assert_eq!(verdict("min-fresh=11", "", at(50, 60)), ask);
        assert_eq!(verdict("min-fresh=10", "", at(50, 60)), Verdict::Fresh);
        assert_eq!(verdict("max-stale", "", at(600, 60)), Verdict::Fresh);
        assert_eq!(verdict("max-stale=5", "", at(65, 60)), Verdict::Fresh);
        assert_eq!(verdict("max-stale=5", "", at(66, 60)), Verdict::MustAsk(Forward::Stale));
        for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
            assert_eq!(
                verdict("max-stale", forbids, at(66, 60)),
                Verdict::MustAsk(Forward::Stale),
                "{forbids}"
            );
        }
    }

    #[test]
    fn rfc5861_s3_the_window_ends_where_it_says() {
        let stored = "max-age=60, stale-while-revalidate=30";
        assert_eq!(verdict("", stored, at(89, 60)), Verdict::StaleWhileRevalidate);
        assert_eq!(verdict("", stored, at(90, 60)), Verdict::MustAsk(Forward::Stale));
        let forbidden = "max-age=60, stale-while-revalidate=30, must-revalidate";
        assert_eq!(verdict("", forbidden, at(61, 60)), Verdict::MustAsk(Forward::Stale));
    }

    #[test]
    fn rfc5861_s4_stale_if_error() {
        let may = |stored: &str, freshness| {
            may_serve_on_error(&Directives::of_response(&headers(stored)), freshness, &NO_RULES)
        };
        assert!(may("stale-if-error=30", at(89, 60)));
        assert!(!may("stale-if-error=30", at(90, 60)));
        assert!(!may("stale-if-error=30, proxy-revalidate", at(61, 60)));
        assert!(!may("", at(61, 60)));
    }
}
