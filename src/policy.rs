//! What the operator decides; everything else is RFC 9111.
mod extensions;
mod limits;

pub use extensions::{Bypass, DoNotCollapse, DoNotStore};
pub(crate) use limits::Limits;

use crate::semantics::{
    cache_status, forwarding,
    freshness::{ErrorLifetimes, LifetimeRules},
    reuse::StaleRules,
    sharing::SetCookie,
    storing::StoringRules,
    targeted,
};
use http::{HeaderName, HeaderValue, StatusCode};
use std::time::Duration;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the operator of a cache decides. Every knob has a default that is safe for a shared cache in front of an
/// application that nobody has prepared for one.
///
/// # Example: the default, with a few knobs turned
/// ```
/// use std::time::Duration;
/// use tower_cdn::CachePolicy;
///
/// let policy = CachePolicy::default()
///     .max_object(8 * 1024 * 1024)
///     .stale_if_error(Duration::from_secs(60 * 60));
/// # let _ = policy;
/// ```
#[derive(Clone, Debug)]
pub struct CachePolicy {
    pub(crate) lifetime: LifetimeRules,
    pub(crate) storing: StoringRules,
    pub(crate) stale: StaleRules,
    pub(crate) honor_request_directives: bool,
    pub(crate) targets: Vec<HeaderName>,
    pub(crate) tag_fields: Vec<HeaderName>,
    pub(crate) pass_tags: bool,
    pub(crate) cache_status: Option<String>,
    pub(crate) status_extension: bool,
    pub(crate) via: Option<String>,
    pub(crate) loop_id: Option<HeaderValue>,
    pub(crate) collapse: bool,
    pub(crate) range_fetch: RangeFetch,
    pub(crate) language_variants: bool,
    pub(crate) limits: Limits,
}

/// What is fetched for a request for a range of something that is not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeFetch {
    /// All of it: the range is served as soon as its bytes are there, and the next one from what is stored.
    #[default]
    Whole,
    /// What was asked for. Parts are stored and, where they have the same strong validator, combined (RFC 9111 sections 3.3 and 3.4).
    AsAsked,
}

impl Default for CachePolicy {
    /// Safe in front of an application that nobody has prepared for a cache: nothing is stored unless it says so itself, or can be
    /// validated each time.
    fn default() -> Self {
        Self {
            lifetime: LifetimeRules {
                min_ttl: Duration::ZERO,
                default_ttl: None,
                max_ttl: YEAR,
                heuristic: None,
                jitter: 0.0,
                errors: ErrorLifetimes::default(),
            },
            storing: StoringRules {
                set_cookie: SetCookie::UnlessMeantForMany,
                honor_request_no_store: false,
                store_post: false,
                ignore_cookies: false,
            },
            stale: StaleRules { while_revalidate: Duration::ZERO, if_error: Duration::ZERO },
            honor_request_directives: false,
            targets: targeted::cdn(),
            tag_fields: Vec::new(),
            pass_tags: false,
            cache_status: Some(cache_status::DEFAULT_NAME.to_owned()),
            status_extension: true,
            via: None,
            loop_id: None,
            collapse: true,
            range_fetch: RangeFetch::Whole,
            language_variants: false,
            limits: Limits::default(),
        }
    }
}

impl CachePolicy {
    /// For how long rules are remembered one by one: as long as what was asked for before may be fresh, or stale and permitted by the policy; a day at least.
    pub(crate) fn rules_live(&self) -> Duration {
        let window = self.stale.while_revalidate.max(self.stale.if_error);
        self.lifetime.max_ttl.saturating_add(window).max(DAY)
    }

    /// Takes every permission that RFC 9111 gives: heuristic freshness (a tenth of the time since `Last-Modified`, a day at most),
    /// directives of requests honoured, `Set-Cookie` stored, a stale response for an hour when the origin fails.
    pub fn rfc9111() -> Self {
        let mut policy = Self::default()
            .heuristic_freshness(0.1, DAY)
            .honor_request_directives(true)
            .set_cookie(SetCookie::Store)
            .ignore_cookies(true)
            .store_post(true)
            .range_fetch(RangeFetch::AsAsked)
            .language_variants(true)
            .stale_if_error(Duration::from_secs(60 * 60));
        policy.lifetime.max_ttl = Duration::from_secs(crate::semantics::fields::MAX_DELTA);
        policy
    }

