//! The service: always ready, and ready at once with what is stored.
use crate::{
    BoxError, CacheBody, CacheStatus,
    engine::{
        Age, Engine, Engines, Route,
        begin::{Begin, Pass},
        request::respond,
        write_through,
    },
    error_page,
    semantics::cache_status::Forward,
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::util::Oneshot;
use tower_service::Service;

/// Answers requests from the cache, and from the service it wraps when it must. Made by [`CdnCacheLayer`](crate::CdnCacheLayer); see
/// there for an example.
///
/// Its error is the inner service's: the cache adds none of its own.
#[derive(Clone, Debug)]
pub struct CdnCache<S> {
    inner: S,
    engines: Arc<Engines>,
}

impl<S> CdnCache<S> {
    pub(crate) fn new(inner: S, engines: Arc<Engines>) -> Self {
        Self { inner, engines }
    }

    /// The wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The wrapped service, without the cache.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Q, B> Service<Request<Q>> for CdnCache<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    Q: Body + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<CacheBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q, B>;

    /// Always ready: a hit must not wait for an inner service that is busy. A request that is forwarded waits for the readiness of
    /// its own clone within the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        if self.engines.has_error_pages() {
            self.answer_or_page(request)
        } else {
            self.answer(request)
        }
    }
}

impl<S> CdnCache<S> {
    /// The answer to this request, or the page that is to take its place. Apart, so that what has no pages does not move its request for them.
    #[inline(never)]
    fn answer_or_page<Q, B>(&self, request: Request<Q>) -> ResponseFuture<S, Q, B>
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send + 'static,
        Q: Body + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let again = error_page::Again::of(&request);
        let first = self.answer(request);
        let Some(again) = again else { return first };
        if let Inner::Ready { response: Some(response) } = &first.inner
            && self.engines.error_page(response.status()).is_none()
        {
            return first;
        }
        let engines = Arc::clone(&self.engines);
        ResponseFuture::boxed(error_page::respond(first, self.clone(), engines, again))
    }

    /// The answer to this very request, error or not.
    #[inline]
    pub(crate) fn answer<Q, B>(&self, mut request: Request<Q>) -> ResponseFuture<S, Q, B>
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send + 'static,
        Q: Body + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let engine = match self.engines.route(&mut request) {
            Route::To(engine) => engine,
            Route::Refused(response) => return ResponseFuture::ready(response),
        };
        let origin = || self.inner.clone();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return match engine.pass(&mut request) {
                Pass::Safe => {
                    let status = CacheStatus::forwarded(Forward::Method);
                    ResponseFuture::forward(origin(), request, engine, status)
                }
                Pass::Unsafe => ResponseFuture::boxed(write_through::respond(
                    Arc::clone(engine),
                    origin(),
                    request,
                )),
                Pass::Loop => ResponseFuture::ready(engine.refuse_loop()),
            };
        }
        let (mut head, body) = request.into_parts();
        let mut answer = Response::new(CacheBody::empty());
        match engine.begin(&mut head, &body, &mut answer) {
            Begin::Answered => ResponseFuture::ready(answer),
            Begin::Forward(status) => {
                let request = Request::from_parts(head, body);
                ResponseFuture::forward(origin(), request, engine, status)
            }
            // The body is empty, but only the client's side can make one of its kind.
            Begin::Ask(asking, look) => {
                let (engine, asked) = (Arc::clone(engine), Arc::new(asking.with(head)));
                ResponseFuture::boxed(respond(engine, origin(), asked, body, look))
            }
        }
    }
}

pin_project! {
    /// Response future of [`CdnCache`]: a ready value for a hit, the inner service's own future for what takes no part, and a boxed one for all else: misses, unsafe methods,
    /// and what may need an error page of a [`Distribution`](crate::Distribution).
    ///
    /// # Cancel safety
    /// Dropping it never disturbs anybody else: a fetch that it has started goes on for those who follow, and for the store. A request with an unsafe method goes on for as long as
    /// [`CachePolicy::fetch_timeout`](crate::CachePolicy::fetch_timeout) at most, since its answer tells what is not valid any more.
    pub struct ResponseFuture<S, Q, B>
    where
        S: Service<Request<Q>>,
    {
        #[pin]
        inner: Inner<S, Q, B>,
    }
}

type Boxed<B, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<B>>, E>> + Send>>;

pin_project! {
    #[project = InnerProj]
    enum Inner<S, Q, B>
    where
        S: Service<Request<Q>>,
    {
        Ready { response: Option<Response<CacheBody<B>>> },
        Forward { #[pin] future: Oneshot<S, Request<Q>>, exit: Option<(Arc<Engine>, CacheStatus)> },
        Boxed { future: Boxed<B, S::Error> },
    }
}

impl<S, Q, B> ResponseFuture<S, Q, B>
where
    S: Service<Request<Q>>,
{
    fn ready(response: Response<CacheBody<B>>) -> Self {
        Self { inner: Inner::Ready { response: Some(response) } }
    }

    fn forward(inner: S, request: Request<Q>, engine: &Arc<Engine>, status: CacheStatus) -> Self {
        let exit = Some((Arc::clone(engine), status));
        Self { inner: Inner::Forward { future: Oneshot::new(inner, request), exit } }
    }

    fn boxed(
        future: impl Future<Output = Result<Response<CacheBody<B>>, S::Error>> + Send + 'static,
    ) -> Self {
        Self { inner: Inner::Boxed { future: Box::pin(future) } }
    }
}

impl<S, Q, B> Future for ResponseFuture<S, Q, B>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Output = Result<Response<CacheBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.project() {
            InnerProj::Ready { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled after it was done.
                None => Poll::Pending,
            },
            InnerProj::Forward { future, exit } => {
                let mut response = ready!(future.poll(cx))?.map(CacheBody::forwarded);
                if let Some((engine, status)) = exit.take() {
                    engine.complete(&mut response, Age::AsReceived, status);
                }
                Poll::Ready(Ok(response))
            }
            InnerProj::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}

impl<S, Q, B> fmt::Debug for ResponseFuture<S, Q, B>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
