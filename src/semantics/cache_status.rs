//! What happened to a request, and the field that tells it (RFC 9211).
use super::storing::NotStored;
use http::{HeaderValue, StatusCode};
use std::fmt::{self, Write};

/// Why a request went forward to the inner service: the `fwd` parameter (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// The cache was configured, or is bound, not to handle this request.
    Bypass,
    /// The method asks for it.
    Method,
    /// Nothing is stored under the URI.
    UriMiss,
    /// Something is stored under the URI, but the request selects none of it.
    VaryMiss,
    /// The request asks for it, for example by `no-cache`.
    Request,
    /// The stored response is stale.
    Stale,
    /// Only a part of what is wanted is stored.
    Partial,
}

impl Forward {
    /// The token on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// More about an outcome: the `detail` parameter (RFC 9211 section 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detail {
    /// The response was not stored, for this reason.
    NotStored(NotStored),
    /// The key is remembered as one whose responses cannot be shared.
    Unshareable,
    /// The request could not be collapsed in time.
    WaitTimeout,
    /// A stale response answered since the origin failed.
    StaleIfError,
    /// A stale response answered, and is being validated.
    StaleWhileRevalidate,
    /// The request has no host, or a target that is none (RFC 9112 section 3.2).
    BadRequest,
    /// URL or fields are longer than the limits.
    TooLong,
    /// As many fetches as allowed were under way.
    FetchLimit,
    /// The request has content, an upgrade, no host, or asks for a protocol that is not cached.
    NotCacheable,
    /// The origin's answer fits nothing that it was asked.
    Contradiction,
    /// The request has been here before (RFC 8586).
    Loop,
    /// The request was told to pass by [`Bypass`](crate::Bypass).
    Asked,
    /// `only-if-cached`, and nothing usable is stored.
    OnlyIfCached,
    /// Nothing of its behaviour is cached.
    Dynamic,
    /// Its behaviour does not allow the method.
    MethodNotAllowed,
    /// What was stored has been invalidated.
    Invalidated,
}

impl Detail {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStored(reason) => reason.as_str(),
            Self::Unshareable => "unshareable",
            Self::WaitTimeout => "wait-timeout",
            Self::StaleIfError => "stale-if-error",
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::BadRequest => "bad-request",
            Self::TooLong => "too-long",
            Self::FetchLimit => "fetch-limit",
            Self::NotCacheable => "not-cacheable",
            Self::Contradiction => "contradiction",
            Self::Loop => "loop",
            Self::Asked => "asked",
            Self::OnlyIfCached => "only-if-cached",
            Self::Dynamic => "dynamic",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Invalidated => "invalidated",
        }
    }
}

/// What the cache did with a request: every response of [`CdnCache`](crate::CdnCache) has it among its extensions, and, if the
/// policy does not turn it off, as the `Cache-Status` field (RFC 9211). Responses that the cache makes by itself, such as a 400, have the extension only
/// (section 2).
///
/// # Example: what happened?
/// ```
/// use tower_cdn::{CacheStatus, Forward};
///
/// fn is_cheap(response: &http::Response<()>) -> bool {
///     response.extensions().get::<CacheStatus>().is_some_and(|status| status.is_hit())
/// }
///
/// let status = CacheStatus::default();
/// assert!(!status.is_hit());
/// assert_eq!(status.forward(), None);
/// # let _ = (is_cheap, Forward::Stale);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    pub(crate) hit: bool,
    pub(crate) forward: Option<Forward>,
    pub(crate) forward_status: Option<StatusCode>,
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<Detail>,
}

impl CacheStatus {
    pub(crate) const fn hit(ttl: i64) -> Self {
        Self {
            hit: true,
            forward: None,
            forward_status: None,
            ttl: Some(ttl),
            stored: false,
            collapsed: false,
            detail: None,
        }
    }

    pub(crate) fn forwarded(forward: Forward) -> Self {
        Self { forward: Some(forward), ..Self::default() }
    }

    pub(crate) fn detail_of(self, detail: Detail) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The stored response answered without the inner service being asked.
    pub const fn is_hit(&self) -> bool {
        self.hit
    }

    /// Why the inner service was asked, if it was.
    pub const fn forward(&self) -> Option<Forward> {
        self.forward
    }

    /// The status of the inner service's answer, where it differs from the response's.
    pub const fn forward_status(&self) -> Option<StatusCode> {
        self.forward_status
    }

    /// Seconds of freshness left; negative for a stale response.
    pub const fn ttl(&self) -> Option<i64> {
        self.ttl
    }

    /// The response is being stored.
    pub const fn is_stored(&self) -> bool {
        self.stored
    }

    /// The request was answered by a fetch that another request had started.
    pub const fn is_collapsed(&self) -> bool {
        self.collapsed
    }

    /// More about it.
    pub const fn detail(&self) -> Option<Detail> {
        self.detail
    }

    /// The member of the list field, `name` being a token.
    pub(crate) fn to_value(self, name: &str) -> Option<HeaderValue> {
        let mut text = String::with_capacity(name.len().saturating_add(64));
        text.push_str(name);
        write!(text, "{}", Parameters(&self)).ok()?;
        HeaderValue::try_from(text).ok()
    }
}

/// The member of `Cache-Status` with the default name.
impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DEFAULT_NAME}{}", Parameters(self))
    }
}

/// How this cache calls itself (RFC 9211 section 2).
pub(crate) const DEFAULT_NAME: &str = "tower-cdn";

/// RFC 9651 section 3.3.1: no integer has more than 15 digits.
const MAX_INTEGER: i64 = 999_999_999_999_999;

struct Parameters<'a>(&'a CacheStatus);

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        if status.hit {
            f.write_str("; hit")?;
        }
        if let Some(forward) = status.forward {
            write!(f, "; fwd={}", forward.as_str())?;
        }
        if let Some(code) = status.forward_status {
            write!(f, "; fwd-status={}", code.as_u16())?;
        }
        if let Some(ttl) = status.ttl {
            write!(f, "; ttl={}", ttl.clamp(-MAX_INTEGER, MAX_INTEGER))?;
        }
        if status.stored {
            f.write_str("; stored")?;
        }
        if status.collapsed {
            f.write_str("; collapsed")?;
        }
        if let Some(detail) = status.detail {
            write!(f, "; detail={}", detail.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9211_s2_parameters() {
        assert_eq!(CacheStatus::hit(-3).to_string(), "tower-cdn; hit; ttl=-3");
        let unknown = CacheStatus::hit(i64::MIN).to_string();
        assert_eq!(unknown, "tower-cdn; hit; ttl=-999999999999999", "RFC 9651 section 3.3.1");
        let status = CacheStatus {
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            collapsed: true,
            ..CacheStatus::forwarded(Forward::Stale)
        };
        let status = status.detail_of(Detail::NotStored(NotStored::Private));
        assert_eq!(
            status.to_value("edge").unwrap(),
            "edge; fwd=stale; fwd-status=304; stored; collapsed; detail=private"
        );
    }
}
