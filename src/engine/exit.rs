//! The one way out: what the cache says of a response, counted, told and logged.
use super::Engine;
use crate::{CacheBody, CacheStatus, semantics::forwarding};
use http::{HeaderName, Response, header::VIA};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl Engine {
    /// Adds `Cache-Status` (RFC 9211), the typed extension, and `Via` where the policy wants it.
    pub(crate) fn exit<B>(
        &self,
        mut response: Response<CacheBody<B>>,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        self.counters.count(&status);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "tower_cdn", status = response.status().as_u16(), outcome = %status, "answered");
        // RFC 9211 section 2: what a cache makes by itself has no member.
        let is_own = !status.hit && status.forward.is_none();
        if !is_own
            && let Some(value) =
                self.policy.cache_status.as_deref().and_then(|name| status.to_value(name))
        {
            // Caches that are nearer to the origin stand in front (RFC 9211 section 2).
            response.headers_mut().append(CACHE_STATUS, value);
        }
        if let Some(value) =
            self.policy.via.as_deref().and_then(|name| forwarding::via(response.version(), name))
        {
            response.headers_mut().append(VIA, value);
        }
        response.extensions_mut().insert(status);
        response
    }
}
