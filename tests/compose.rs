//! Beside other layers: axum, tower, tower-http, hyper.
mod support;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use support::{
    Client, Origin, OriginBody, OriginError, RequestBody, hang, ok, pass, settle, world,
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
    service_fn,
};
use tower_cdn::{CacheBody, CdnCache, CdnCacheLayer, Handle, MemoryStore, ResponseFuture};
use tower_http::{
    compression::CompressionLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};

fn layer() -> CdnCacheLayer {
    CdnCacheLayer::new(MemoryStore::new(1 << 26))
}

/// A handler that is cached, and counts.
fn counting(body: &'static str) -> (axum::routing::MethodRouter, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let handler = get(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { ([(header::CACHE_CONTROL, "max-age=60")], body) }
    });
    (handler, count)
}

#[tokio::test(start_paused = true)]
async fn axum_router_layer() {
    let (handler, count) = counting("cached");
    let app = Router::new()
        .route("/", handler)
        .layer(layer())
        .route("/outside", get(|| async { "not cached" }));
    let client = Client::new(app);
    assert_eq!(client.get("/").await.text().await, "cached");
    settle().await;
    let hit = client.get("/").await;
    assert_eq!((hit.status, hit.how().as_str()), (200, "hit"));
    assert_eq!(hit.text().await, "cached");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let outside = client.get("/outside").await;
    assert_eq!(outside.field("cache-status"), None);
    assert_eq!(client.get("/missing").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn axum_route_layer_for_one_route() {
    let (handler, count) = counting("cached");
    let client = Client::new(Router::new().route("/", handler.layer(layer())));
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text().await, "cached");
        settle().await;
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn around_a_whole_router() {
    let (handler, count) = counting("cached");
    let service = layer().layer(Router::new().route("/", handler));
    let client = Client::new(service.clone());
    assert_eq!(client.get("/").told().await, "200 cached (uri-miss)");
    assert_eq!(client.get("/").told().await, "200 cached (hit)");
    assert_eq!(client.get("/missing").told().await, "404  (uri-miss)");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // And it can be served as a router can, with no error handling.
    let _make = tower::make::Shared::new(service);
}

#[tokio::test(start_paused = true)]
async fn requests_of_axum_have_bodies_of_axum() {
    let service = layer().layer(Router::new().route("/", counting("cached").0));
    let request = Request::get("http://example.com/").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
    assert!(response.extensions().get::<tower_cdn::CacheStatus>().unwrap().is_stored());
}

/// Says hello, `max-age` and `content-type` set by layers or not at all.
async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(Bytes::from("hello ".repeat(100)))))
}

#[tokio::test(start_paused = true)]
async fn tower_http_inside() {
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=60"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain"),
        ))
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(9),
        ))
        .service(service_fn(hello));
    let client = Client::new(service);
    let gzip = || client.get("/").header("accept-encoding", "gzip");
    let first = gzip().await;
    assert_eq!((first.field("content-encoding"), first.how().as_str()), (Some("gzip"), "uri-miss"));
    drop(first.told().await);
    settle().await;
    let hit = gzip().await;
    assert_eq!((hit.field("content-encoding"), hit.how().as_str()), (Some("gzip"), "hit"));
    assert_eq!(client.get("/").told().await, format!("200 {} (vary-miss)", "hello ".repeat(100)));
    assert_eq!(client.get("/").await.how(), "hit");
}

#[tokio::test(start_paused = true)]
async fn tower_http_outside() {
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_secs(9)))
        .layer(SetResponseHeaderLayer::overriding(header::SERVER, HeaderValue::from_static("edge")))
        .layer(CompressionLayer::new())
        .layer(layer())
        .layer(SetResponseHeaderLayer::appending(
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=60"),
        ))
        .layer(SetResponseHeaderLayer::appending(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain"),
        ))
        .service(service_fn(hello));
    let client = Client::new(service);
    for how in ["uri-miss", "hit", "hit"] {
        let zipped = client.get("/").header("accept-encoding", "gzip").await;
        assert_eq!((zipped.how().as_str(), zipped.field("content-encoding")), (how, Some("gzip")));
        assert_eq!(zipped.field("server"), Some("edge"));
        drop(zipped.told().await);
        settle().await;
    }
    let plain = client.get("/").await;
    assert_eq!((plain.how().as_str(), plain.field("content-encoding")), ("hit", None));
    assert_eq!(plain.text().await, "hello ".repeat(100));
}

