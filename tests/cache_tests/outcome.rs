//! What a test says.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// The test says nothing: what did not hold was only preparation.
    Setup,
    /// The cache sent a request twice.
    Retry,
    Timeout,
}

#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// What did not hold, and what client and origin saw; empty for a pass.
    pub(crate) report: String,
}

/// The first check that did not hold.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
}

impl Verdict {
    pub(crate) fn explained(self) -> &'static str {
        match self {
            Self::Pass => "passes",
            Self::Fail => "fails",
            Self::Setup => "could not be set up",
            Self::Retry => "cannot be judged: the cache sent a request twice",
            Self::Timeout => "timed out",
        }
    }
}
