//! What can go wrong with an origin, and what the client is told then (RFC 9110 §15.6).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use crate::reply::{self, Cause};

type BoxError = Box<dyn Error + Send + Sync>;

/// Why an origin gave no response.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Unreachable(String),
    Broken(String),
    /// No response head within this time.
    TimedOut(Duration),
    /// So many requests were under way that this one had no turn within this time.
    Busy(Duration),
    /// Not the origin's fault.
    ClientBroke,
    /// Nor this: nothing of the request's body within this time.
    ClientSlow(Duration),
}

impl Fault {
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, "The origin cannot be reached.\n"),
            Self::Broken(_) => {
                (StatusCode::BAD_GATEWAY, "The origin gave no response that can be understood.\n")
            }
            Self::TimedOut(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "The origin did not respond in time.\n")
            }
            Self::Busy(_) => (StatusCode::GATEWAY_TIMEOUT, "The origin has too much to do.\n"),
            Self::ClientBroke => (StatusCode::BAD_REQUEST, "The request body ended early.\n"),
            Self::ClientSlow(_) => {
                (StatusCode::REQUEST_TIMEOUT, "The request body did not come in time.\n")
            }
        };
        with_cause(status, text, self.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) | Self::Broken(cause) => f.write_str(cause),
            Self::TimedOut(limit) => write!(f, "no response head within {limit:?}"),
            Self::Busy(limit) => write!(f, "no free place within {limit:?}"),
            Self::ClientBroke => f.write_str("request body ended early"),
            Self::ClientSlow(limit) => write!(f, "nothing of the request body within {limit:?}"),
        }
    }
}

impl Error for Fault {}

/// The answer to a request for which a service inside the cache has failed. It may be replaced by
/// something stale.
pub(crate) fn answer(error: &BoxError) -> Response<Full<Bytes>> {
    #[cfg(feature = "origins")]
    if let Some(failed) = error.downcast_ref::<tower_cdn::origins::OriginError>() {
        return of_origins(failed);
    }
    match find(&**error) {
        Some(fault) => fault.clone().into_response(),
        None => Fault::Broken(chain(&**error)).into_response(),
    }
}

/// With the origins that were asked, for the log.
#[cfg(feature = "origins")]
fn of_origins(error: &tower_cdn::origins::OriginError) -> Response<Full<Bytes>> {
    let mut response = match find(error) {
        Some(fault) => fault.clone().into_response(),
        None if error.is_timeout() => {
            with_cause(error.status(), "The origin did not respond in time.\n", chain(error))
        }
        None => with_cause(error.status(), "The origin cannot be reached.\n", chain(error)),
    };
    if !error.attempts().is_empty() {
        let cause = match response.extensions().get::<Cause>() {
            Some(Cause(cause)) => format!("{}: {cause}", error.attempts()),
            None => error.attempts().to_string(),
        };
        response.extensions_mut().insert(Cause(cause));
    }
    response
}

fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Fault> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(fault) = this.downcast_ref() {
            return Some(fault);
        }
        error = this.source();
    }
    None
}

fn with_cause(status: StatusCode, text: &'static str, cause: String) -> Response<Full<Bytes>> {
    let mut response = reply::text(status, text);
    response.extensions_mut().insert(Cause(cause));
    response
}

/// An error and what is behind it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
