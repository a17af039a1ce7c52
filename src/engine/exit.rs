//! The one way out: what the cache says of a response, counted, told and logged.
use super::Engine;
use crate::{CacheBody, CacheStatus, semantics::forwarding, stored::place};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::VIA};

static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl Engine {
    /// Adds `Cache-Status` (RFC 9211), the typed extension, and `Via` where the policy wants it.
    pub(crate) fn exit<B>(
        &self,
        mut response: Response<CacheBody<B>>,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        self.shared.counters.count(&status);
        self.remove_tags(response.headers_mut());
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "tower_cdn", status = response.status().as_u16(), outcome = %status, "answered");
        // RFC 9211 section 2: what a cache makes by itself has no member.
        let is_own = !status.hit && status.forward.is_none();
        let name = self.policy.cache_status.as_deref().filter(|_| !is_own);
        let value = name.and_then(|name| self.shared.cache_statuses.value(name, status));
        put(response.headers_mut(), value);
        if let Some(value) =
            self.policy.via.as_deref().and_then(|name| forwarding::via(response.version(), name))
        {
            response.headers_mut().append(VIA, value);
        }
        if self.policy.status_extension {
            response.extensions_mut().insert(status);
        }
        response
    }
}

/// Caches that are nearer to the origin stand in front (RFC 9211 section 2). A stored head has an empty place for it.
fn put(headers: &mut HeaderMap, value: Option<HeaderValue>) {
    match (place(headers, &CACHE_STATUS), value) {
        (Some(place), Some(value)) if place.is_empty() => *place = value,
        (Some(place), None) if place.is_empty() => drop(headers.remove(&CACHE_STATUS)),
        (_, Some(value)) => drop(headers.append(&CACHE_STATUS, value)),
        (_, None) => {}
    }
}
