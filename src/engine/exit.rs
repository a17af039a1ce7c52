//! The one way out: what the cache says of a response, counted, told and logged.
use super::{Engine, values::age_value};
use crate::{CacheBody, CacheStatus, semantics::forwarding};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{self, VIA},
};
use std::time::Duration;

// Constants would be made and dropped each time.
static AGE: HeaderName = header::AGE;
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What a response says of its age (RFC 9111 section 5.1).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    /// What it said when it came: it is not from the cache.
    AsReceived,
    /// It was stored: this is its current age.
    Current(Duration),
    /// Nothing, since it was just generated or validated.
    New,
}

impl Engine {
    /// Adds `Cache-Status` (RFC 9211), the typed extension, and `Via` where the policy wants it.
    pub(crate) fn exit<B>(
        &self,
        mut response: Response<CacheBody<B>>,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        self.complete(&mut response, Age::AsReceived, status);
        response
    }

    /// The same, and `Age`, to a response that stays where it is.
    pub(crate) fn complete<B>(
        &self,
        response: &mut Response<CacheBody<B>>,
        age: Age,
        status: CacheStatus,
    ) {
        self.shared.counters.count(&status);
        self.remove_tags(response.headers_mut());
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "tower_cdn", status = response.status().as_u16(), outcome = %status, "answered");
        // RFC 9211 section 2: what a cache makes by itself has no member.
        let is_own = !status.hit && status.forward.is_none();
        let name = self.policy.cache_status.as_deref().filter(|_| !is_own);
        let value = name.and_then(|name| self.shared.cache_statuses.value(name, status));
        put(response.headers_mut(), age, value);
        if let Some(value) =
            self.policy.via.as_deref().and_then(|name| forwarding::via(response.version(), name))
        {
            response.headers_mut().append(VIA, value);
        }
        if self.policy.status_extension {
            response.extensions_mut().insert(status);
        }
    }
}

fn put(headers: &mut HeaderMap, age: Age, status: Option<HeaderValue>) {
    match (age, status) {
        (Age::AsReceived, Some(status)) => drop(headers.append(&CACHE_STATUS, status)),
        (Age::AsReceived, None) => {}
        (Age::Current(age), Some(status)) => match places(headers) {
            Some((age_place, status_place)) => {
                *age_place = age_value(age);
                *status_place = status;
            }
            None => {
                headers.insert(&AGE, age_value(age));
                put_status(headers, Some(status));
            }
        },
        (Age::Current(age), None) => {
            headers.insert(&AGE, age_value(age));
            put_status(headers, None);
        }
        (Age::New, status) => {
            headers.remove(&AGE);
            put_status(headers, status);
        }
    }
}

/// A stored head has places for both, in front and in this order: those of most hits are found with one look.
fn places(headers: &mut HeaderMap) -> Option<(&mut HeaderValue, &mut HeaderValue)> {
    let mut fields = headers.iter_mut();
    let ((first, age), (second, status)) = (fields.next()?, fields.next()?);
    (*first == AGE && *second == CACHE_STATUS && status.is_empty()).then_some((age, status))
}

/// Caches that are nearer to the origin stand in front (RFC 9211 section 2). What comes of a stored head has an empty place for it.
fn put_status(headers: &mut HeaderMap, value: Option<HeaderValue>) {
    let mut lines = headers.get_all(&CACHE_STATUS).iter();
    let is_place = lines.next().is_some_and(HeaderValue::is_empty) && lines.next().is_none();
    match value {
        Some(value) if is_place => drop(headers.insert(&CACHE_STATUS, value)),
        Some(value) => drop(headers.append(&CACHE_STATUS, value)),
        None if is_place => drop(headers.remove(&CACHE_STATUS)),
        None => {}
    }
}
