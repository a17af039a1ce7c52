//! Why no origin has answered.
use super::{Attempts, OriginName};
use crate::BoxError;
use http::StatusCode;

/// No origin has answered.
///
/// Its [`source`](std::error::Error::source) is the error of the origin that was asked last.
///
/// # Example: what the client is told
/// ```
/// use http::Response;
/// use tower_cdn::origins::OriginError;
///
/// fn tell(error: &OriginError) -> Response<String> {
///     let mut response = Response::new("The origin does not answer.\n".to_owned());
///     *response.status_mut() = error.status();
///     response
/// }
/// # let _ = tell;
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct OriginError {
    kind: Kind,
    attempts: Attempts,
    #[source]
    source: Option<BoxError>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("origin failed")]
    Failed,
    #[error("origin did not answer in time")]
    TimedOut,
    #[error("no origin is called {0:?}")]
    Unknown(OriginName),
    #[error("no origin is selected")]
    NoneSelected,
    #[error("there is no origin")]
    Empty,
    #[cfg(feature = "client")]
    #[error("origin cannot be reached")]
    Unreachable,
    #[cfg(feature = "client")]
    #[error("an origin needs a scheme that can be spoken, and a host: {0}")]
    Unusable(http::Uri),
    #[cfg(feature = "client")]
    #[error("client broke off its request")]
    BrokenOff,
    #[cfg(feature = "s3")]
    #[error("bucket cannot be used")]
    Misconfigured,
}

impl OriginError {
    fn new(kind: Kind) -> Self {
        Self { kind, attempts: Attempts::default(), source: None }
    }

    /// The service of an origin failed. One of these services within another says itself what happened.
    pub(crate) fn failed(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(own) => *own,
            Err(source) => Self { source: Some(source), ..Self::new(Kind::Failed) },
        }
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(Kind::TimedOut)
    }

    pub(crate) fn unknown(name: Option<OriginName>) -> Self {
        Self::new(name.map_or(Kind::NoneSelected, Kind::Unknown))
    }

    pub(crate) fn empty() -> Self {
        Self::new(Kind::Empty)
    }

    /// hyper's client failed.
    #[cfg(feature = "client")]
    pub(crate) fn of_client(error: hyper_util::client::legacy::Error) -> Self {
        let kind = match &error {
            error if is_elapsed(error) => Kind::TimedOut,
            error if error.is_connect() => Kind::Unreachable,
            _ => Kind::Failed,
        };
        Self { source: Some(error.into()), ..Self::new(kind) }
    }

    /// It came after the client had broken off what it sends.
    #[cfg(feature = "client")]
    pub(crate) fn of_broken_upload(self) -> Self {
        Self { kind: Kind::BrokenOff, ..self }
    }

    #[cfg(feature = "client")]
    pub(crate) fn unusable(origin: http::Uri) -> Self {
        Self::new(Kind::Unusable(origin))
    }

    /// What the operator has set cannot be used.
    #[cfg(feature = "s3")]
    pub(crate) fn misconfigured(why: impl Into<BoxError>) -> Self {
        Self { source: Some(why.into()), ..Self::new(Kind::Misconfigured) }
    }

    pub(crate) fn after(mut self, attempts: Attempts) -> Self {
        self.attempts = attempts;
        self
    }

    /// The client has failed, and not the origin.
    pub(crate) fn is_of_broken_upload(&self) -> bool {
        match self.kind {
            #[cfg(feature = "client")]
            Kind::BrokenOff => true,
            _ => false,
        }
    }

    /// The last origin that was asked did not answer in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, Kind::TimedOut)
    }

    /// The request was selected for an origin that does not exist, or for none.
    pub fn is_unknown_origin(&self) -> bool {
        matches!(self.kind, Kind::Unknown(_) | Kind::NoneSelected | Kind::Empty)
    }

    /// No connection could be made, so the origin has not seen the request.
    #[cfg(feature = "client")]
    pub fn is_connect(&self) -> bool {
        matches!(self.kind, Kind::Unreachable)
    }

    /// Which origins were asked, in which order, and what came of it.
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// What a gateway tells its client (RFC 9110 section 15.6): 504 for a timeout, else 502.
    pub fn status(&self) -> StatusCode {
        if self.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY }
    }
}

/// tower's timeout is behind it: connecting took too long.
#[cfg(feature = "client")]
fn is_elapsed(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tower::timeout::error::Elapsed>() || error.source().is_some_and(is_elapsed)
}