    /// The lifetimes that Amazon CloudFront documents as its defaults: a day for what says nothing, a year at most, ten seconds for errors; stale
    /// responses answer when the origin fails.
    pub fn cloudfront() -> Self {
        Self::default()
            .default_ttl(DAY)
            .max_ttl(YEAR)
            .error_ttl(Duration::from_secs(10))
            .stale_if_error(YEAR)
    }

    /// What is stored lives at least this long. It never makes anything storable. Default: zero.
    #[must_use]
    pub fn min_ttl(mut self, ttl: Duration) -> Self {
        self.lifetime.min_ttl = ttl;
        self
    }

    /// The lifetime of responses that say nothing of theirs, for statuses that are cacheable by default. Default: none, since an application
    /// that says nothing has perhaps not thought of caches.
    #[must_use]
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.lifetime.default_ttl = Some(ttl);
        self
    }

    /// How long errors live at least: 404, 410, and 5xx but 501. It is no more than [`max_ttl`](Self::max_ttl), and never makes storable what says `no-store` or
    /// `private`. Default: none, errors are stored as they say themselves.
    ///
    /// Errors that one bad request may cause (400, 403, 405 and their kin) are never stored unless they say so themselves: that request would answer all others.
    #[must_use]
    pub fn error_ttl(mut self, ttl: Duration) -> Self {
        self.lifetime.errors.usual = Some(ttl);
        self
    }

    /// The same for one status.
    #[must_use]
    pub fn error_ttl_of(mut self, status: StatusCode, ttl: Duration) -> Self {
        self.lifetime.errors.of.push((status, ttl));
        self
    }

    /// Nothing is fresh for longer. Default: a year.
    #[must_use]
    pub fn max_ttl(mut self, ttl: Duration) -> Self {
        self.lifetime.max_ttl = ttl;
        self
    }

    /// Heuristic freshness (RFC 9111 section 4.2.2): this fraction of the time since `Last-Modified`, and `longest` at most.
    /// Default: off.
    #[must_use]
    pub fn heuristic_freshness(mut self, fraction: f64, longest: Duration) -> Self {
        self.lifetime.heuristic = Some((fraction.clamp(0.0, 1.0), longest));
        self
    }

    /// How long a stale response may answer while it is validated, where the response itself does not say (RFC 5861 section 3).
    /// Default: zero.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale.while_revalidate = window;
        self
    }

    /// How long a stale response may answer while the origin fails, where the response itself does not say (RFC 5861 section 4).
    /// Default: zero. What `must-revalidate` and its kin forbid stays forbidden.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale.if_error = window;
        self
    }

    /// Honours `no-cache`, `max-age`, `min-fresh`, `max-stale` and `no-store` of requests (RFC 9111 section 5.2.1). Default: off, since with it
    /// any client can drive load to the origin. `only-if-cached` is honoured always.
    #[must_use]
    pub fn honor_request_directives(mut self, honor: bool) -> Self {
        self.honor_request_directives = honor;
        self.storing.honor_request_no_store = honor;
        self
    }

    /// What becomes of responses with `Set-Cookie`. Default: stored only if `public` or `s-maxage` says that many may have them.
    #[must_use]
    pub fn set_cookie(mut self, what: SetCookie) -> Self {
        self.storing.set_cookie = what;
        self
    }

    /// The fields that speak to this cache before `Cache-Control` does (RFC 9213 section 2.2). Default: `CDN-Cache-Control`.
    #[must_use]
    pub fn target_list(mut self, names: Vec<HeaderName>) -> Self {
        self.targets = names;
        self
    }

    /// Fields of responses that list tags, beside `Cache-Groups` (RFC 9875), which always does: [`Handle::invalidate_tags`](crate::Handle::invalidate_tags) finds a
    /// response by each of them. `Surrogate-Key` and `xkey` separate tags by white space, `Cache-Tag` and any other field by commas. What is named here is removed from
    /// all responses that clients get, whether they come from the store or not, unless [`pass_tags`](Self::pass_tags) says otherwise. Default: none, since a field that is not meant for the cache is not the cache's to remove.
    ///
    /// A response keeps 50 tags, of 256 bytes each. One with more or longer ones counts as one that has every tag, so that no invalidation misses it.
    ///
    /// # Example: the fields that most applications send
    /// ```
    /// use http::HeaderName;
    /// use tower_cdn::CachePolicy;
    ///
    /// let policy = CachePolicy::default()
    ///     .tag_fields(["surrogate-key", "cache-tag"].map(HeaderName::from_static));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn tag_fields(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.tag_fields = names.into_iter().collect();
        self
    }

    /// Stores the fields that list tags, and passes them on: for a regional cache, whose clients are other caches that are to know the tags too. Default: off.
    ///
    /// # Example: a region, and an edge
    /// ```
    /// use http::HeaderName;
    /// use tower_cdn::CachePolicy;
    ///
    /// let edge = CachePolicy::default().tag_fields([HeaderName::from_static("surrogate-key")]);
    /// let region = edge.clone().pass_tags(true);
    /// # let _ = region;
    /// ```
    #[must_use]
    pub fn pass_tags(mut self, pass: bool) -> Self {
        self.pass_tags = pass;
        self
    }

    /// The fields that list tags and are for this cache only.
    pub(crate) fn own_tag_fields(&self) -> &[HeaderName] {
        if self.pass_tags { &[] } else { &self.tag_fields }
    }

    /// The name of this cache in `Cache-Status` (RFC 9211 section 2), a token; `None` sends no such field. Default: `tower-cdn`.
    /// A name that is no token is replaced by the default.
    #[must_use]
    pub fn cache_status(mut self, name: Option<&str>) -> Self {
        self.cache_status = name.map(|name| {
            let sound = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && crate::semantics::fields::token_len(name.as_bytes()) == name.len();
            if sound { name } else { cache_status::DEFAULT_NAME }.to_owned()
        });
        self
    }

    /// Adds the outcome to the extensions of each response, as a [`CacheStatus`](crate::CacheStatus). Default: true. Where nobody reads it, a hit is spared three
    /// of its five allocations without it.
    #[must_use]
    pub fn status_extension(mut self, yes: bool) -> Self {
        self.status_extension = yes;
        self
    }

    /// Cuts each lifetime at random by up to this fraction, so that what was stored together does not expire together. Default: zero.
    #[must_use]
    pub fn ttl_jitter(mut self, fraction: f64) -> Self {
        self.lifetime.jitter = fraction.clamp(0.0, 1.0);
        self
    }

    /// Adds `Via` with this name, a token, to what is forwarded and to what is answered (RFC 9110 section 7.6.3). Default: none.
    #[must_use]
    pub fn via(mut self, name: &str) -> Self {
        self.via = forwarding::pseudonym(name).map(|_| name.to_owned());
        self
    }

    /// Adds `CDN-Loop` with this name, a token that no other cache uses, to what is forwarded, and answers requests that carry it already with 508:
    /// they have been here before (RFC 8586). Default: none.
    #[must_use]
    pub fn cdn_loop(mut self, name: &str) -> Self {
        self.loop_id = forwarding::pseudonym(name);
        self
    }

    /// Lets requests for one key wait for one fetch (RFC 9111 section 4). Default: on.
    #[must_use]
    pub fn collapse(mut self, collapse: bool) -> Self {
        self.collapse = collapse;
        self
    }

    /// Lets lifetimes that the response did not ask for (the default one, heuristic ones) apply to answers to requests with cookies as well. Default: off, since a page
    /// that says nothing may be made for one user, whom a cookie tells.
    #[must_use]
    pub fn ignore_cookies(mut self, ignore: bool) -> Self {
        self.storing.ignore_cookies = ignore;
        self
    }

    /// Stores the answer to a POST for later GETs where it says, by a `Content-Location` that is the target and by an explicit lifetime, that it may be
    /// used so (RFC 9110 section 9.3.3). Default: off.
    #[must_use]
    pub fn store_post(mut self, store: bool) -> Self {
        self.storing.store_post = store;
        self
    }

    /// What is fetched for a request for a range of something that is not stored. Default: the whole.
    #[must_use]
    pub fn range_fetch(mut self, what: RangeFetch) -> Self {
        self.range_fetch = what;
        self
    }

    /// Lets a variant by `Accept-Language` whose `Content-Language` is what a request likes best answer that request too, although its
    /// `Accept-Language` is another. Default: off, since the inner service might choose otherwise.
    #[must_use]
    pub fn language_variants(mut self, select: bool) -> Self {
        self.language_variants = select;
        self
    }
}
