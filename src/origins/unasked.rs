//! Answers that no origin has given.

/// Marks a response that was made in front of an origin, which has not been asked: it says nothing of that one.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "s3"), allow(dead_code))]
pub(crate) struct Unasked;
