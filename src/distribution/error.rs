//! What is wrong with a distribution.
use http::StatusCode;

/// A [`Distribution`](super::Distribution) that cannot be built. It prints what is wrong and where, and for a behaviour that is never used both patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct DistributionError(#[from] Wrong);

impl DistributionError {
    /// A behaviour is never used, since an earlier one matches all that it matches.
    pub fn is_hidden(&self) -> bool {
        matches!(self.0, Wrong::Hidden { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error(
        "behaviour {later} is never used: {earlier} stands before it and matches all that it matches"
    )]
    Hidden { earlier: String, later: String },
    #[error("path pattern {pattern:?}: {reason}")]
    Pattern { pattern: String, reason: &'static str },
    #[error("host {host:?} of behaviour {pattern}: {reason}")]
    Host { pattern: String, host: String, reason: &'static str },
    #[error(
        "default host {host:?} of behaviour {pattern}: the behaviour is chosen by the host, so all have that of the default behaviour"
    )]
    DefaultHost { pattern: String, host: String },
    #[error("error page {path:?} for {status}: {reason}")]
    ErrorPage { status: StatusCode, path: String, reason: &'static str },
}
