//! Origins in order of preference.
use super::{check::Checks, failover::Members};
use http::request::Parts;
use std::sync::Arc;

/// Origins in order of preference: each request goes to the first one that is well, and to the next one if that does not answer well.
///
/// - The next origin is asked if the service of one fails, takes longer than [`FailoverPolicy::timeout`](super::FailoverPolicy::timeout) to answer with a head, or answers with one of
///   [`FailoverPolicy::statuses`](super::FailoverPolicy::statuses). Once an answer has been handed on nothing is asked any more, so what a client gets is always of one origin.
/// - Only requests with GET, HEAD or OPTIONS whose body is at its end are sent a second time. Any other request is sent once, to the first origin that is not skipped.
/// - If no origin answers well, the last response is handed on as it is, and if there was none, the last error.
/// - An origin that fails again and again is skipped for a while, see [`FailoverPolicy`](super::FailoverPolicy).
///
/// The origins that were asked are told by the [`Attempts`](super::Attempts) among the response's extensions, and by [`OriginError::attempts`](super::OriginError::attempts).
///
/// Needs a tokio runtime with time enabled. All clones share what they know of the origins' health.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use tower::{ServiceExt, service_fn};
/// use tower_cdn::origins::{Attempts, OriginGroup};
///
/// let origin = |status: StatusCode| {
///     service_fn(move |_: Request<Full<Bytes>>| async move {
///         let mut response = Response::new(Full::<Bytes>::default());
///         *response.status_mut() = status;
///         Ok::<_, Infallible>(response)
///     })
/// };
/// let group = OriginGroup::new([
///     ("primary", origin(StatusCode::BAD_GATEWAY)),
///     ("secondary", origin(StatusCode::OK)),
/// ]);
///
/// let response = group.oneshot(Request::new(Full::default())).await.unwrap();
/// assert_eq!(response.status(), 200);
/// # });
/// ```
#[derive(Debug)]
pub struct OriginGroup<S> {
    members: Arc<Members<S>>,
    checks: Option<Arc<Checks>>,
}

group!(OriginGroup);

impl<S> OriginGroup<S> {
    fn from_members(members: Arc<Members<S>>) -> Self {
        Self { members, checks: None }
    }

    fn order(&self, _: &Parts) -> Vec<usize> {
        (0..self.members.all.len()).collect()
    }
}
