//! When the next origin is asked, and how long a failing one is left alone.
use http::StatusCode;
use std::time::Duration;

/// When a group of origins asks the next one, and how long it leaves a failing one alone.
///
/// # Health
/// An origin that fails [`failures`](Self::failures) times in a row is skipped for a [`pause`](Self::pause). When that is over, one request that could be sent
/// to another origin as well is sent to it, while all others still pass it over. A request that has probed one in vain keeps its last attempt for an origin that is up. If that fails, the next pause is twice as long, up to a limit; any
/// answer that is not one of [`unhealthy`](Self::unhealthy) ends it. Where all origins are skipped, a request is sent to the one whose pause ends
/// first, and to no other.
///
/// # Example: not found in one bucket, so look into the next
/// ```
/// use http::StatusCode;
/// use std::time::Duration;
/// use tower_cdn::origins::FailoverPolicy;
///
/// let policy = FailoverPolicy::default()
///     .statuses([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND])
///     .timeout(Duration::from_secs(5));
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverPolicy {
    pub(crate) statuses: Vec<StatusCode>,
    pub(crate) unhealthy: Vec<StatusCode>,
    pub(crate) timeout: Duration,
    pub(crate) attempts: usize,
    pub(crate) failures: u32,
    pub(crate) pause: Duration,
    pub(crate) longest_pause: Duration,
}

/// A pause that an operator meant as "for ever"; an instant that far ahead still exists.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

const UNHEALTHY: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

impl Default for FailoverPolicy {
    fn default() -> Self {
        let mut statuses = UNHEALTHY.to_vec();
        statuses.push(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            statuses,
            unhealthy: UNHEALTHY.to_vec(),
            timeout: Duration::from_secs(30),
            attempts: 3,
            failures: 3,
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl FailoverPolicy {
    /// The statuses on which the next origin is asked. Default: 500, 502, 503 and 504.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// The statuses that count against the health of an origin, as errors and timeouts do. Default: 502, 503 and 504. Not 500: one
    /// page that is broken must not take an origin out that serves all others.
    #[must_use]
    pub fn unhealthy(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.unhealthy = statuses.into_iter().collect();
        self
    }

    /// How long each origin may take to be ready and to answer with a head, if the request could be sent to another one. A request that is sent once
    /// waits as long as its origin does. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many origins one request is sent to at most; at least one. Default: 3, so that a request for what is broken everywhere does not go everywhere.
    /// With one alone the request that finds out whether a skipped origin is back has no other attempt.
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// After how many failures in a row an origin is skipped; at least one. Default: 3.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures.max(1);
        self
    }

    /// How long an origin is skipped at first, and at most: each failed probe doubles it. Default: 5 s and 60 s.
    #[must_use]
    pub fn pause(mut self, first: Duration, longest: Duration) -> Self {
        (self.pause, self.longest_pause) = (first, longest.max(first));
        self
    }

    /// The pause after so many failed probes, as long as can be told.
    pub(crate) fn nth_pause(&self, failed_probes: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed_probes).unwrap_or(u32::MAX);
        self.pause.saturating_mul(factor).min(self.longest_pause).min(LONGEST_PAUSE)
    }
}
