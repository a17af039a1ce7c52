//! How quick and how busy an origin is.
//!
//! The estimate is that of tower's `PeakEwma`: it jumps to each peak and forgets it. That one measures until its handle is dropped, whatever came of
//! the request, so that who fails quickly would be taken for quick.
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What an origin is taken to need before anything is known, in seconds.
const DEFAULT_LATENCY: f64 = 0.03;

/// How long an observation counts, in seconds.
const DECAY: f64 = 10.0;

/// Below that one is as good as the other, in seconds: who has less to do is better.
const LEAST: f64 = 1e-6;

/// A failure counts as so many times the time that it cost.
const FAILURE: f64 = 10.0;

/// Measures the time to the heads of responses and counts the requests that wait for one.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Mutex<Estimate>>);

struct Estimate {
    /// In seconds, as it was then.
    latency: f64,
    at: Instant,
    /// The last one that was no client's doing.
    last: f64,
    waiting: u32,
}

/// Measures one request until it is dropped.
pub(crate) struct Measured {
    meter: Meter,
    sent: Instant,
    /// What was expected when it was sent.
    before: f64,
    /// How long it takes is the client's doing.
    is_upload: bool,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    /// Nobody waits any more. It would have taken as long at least.
    Left,
    Answered,
    Failed,
    /// It says nothing of the origin.
    Void,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let at = Instant::now();
        Self(Arc::new(Mutex::new(Estimate {
            latency: DEFAULT_LATENCY,
            at,
            last: DEFAULT_LATENCY,
            waiting: 0,
        })))
    }

    /// A request is sent.
    pub(crate) fn start(&self) -> Measured {
        let sent = Instant::now();
        let mut estimate = self.lock();
        estimate.waiting = estimate.waiting.saturating_add(1);
        let before = estimate.decayed(sent);
        Measured { meter: self.clone(), sent, before, is_upload: false, end: End::Left }
    }

    /// A request is sent whose content the client has still to send. It makes no origin slower than it is known to be.
    pub(crate) fn start_upload(&self) -> Measured {
        let mut measured = self.start();
        measured.is_upload = true;
        measured
    }

    /// Latency times requests that wait, this one included. Less is better.
    pub(crate) fn cost(&self) -> f64 {
        let estimate = self.lock();
        estimate.decayed(Instant::now()).max(LEAST) * (f64::from(estimate.waiting) + 1.0)
    }

    fn lock(&self) -> MutexGuard<'_, Estimate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Estimate {
    /// What of it counts now. What nobody has asked for long is worth a try.
    fn decayed(&self, now: Instant) -> f64 {
        self.latency * weight(now.saturating_duration_since(self.at))
    }

    fn observe(&mut self, latency: f64, now: Instant) {
        let decayed = self.decayed(now);
        let weight = weight(now.saturating_duration_since(self.at));
        self.latency = if decayed < latency { latency } else { decayed + latency * (1.0 - weight) };
        self.at = now;
    }
}

fn weight(passed: Duration) -> f64 {
    (-passed.as_secs_f64() / DECAY).exp()
}

impl Measured {
    /// It was answered well.
    pub(crate) fn answered(mut self) {
        self.end = End::Answered;
    }

    /// What came of it is not the origin's doing: it is as if it had not been sent.
    pub(crate) fn says_nothing(mut self) {
        self.end = End::Void;
    }

    /// It was not. What that costs shows when this is dropped: as soon as the request has its answer, from whomever.
    pub(crate) fn failed(mut self) -> Self {
        self.end = End::Failed;
        self
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.sent).as_secs_f64();
        let mut estimate = self.meter.lock();
        estimate.waiting = estimate.waiting.saturating_sub(1);
        let latency = match (self.end, self.is_upload) {
            (End::Void, _) | (End::Left, true) => return,
            (End::Failed, true) => self.before,
            (End::Answered, true) => took.min(estimate.last),
            (End::Answered, false) => took,
            (End::Left, false) => took.max(self.before),
            (End::Failed, false) => (took * FAILURE).max(self.before),
        };
        if !self.is_upload {
            estimate.last = latency;
        }
        estimate.observe(latency, now);
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    async fn asked(meter: &Meter, milliseconds: u64, end: impl FnOnce(Measured)) {
        let measured = meter.start();
        advance(Duration::from_millis(milliseconds)).await;
        end(measured);
    }

    /// In milliseconds.
    fn cost(meter: &Meter) -> u64 {
        (meter.cost() * 1000.0).round() as u64
    }

    #[tokio::test(start_paused = true)]
    async fn peaks_count_at_once_and_are_forgotten() {
        let meter = Meter::new();
        assert_eq!(cost(&meter), 30);
        asked(&meter, 1000, Measured::answered).await;
        assert_eq!(cost(&meter), 1000);
        advance(Duration::from_secs(10)).await;
        assert_eq!(cost(&meter), 368);
        asked(&meter, 0, Measured::answered).await;
        assert_eq!(cost(&meter), 368, "what is older than an observation does not count twice");
        advance(Duration::from_secs(1000)).await;
        assert_eq!(cost(&meter), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_wait_count() {
        let meter = Meter::new();
        let waiting = [meter.start(), meter.start()];
        assert_eq!(cost(&meter), 90);
        drop(waiting);
        assert_eq!(cost(&meter), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_or_is_left_is_no_quicker_than_expected() {
        let meter = Meter::new();
        asked(&meter, 1000, Measured::answered).await;
        asked(&meter, 500, drop).await;
        assert_eq!(cost(&meter), 1000, "left");
        asked(&meter, 50, |measured| drop(measured.failed())).await;
        assert_eq!(cost(&meter), 1000, "failed quickly");
        asked(&meter, 500, |measured| drop(measured.failed())).await;
        assert_eq!(cost(&meter), 5000, "what it has cost counts ten times");
        asked(&meter, 7000, drop).await;
        assert_eq!(cost(&meter), 7000, "left after it was slow");
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_changes_nothing() {
        let meter = Meter::new();
        asked(&meter, 1000, Measured::answered).await;
        let one = meter.start();
        advance(Duration::from_secs(10)).await;
        one.says_nothing();
        assert_eq!(cost(&meter), 368, "neither quick nor slow, and no longer waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_make_an_origin_no_slower_than_it_is_known_to_be() {
        let meter = Meter::new();
        let upload = async |milliseconds| {
            let measured = meter.start_upload();
            advance(Duration::from_millis(milliseconds)).await;
            measured
        };
        asked(&meter, 1000, Measured::answered).await;
        upload(60_000).await.answered();
        assert_eq!(cost(&meter), 1000, "it is seen anew, and what it takes is the client's doing");
        drop(upload(60_000).await);
        assert_eq!(cost(&meter), 2, "one that is left tells nothing");
        upload(50).await.answered();
        assert_eq!(cost(&meter), 50);
        drop(upload(10).await.failed());
        assert_eq!(cost(&meter), 50, "to fail quickly is not to be quick");
    }
}
