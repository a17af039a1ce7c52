//! Services inside the cache, of one type whatever they are, and cheap to clone.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::OrElse;
use hyper::{Request, Response};
use tower::{Service, ServiceExt};

use crate::body::{OriginBody, RequestBody};
use crate::fault;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pub(crate) type Answer =
    Pin<Box<dyn Future<Output = Result<Response<OriginBody>, BoxError>> + Send>>;

/// What stands behind an [`Upstream`].
pub(crate) trait Ask: Send + Sync {
    fn ask(&self, request: Request<RequestBody>) -> Answer;
}

impl<S> Ask for S
where
    S: Service<Request<RequestBody>, Response = Response<OriginBody>, Error: Into<BoxError>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn ask(&self, request: Request<RequestBody>) -> Answer {
        Box::pin(self.clone().oneshot(request).map_err(Into::into))
    }
}

/// A service that is always ready: who asks waits within the future.
#[derive(Clone)]
pub(crate) struct Upstream(Arc<dyn Ask>);

impl Upstream {
    pub(crate) fn new(asked: impl Ask + 'static) -> Self {
        Self(Arc::new(asked))
    }

    /// Whether it is the very same service.
    #[cfg(feature = "origins")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<OriginBody>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer {
        self.0.ask(request)
    }
}

/// One that does not fail: what goes wrong is a response with 502 or 504.
#[derive(Clone)]
pub(crate) struct Answering(pub(crate) Upstream);

type Answered = Result<Response<OriginBody>, Infallible>;

impl Service<Request<RequestBody>> for Answering {
    type Response = Response<OriginBody>;
    type Error = Infallible;
    type Future = OrElse<Answer, Ready<Answered>, fn(BoxError) -> Ready<Answered>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.0.ask(request).or_else(|error| ready(Ok(fault::answer(&error).map(Into::into))))
    }
}
