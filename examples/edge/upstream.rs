//! Services inside the cache, of one type whatever they are, and cheap to clone.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::{Request, Response};
use tower::{Service, ServiceExt};

use crate::body::{OriginBody, RequestBody};
use crate::fault;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<OriginBody>, E>> + Send>>;

/// A service that is always ready: who asks waits within the future.
pub(crate) struct Upstream<E>(Arc<dyn Ask<E>>);

impl<E> Upstream<E> {
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<OriginBody>, Error: Into<E>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Self(Arc::new(service))
    }

    /// Whether it is the very same service.
    #[cfg(feature = "origins")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Upstream<Infallible> {
    /// One that does not fail: what goes wrong is a response with 502 or 504.
    pub(crate) fn answering(upstream: Upstream<BoxError>) -> Self {
        Self(Arc::new(Answering(upstream)))
    }
}

impl<E> Clone for Upstream<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Service<Request<RequestBody>> for Upstream<E> {
    type Response = Response<OriginBody>;
    type Error = E;
    type Future = Answer<E>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer<E> {
        self.0.ask(request)
    }
}

trait Ask<E>: Send + Sync {
    fn ask(&self, request: Request<RequestBody>) -> Answer<E>;
}

impl<S, E> Ask<E> for S
where
    S: Service<Request<RequestBody>, Response = Response<OriginBody>, Error: Into<E>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn ask(&self, request: Request<RequestBody>) -> Answer<E> {
        let answer = self.clone().oneshot(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

struct Answering(Upstream<BoxError>);

impl Ask<Infallible> for Answering {
    fn ask(&self, request: Request<RequestBody>) -> Answer<Infallible> {
        let answer = self.0.0.ask(request);
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|error| fault::answer(&error).map(Into::into)))
        })
    }
}
