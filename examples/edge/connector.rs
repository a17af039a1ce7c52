//! Makes connections to one origin.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tower::{Service, ServiceExt};

use crate::upstream::BoxError;
use crate::wire::Wire;

type Connection = MaybeHttpsStream<TokioIo<Wire>>;

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

/// Cheap to clone: the pooled client does that for each request, whether it needs a connection or not.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Fn() -> Connecting + Send + Sync>);

impl Connector {
    /// Connects to `origin`, by whatever name the client asks.
    pub(crate) fn new<S>(service: S, origin: Uri) -> Self
    where
        S: Service<Uri, Response = Connection, Error = BoxError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Self(Arc::new(move || Box::pin(service.clone().oneshot(origin.clone()))))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Connecting {
        (self.0)()
    }
}
