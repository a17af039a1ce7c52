//! How quick and how busy an origin is: tower's peak EWMA, for a service of which there are clones.
use futures_util::FutureExt;
use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tower::load::{
    Load, PeakEwma, TrackCompletion,
    peak_ewma::{Cost, Handle},
};
use tower_service::Service;

/// What an origin is taken to need before anything is known.
const DEFAULT_LATENCY: Duration = Duration::from_millis(30);

/// How long an observation counts.
const DECAY: Duration = Duration::from_secs(10);

/// Measures the time to the heads of responses and counts the requests that wait for one.
///
/// tower's `PeakEwma` measures the one service that it owns. Here it owns a service that does nothing, whose answer is the handle that measures.
pub(crate) struct Meter(Mutex<PeakEwma<Nothing, TakeHandle>>);

/// Measures one request until it is dropped.
pub(crate) struct Measured(
    #[expect(dead_code, reason = "it is there to be dropped")] Option<Handle>,
);

impl Meter {
    pub(crate) fn new() -> Self {
        let decay = DECAY.as_nanos() as f64;
        Self(Mutex::new(PeakEwma::new(Nothing, DEFAULT_LATENCY, decay, TakeHandle)))
    }

    /// A request is sent.
    pub(crate) fn start(&self) -> Measured {
        Measured(self.lock().call(()).now_or_never().and_then(Result::ok))
    }

    /// Latency times requests that wait. Less is better.
    pub(crate) fn cost(&self) -> Cost {
        self.lock().load()
    }

    fn lock(&self) -> MutexGuard<'_, PeakEwma<Nothing, TakeHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

#[derive(Debug)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[derive(Clone, Debug)]
struct TakeHandle;

impl TrackCompletion<Handle, ()> for TakeHandle {
    type Output = Handle;

    fn track_completion(&self, handle: Handle, (): ()) -> Handle {
        handle
    }
}
