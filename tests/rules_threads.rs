//! Threads that invalidate and threads that ask: once an invalidation has returned, no request that starts later gets what was there before.
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceExt};
use tower_cdn::{CachePolicy, CdnCache, CdnCacheLayer, Handle};

const PAGES: usize = 4;
const READERS: usize = 8;
const ROUNDS: u64 = 400;

type Edge = CdnCache<Versions>;

/// The version of each page at the origin, and the newest one of which an invalidation has returned.
#[derive(Debug, Default)]
struct Truth {
    version: [AtomicU64; PAGES],
    promised: [AtomicU64; PAGES],
    writers_done: AtomicUsize,
}

/// Answers with the version of the page, which it reads while it is asked, and lets others go first at times.
#[derive(Clone)]
struct Versions {
    truth: Arc<Truth>,
    cache_control: &'static str,
}

impl<Q: Send + 'static> Service<Request<Q>> for Versions {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let Self { truth, cache_control } = self.clone();
        let page: usize = request.uri().path()["/page/".len()..].parse().expect("a page");
        Box::pin(async move {
            let version = truth.version[page].load(Ordering::SeqCst);
            for _ in 0..version % 4 {
                tokio::task::yield_now().await;
            }
            let response = Response::builder()
                .header("cache-control", cache_control)
                .header("vary", "x-half")
                .header("surrogate-key", format!("all page-{page}"))
                .header("etag", format!("\"{version}\""));
            let body = Full::from(version.to_string());
            Ok(response.body(body).expect("a response"))
        })
    }
}

/// Another version of a page, and one of the ways to make the old one invalid.
async fn write(truth: &Truth, handle: &Handle, round: u64, page: usize) {
    let version = truth.version[page].fetch_add(1, Ordering::SeqCst) + 1;
    let invalidate = match round % 6 {
        0 => handle.invalidate(format!("http://a.example/page/{page}")),
        1 => handle.invalidate_path(format!("/page/{page}")),
        2 => handle.invalidate_path("/pa*").host("a.example"),
        3 => handle.invalidate_tags([format!("page-{page}"), "none".to_owned()]),
        4 => handle.invalidate_tags(["all"]).host("a.example"),
        _ => handle.invalidate_all(),
    };
    let receipt = if round % 7 < 3 { invalidate.soft().await } else { invalidate.await };
    assert!(receipt.expect("it is sound").is_durable());
    truth.promised[page].fetch_max(version, Ordering::SeqCst);
}

/// Asks for a page, and looks whether it is as new as was promised before.
async fn read(truth: &Truth, service: Edge, page: usize, half: u64) {
    let promised = truth.promised[page].load(Ordering::SeqCst);
    let request = Request::get(format!("http://a.example/page/{page}"))
        .header("x-half", half.to_string())
        .body(Empty::<Bytes>::new());
    let Ok(response) = service.oneshot(request.expect("a request")).await;
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    let version: u64 = str::from_utf8(&body).expect("text").parse().expect("a number");
    assert!(version >= promised, "page {page}: {version}, promised {promised}");
}

fn a_model(cache_control: &'static str) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(4).enable_time();
    runtime.build().expect("a runtime").block_on(async {
        let policy = CachePolicy::default().tag_fields([HeaderName::from_static("surrogate-key")]);
        let layer = CdnCacheLayer::builder(tower_cdn::MemoryStore::new(1 << 26)).policy(policy);
        let layer = layer.build();
        let truth = Arc::new(Truth::default());
        let service = layer.layer(Versions { truth: Arc::clone(&truth), cache_control });
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..PAGES {
            let (truth, handle) = (Arc::clone(&truth), layer.handle());
            let service = service.clone();
            tasks.spawn(async move {
                for round in 0..ROUNDS {
                    read(&truth, service.clone(), writer, round % 2).await;
                    write(&truth, &handle, round + writer as u64, writer).await;
                    read(&truth, service.clone(), writer, round % 2).await;
                }
                truth.writers_done.fetch_add(1, Ordering::SeqCst);
            });
        }
        for reader in 0..READERS {
            let (truth, service) = (Arc::clone(&truth), service.clone());
            tasks.spawn(async move {
                let mut round = reader;
                while truth.writers_done.load(Ordering::SeqCst) < PAGES {
                    read(&truth, service.clone(), round % PAGES, round as u64 / 4 % 2).await;
                    round += 1;
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
        let stats = layer.handle().stats();
        assert_eq!(stats.invalidations, PAGES as u64 * ROUNDS);
        assert!(stats.hits > 0 && stats.invalidated > 0, "{stats:?}");
    });
}

#[test]
fn no_old_response_is_given_once_an_invalidation_has_returned() {
    a_model("max-age=1000");
}

#[test]
fn no_old_response_is_given_where_stale_ones_are_refreshed_behind() {
    a_model("max-age=0, stale-while-revalidate=1000, stale-if-error=1000");
}