/// tower-http's timeout makes an empty body by `Default`, which the inner service's has not.
#[tokio::test(start_paused = true)]
async fn tower_http_timeout_outside() {
    let origin = Origin::new();
    let limit = Duration::from_secs(9);
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(http::StatusCode::GATEWAY_TIMEOUT, limit))
        .layer(layer())
        .service(origin.clone());
    let client = Client::new(service);
    let (slow, hold) = ok("a").max_age(60).held();
    origin.says("/", slow);
    let asked = client.get("/").start();
    pass(9).await;
    let reply = asked.await.unwrap();
    assert_eq!((reply.status, reply.text().await.as_str()), (504, ""));
    hold.release();
    settle().await;
    assert_eq!(client.get("/").told().await, "200 a (hit)", "the fetch went on");
}

#[tokio::test(start_paused = true)]
async fn an_inner_timeout_is_an_error_of_the_inner_service() {
    let origin = Origin::new();
    origin.says("/", ok("a").says("max-age=10, stale-if-error=100"));
    origin.always("/", |_| hang());
    let layer =
        CdnCacheLayer::builder(MemoryStore::new(1 << 26)).clock(tower_cdn::Clock::tokio()).build();
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_secs(2)))
        .service(origin);
    let client = Client::new(service);
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let asked = client.get("/").start_told();
    pass(2).await;
    assert_eq!(asked.await.unwrap(), "200 a (stale)");
    let other = client.get("/other").start_outcome();
    settle().await;
    drop(other);
}

/// What is called without having been ready panics; a clone is not ready, as `tower_service::Service` says it may be.
struct Careful {
    inner: Origin,
    ready: bool,
    polled: Arc<AtomicUsize>,
}

impl Clone for Careful {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ready: false, polled: Arc::clone(&self.polled) }
    }
}

impl<Q: Send + 'static> Service<Request<Q>> for Careful {
    type Response = Response<OriginBody>;
    type Error = OriginError;
    type Future = <Origin as Service<Request<Q>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        // Ready when it is asked again.
        if self.polled.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        self.inner.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_waited_for_on_the_clone_that_is_called() {
    let origin = Origin::new();
    let careful = Careful { inner: origin.clone(), ready: false, polled: Arc::default() };
    let polled = Arc::clone(&careful.polled);
    let client = Client::new(layer().layer(careful));
    origin.always("/", |_| ok("a").max_age(60));
    origin.always("/mine", |_| ok("a").says("private"));
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    let before = polled.load(Ordering::SeqCst);
    assert_eq!(client.get("/").told().await, "200 a (hit)");
    assert_eq!(polled.load(Ordering::SeqCst), before, "a hit asks nobody");
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        for _ in 0..2 {
            assert_eq!(client.ask(method, "/mine").await.status, 200, "{method}");
        }
    }
    assert_eq!(polled.load(Ordering::SeqCst), 2 * origin.count());
}

#[tokio::test(start_paused = true)]
async fn no_deadlock_around_a_limit_of_one() {
    let origin = Origin::new();
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(origin.clone());
    many_requests(&origin, Client::new(service)).await;
}

#[tokio::test(start_paused = true)]
async fn no_deadlock_within_a_limit_of_one() {
    let origin = Origin::new();
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(layer())
        .service(origin.clone());
    many_requests(&origin, Client::new(service)).await;
}

#[tokio::test(start_paused = true)]
async fn no_deadlock_around_a_buffer() {
    let origin = Origin::new();
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(BufferLayer::new(1))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(origin.clone());
    many_requests(&origin, Client::new(service)).await;
}

#[tokio::test(start_paused = true)]
async fn no_deadlock_within_a_buffer() {
    let origin = Origin::new();
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(1))
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(layer())
        .service(origin.clone());
    many_requests(&origin, Client::new(service)).await;
}

