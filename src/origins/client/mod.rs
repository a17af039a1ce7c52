//! An HTTP/1.1 origin: its connections, and the time that it has.
mod body;
mod builder;
mod framing;
mod head;
mod upload;

pub use body::HttpBody;
pub use builder::HttpOriginBuilder;

use super::{OriginError, ResponseFuture};
use crate::BoxError;
use builder::Timeouts;
use futures_util::future::{Either, select};
use head::Target;
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use std::{
    error::Error,
    fmt, future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{self, Instant},
};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;
use upload::Upload;

/// An origin that speaks HTTP/1.1: a pool of connections, with limits and timeouts.
///
/// | what | default | see |
/// | --- | --- | --- |
/// | a free place, the name's addresses, TCP and TLS together | 10 s | [`connect_timeout`](HttpOriginBuilder::connect_timeout) |
/// | from the last byte of the request to the head of the response | 30 s | [`first_byte_timeout`](HttpOriginBuilder::first_byte_timeout) |
/// | between two parts of the response's body | 30 s | [`between_bytes_timeout`](HttpOriginBuilder::between_bytes_timeout) |
/// | an unused connection is kept | 5 s | [`idle_timeout`](HttpOriginBuilder::idle_timeout) |
/// | unused connections that are kept | 256 | [`max_idle`](HttpOriginBuilder::max_idle) |
/// | connections in use | 1024 | [`max_connections`](HttpOriginBuilder::max_connections) |
///
/// The request's target becomes the origin's, and `Host` its name unless [`keep_host`](HttpOriginBuilder::keep_host) says otherwise. Fields of the request that are
/// for one connection (RFC 9110 section 7.6.1) are removed, and with them a wish to upgrade. The response is handed on as it came: the cache looks at its `Connection`.
///
/// A GET, HEAD or OPTIONS without a body is sent once more, over another connection, if its connection is closed before it has brought a part of an answer: it
/// was closed while unused, as a rule. No other request is sent twice.
///
/// It fails with an [`OriginError`], for which [`is_timeout`](OriginError::is_timeout) and [`is_connect`](OriginError::is_connect) tell what it was. All clones share the pool.
///
/// Needs a tokio runtime with I/O and time enabled.
///
/// # Example
/// ```no_run
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use std::time::Duration;
/// use tower::ServiceExt;
/// use tower_cdn::origins::HttpOrigin;
///
/// let origin = HttpOrigin::builder()
///     .first_byte_timeout(Duration::from_secs(10))
///     .build("http://app.internal:8080".parse().unwrap())?;
///
/// let request = Request::get("http://www.example.com/").body(Full::<Bytes>::default()).unwrap();
/// let response = origin.oneshot(request).await?;
/// # Ok::<_, tower_cdn::origins::OriginError>(())
/// # });
/// ```
///
/// # Cancel safety
/// Dropping the future or the body closes the connection that was in use.
pub struct HttpOrigin<Q> {
    client: Client<Q>,
    shared: Arc<Shared>,
}

type Client<Q> =
    BoxCloneSyncService<Request<Upload<Q>>, Response<Incoming>, hyper_util::client::legacy::Error>;

#[derive(Debug)]
struct Shared {
    target: Target,
    timeouts: Timeouts,
    /// Of connections in use.
    places: Arc<Semaphore>,
}

impl HttpOrigin<()> {
    /// One that is to be configured. For which bodies of requests it is shows where it is used.
    pub fn builder() -> HttpOriginBuilder {
        HttpOriginBuilder::default()
    }
}

impl<Q> Clone for HttpOrigin<Q> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<Q> fmt::Debug for HttpOrigin<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpOrigin").field(&self.shared).finish()
    }
}

impl<Q> Service<Request<Q>> for HttpOrigin<Q>
where
    Q: Body + Send + 'static,
    Q::Data: Send,
    Q::Error: Into<BoxError>,
{
    type Response = Response<HttpBody>;
    type Error = OriginError;
    type Future = ResponseFuture<HttpBody>;

    /// Always ready: a request waits for a free place within the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ResponseFuture::new(self.clone().send(request))
    }
}

impl<Q> HttpOrigin<Q>
where
    Q: Body + Send + 'static,
    Q::Data: Send,
    Q::Error: Into<BoxError>,
{
    async fn send(self, request: Request<Q>) -> Result<Response<HttpBody>, OriginError> {
        let Shared { target, timeouts, places } = &*self.shared;
        let asked = Instant::now();
        let place = time::timeout(timeouts.connect, Arc::clone(places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(OriginError::timed_out()) };
        let left = timeouts.connect.saturating_sub(asked.elapsed());
        let (mut head, body) = request.into_parts();
        target.address(&mut head);
        let method = head.method.clone();
        let can_repeat =
            matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) && body.is_end_stream();
        let again = can_repeat.then(|| head.clone());
        head::frame(&mut head, &body);
        let first = self.exchange(Request::from_parts(head, Upload::of(body)), left).await;
        let answer = match (first, again) {
            (Err(error), Some(head)) if is_closed_unused(&error) => {
                self.exchange(Request::from_parts(head, Upload::empty()), left).await
            }
            (answer, _) => answer,
        };
        let mut response = answer?;
        framing::settle(&mut response, &method)?;
        Ok(response.map(|body| HttpBody::new(body, timeouts.between_bytes, place)))
    }

    /// One request over one connection, which has to be there before this time is over.
    async fn exchange(
        &self,
        mut request: Request<Upload<Q>>,
        connect: Duration,
    ) -> Result<Response<Incoming>, OriginError> {
        let ended = request.body_mut().ended();
        let broke = request.body().broke();
        let mut connection = capture_connection(&mut request);
        let answer = pin!(self.client.clone().oneshot(request));
        let unconnected = pin!(async {
            if time::timeout(connect, connection.wait_for_connection_metadata()).await.is_ok() {
                future::pending::<()>().await;
            }
        });
        let too_late = pin!(async {
            // The sender is dropped with the body at the latest.
            _ = ended.await;
            time::sleep(self.shared.timeouts.first_byte).await;
        });
        let answer = match select(answer, select(unconnected, too_late)).await {
            Either::Left((answer, _)) => answer.map_err(OriginError::of_client),
            Either::Right(_) => Err(OriginError::timed_out()),
        };
        answer.map_err(
            |error| {
                if broke.load(Ordering::Acquire) { error.of_broken_upload() } else { error }
            },
        )
    }
}

/// Was the connection closed before it brought any part of an answer?
fn is_closed_unused(error: &OriginError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message() || error.is_canceled();
        }
        source = error.source();
    }
    false
}
