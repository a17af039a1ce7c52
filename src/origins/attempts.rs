//! Which origins were asked for one response.
use super::OriginName;
use http::StatusCode;
use std::{fmt, ops::Deref, sync::Arc};

/// The origins that were asked for one response, in order: an extension of each response of a group of origins, and part of its log event (feature
/// `tracing`). A group within a group tells its own after those of the outer one.
///
/// It prints as `primary=timeout, secondary=200`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts(Arc<[Attempt]>);

/// One origin, and what came of asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(crate) origin: OriginName,
    pub(crate) outcome: Outcome,
}

/// What came of asking an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It answered with this status.
    Answered(StatusCode),
    /// Its service failed, for instance because no connection could be made.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// It was not asked, since it failed lately.
    Skipped,
}

impl Attempt {
    /// The name of the origin.
    pub fn origin(&self) -> &OriginName {
        &self.origin
    }

    /// What came of asking it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl Attempts {
    /// With those of a group that is itself an origin behind.
    pub(crate) fn new(mut attempts: Vec<Attempt>, inner: Option<&Self>) -> Self {
        attempts.extend(inner.iter().flat_map(|inner| inner.iter().cloned()));
        Self(attempts.into())
    }
}

impl Deref for Attempts {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        &self.0
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, attempt) in self.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.origin)?;
        match self.outcome {
            Outcome::Answered(status) => write!(f, "{}", status.as_u16()),
            Outcome::Failed => f.write_str("failed"),
            Outcome::TimedOut => f.write_str("timeout"),
            Outcome::Skipped => f.write_str("skipped"),
        }
    }
}
