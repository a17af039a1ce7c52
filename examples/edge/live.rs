//! The cache in front of its origins, as they are now: both may be exchanged while requests come.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use hyper::{Request, Response};
use tower::Service;
use tower_cdn::{CacheBody, CdnCache, ResponseFuture};

use crate::body::{OriginBody, RequestBody};
use crate::upstream::Answering;

pub(crate) type Cache = CdnCache<Answering>;

/// A request stays with the cache that it came to.
#[derive(Clone)]
pub(crate) struct Live(Arc<RwLock<Cache>>);

impl Live {
    pub(crate) fn new(cache: Cache) -> Self {
        Self(Arc::new(RwLock::new(cache)))
    }

    pub(crate) fn exchange(&self, cache: Cache) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = cache;
    }
}

impl Service<Request<RequestBody>> for Live {
    type Response = Response<CacheBody<OriginBody>>;
    type Error = Infallible;
    type Future = ResponseFuture<Answering, RequestBody, OriginBody>;

    /// As the cache, which is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let mut cache = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        cache.call(request)
    }
}