/// Shared, private, stale and unsafe requests at once: each gets its answer, and no time passes.
async fn many_requests<S, E>(origin: &Origin, client: Client<S>)
where
    S: Service<Request<RequestBody>, Error = E, Response = Response<CacheBody<OriginBody>>>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    E: fmt::Debug + Send + 'static,
{
    origin.always("/", |_| ok("a").max_age(60).vary("x-a"));
    origin.always("/mine", |_| ok("a").says("private"));
    origin.always("/swr", |_| ok("a").says("max-age=0, stale-while-revalidate=1000").etag("\"a\""));
    let start = tokio::time::Instant::now();
    let mut asked = Vec::new();
    for n in 0..30 {
        asked.push(client.get("/").header("x-a", (n % 3).to_string()).start());
        asked.push(client.get("/mine").start());
        asked.push(client.get("/swr").start());
        asked.push(client.ask("POST", "/mine").start());
        asked.push(client.ask("HEAD", "/").start());
    }
    for reply in asked {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    settle().await;
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody had to be given up");
    assert_eq!(client.get("/").header("x-a", "1").await.how(), "hit");
}

#[tokio::test(start_paused = true)]
async fn a_hit_does_not_wait_for_an_inner_service_that_is_busy() {
    let origin = Origin::new();
    let limited =
        ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(origin.clone());
    let client = Client::new(layer().layer(limited));
    origin.says("/", ok("a").max_age(60));
    origin.says("/hangs", hang());
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    let busy = client.get("/hangs").start();
    settle().await;
    assert_eq!(client.get("/").told().await, "200 a (hit)");
    assert_eq!(client.ask("HEAD", "/").told().await, "200  (hit)");
    busy.abort();
}

/// Ready once, and then broken.
#[derive(Clone)]
struct Breaks(Origin, Arc<AtomicUsize>);

impl<Q: Send + 'static> Service<Request<Q>> for Breaks {
    type Response = Response<OriginBody>;
    type Error = OriginError;
    type Future = <Origin as Service<Request<Q>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(match self.1.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(OriginError("broken for ever")),
        })
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_does_not_need_an_inner_service_that_works() {
    let origin = Origin::new();
    origin.says("/", ok("a").max_age(60));
    let client = Client::new(layer().layer(Breaks(origin, Arc::default())));
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(client.get("/").told().await, "200 a (hit)");
    let error = client.get("/other").outcome().await.err();
    assert_eq!(error, Some(OriginError("broken for ever")), "the inner service's own error");
    assert_eq!(client.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn the_service_is_always_ready() {
    let w = world();
    let mut service = w.layer.layer(Breaks(w.origin.clone(), Arc::default()));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        let ready = Service::<Request<RequestBody>>::poll_ready(&mut service, &mut cx);
        assert_eq!(ready, Poll::Ready(Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn the_wrapped_service_can_be_reached() {
    let w = world();
    let mut service = w.layer.layer(w.origin.clone());
    assert_eq!(service.get_ref().count(), 0);
    service.get_mut().says("/", ok("a"));
    let inner = service.into_inner();
    let client = Client::new(w.layer.layer(inner));
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
}

/// What does not hold does not compile.
#[test]
fn types() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn is_clone<T: Clone>() {}
    fn is_debug<T: fmt::Debug>() {}
    fn is_service<S, Q, B, E>()
    where
        S: Service<Request<Q>, Response = Response<CacheBody<B>>, Error = E>,
        S::Future: Future<Output = Result<Response<CacheBody<B>>, E>> + Send,
    {
    }
    fn is_body<B: http_body::Body<Data = Bytes, Error = BoxError>>() {}

    is_send::<CdnCacheLayer>();
    is_sync::<CdnCacheLayer>();
    is_clone::<CdnCacheLayer>();
    is_debug::<CdnCacheLayer>();
    is_send::<Handle>();
    is_sync::<Handle>();
    is_clone::<Handle>();
    is_send::<CdnCache<Origin>>();
    is_sync::<CdnCache<Origin>>();
    is_clone::<CdnCache<Origin>>();
    is_send::<ResponseFuture<Origin, RequestBody, OriginBody>>();
    is_debug::<ResponseFuture<Origin, RequestBody, OriginBody>>();
    is_send::<CacheBody<OriginBody>>();
    is_body::<CacheBody<OriginBody>>();
    // The body of hyper's server, and an error that is the inner service's.
    is_service::<CdnCache<Origin>, hyper::body::Incoming, OriginBody, OriginError>();
    is_service::<CdnCache<Router>, hyper::body::Incoming, axum::body::Body, Infallible>();
}
