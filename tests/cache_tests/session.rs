//! What one test shares between its client, its origin and its judge.
use crate::{definition::Case, fields};
use http::{HeaderMap, Method};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The origin's own marks in a response. The first name belongs to the format.
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

/// Cheap to clone: all clones are one session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) case: Arc<[Case]>,
    index: usize,
    start: Instant,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

/// A request that the origin got.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Counted from 1.
    pub(crate) step: usize,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Fields of the answer that the client must find: name and value.
    pub(crate) promised: Vec<(String, String)>,
    /// Fields that the definition gave the answer, line by line.
    pub(crate) sent: Vec<(String, String)>,
}
