//! What the client, the origin and the judge of one test share.
use crate::definition::Case;
use http::{HeaderMap, Method, StatusCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tower_cdn::Clock;

/// The origin's own marks in a response. The first two names belong to the format.
pub(crate) mod mark {
    /// How many requests of the test the origin had seen.
    pub(crate) const SERIAL: &str = "server-request-count";
    /// The step of the request that caused the response.
    pub(crate) const STEP: &str = "client-request-count";
    /// The origin's time in milliseconds.
    pub(crate) const CLOCK: &str = "origin-clock";
    /// The target that the origin got.
    pub(crate) const TARGET: &str = "origin-target";
    /// The steps that the origin had seen.
    pub(crate) const LOG: &str = "origin-log";
}

/// A status that is no other's: the origin got no validator where it had to.
pub(crate) const NOT_CONDITIONAL: u16 = 999;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) case: Arc<Case>,
    pub(crate) clock: Clock,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Session {
    pub(crate) fn new(case: Arc<Case>, clock: Clock) -> Self {
        Self { case, clock, arrivals: Mutex::default() }
    }

    /// The requests that the origin got, in their order.
    pub(crate) fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of all requests of the test, or the start of it.
    pub(crate) fn path(&self) -> String {
        format!("/t/{}", self.case.id)
    }

    /// The body of a response for which the definition has none.
    pub(crate) fn token(&self) -> &str {
        &self.case.id
    }
}

/// A request that the origin got.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Counted from 1.
    pub(crate) step: usize,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The fields that the definition gave the answer.
    pub(crate) sent: HeaderMap,
    /// Those that the client must find: name and value.
    pub(crate) promised: Vec<(String, String)>,
}

pub(crate) fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
