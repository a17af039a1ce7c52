//! A hit of what others offer for tower, counted as the crate's own are. `benches/README.md` tells how to run it.
#[path = "../../support/mod.rs"]
mod support;

use axum::body::Body;
use axum_response_cache::CacheLayer as AxumResponseCache;
use futures_util::future::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use http_cache::{CacheMode, HttpCache, HttpCacheOptions, MokaCache, MokaManager};
use http_cache_tower::HttpCacheLayer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    convert::Infallible,
    env,
    fmt::Debug,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{
    Ask, Case, Constant, MokaMap, Origin, Scene, alone, browser, callgrind, cases, floor_hit, hit,
    net, runtime, scene, send_all,
};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http_cache::{backend::memory::InMemoryBackend, prelude::CacheLayer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIB: usize = 1024;
/// One of them needs the whole URL.
const SCRIPT: &str = "http://www.example.com/a.js?v=3";

const CASES: &[Case] = cases! {
    "harness", 1000: alone(Constant, browser(SCRIPT));
    "tower-cdn/1KiB", 1000: hit(Origin::new(KIB), browser(SCRIPT), KIB);
    "floor/moka-1KiB", 1000: floor_hit(MokaMap::new(1_000), KIB);
    "axum-response-cache/1KiB", 1000: axum_response_cache(KIB);
    "axum-response-cache/64KiB", 1000: axum_response_cache(64 * KIB);
    "tower-http-cache/1KiB", 1000: tower_http_cache(KIB);
    "tower-http-cache/64KiB", 1000: tower_http_cache(64 * KIB);
    "http-cache-tower/1KiB", 200: http_cache_tower(KIB);
    "http-cache-tower/64KiB", 200: http_cache_tower(64 * KIB);
};

fn main() {
    if let Some(name) = callgrind::case_to_run() {
        return callgrind::run(CASES.iter().find(|case| case.name == name).expect("such a case"));
    }
    let cases: Vec<&Case> = CASES.iter().collect();
    let folder = env::temp_dir().join("peers-callgrind");
    let instructions = net(&cases, &callgrind::count(&cases, Path::new(&folder)));
    let allocations: Vec<_> = cases.iter().map(|case| allocations(case)).collect();
    let allocations = net(&cases, &allocations);
    println!("{:<28} {:>12} {:>12}", "each hit", "instructions", "allocations");
    for ((name, instructions), (_, allocations)) in instructions.iter().zip(&allocations) {
        println!("{name:<28} {instructions:>12.0} {allocations:>12.2}");
    }
}

fn allocations(case: &Case) -> f64 {
    let runtime = runtime();
    let mut scene = runtime.block_on((case.set)());
    runtime.block_on(scene(case.rounds));
    let run = scene(case.rounds);
    let region = Region::new(ALLOCATOR);
    let requests = runtime.block_on(run);
    let change = region.change();
    drop(requests);
    callgrind::each((change.allocations + change.reallocations) as u64, case)
}

/// How often the origin was asked: once, and then no more.
type Asked = Arc<AtomicUsize>;

/// Hits on one stored response.
async fn hits<S, B>(mut service: S, asked: Asked, length: usize) -> Scene
where
    S: Service<Ask, Response = Response<B>, Error: Debug> + Clone + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: Debug>,
{
    send_all(&mut service, &[browser(SCRIPT)]).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    scene(
        service,
        || browser(SCRIPT),
        move |rounds, bytes| {
            assert_eq!((asked.load(Ordering::Relaxed), bytes), (1, rounds * length));
        },
    )
}

async fn axum_response_cache(length: usize) -> Scene {
    let (origin, asked) = (Origin::new(length), Asked::default());
    let count = Arc::clone(&asked);
    // It calls the service on a hit as well, but does not wait for it.
    let answer = move |request: Request<Body>| {
        let (origin, count) = (origin.clone(), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(origin.answer(request.headers()).map(Body::new))
        }
    };
    let service = ServiceBuilder::new()
        .map_request(|request: Ask| request.map(|_: Empty<_>| Body::empty()))
        .layer(AxumResponseCache::with_lifespan(Duration::from_secs(3_600)))
        .service(service_fn(answer));
    hits(service, asked, length).await
}

async fn tower_http_cache(length: usize) -> Scene {
    let (origin, asked) = (Origin::new(length), Asked::default());
    let layer = CacheLayer::builder(InMemoryBackend::new(1_000))
        .ttl(Duration::from_secs(3_600))
        .respect_cache_control(true)
        .build();
    hits(layer.layer(counting(origin, &asked)), asked, length).await
}

async fn http_cache_tower(length: usize) -> Scene {
    let (origin, asked) = (Origin::new(length), Asked::default());
    let layer = HttpCacheLayer::with_cache(HttpCache {
        mode: CacheMode::Default,
        manager: MokaManager::new(MokaCache::new(1_000)),
        options: HttpCacheOptions::default(),
    });
    hits(layer.layer(counting(origin, &asked)), asked, length).await
}

fn counting(
    origin: Origin,
    asked: &Asked,
) -> impl Service<
    Ask,
    Response = Response<http_body_util::Full<bytes::Bytes>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let asked = Arc::clone(asked);
    service_fn(move |request: Ask| {
        asked.fetch_add(1, Ordering::Relaxed);
        let response = origin.answer(request.headers());
        async { Ok(response) }
    })
}
