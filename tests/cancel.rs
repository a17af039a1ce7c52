//! Many requests in many threads, and requests that are dropped at any point.
mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use support::{OriginError, RequestBody, seconds, settle};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CdnCacheLayer, Clock, MemoryStore};

/// No limit on time: what is tested is not how fast the machine is.
fn patient() -> CachePolicy {
    let long = seconds(60 * 60);
    CachePolicy::default()
        .wait_timeout(long)
        .store_timeout(long)
        .fetch_timeout(long)
        .stall_timeout(long)
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_one_fetch_for_each_of_300_rounds_of_50_requests() {
    let fetches = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&fetches);
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 26)).policy(patient()).build();
    let service = layer.layer(service_fn(move |request: Request<RequestBody>| {
        counted.fetch_add(1, SeqCst);
        async move {
            tokio::task::yield_now().await;
            let path = request.uri().path().to_owned();
            let response = Response::builder().header("cache-control", "max-age=3600");
            Ok::<_, Infallible>(response.body(Full::from(path)).unwrap())
        }
    }));
    for round in 1..=300 {
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move {
                    let uri = format!("http://example.com/{round}");
                    let request = Request::get(uri).body(RequestBody::default()).unwrap();
                    let response = service.oneshot(request).await.unwrap();
                    response.into_body().collect().await.unwrap().to_bytes()
                })
            })
            .collect();
        for one in asked {
            assert_eq!(one.await.unwrap(), format!("/{round}"));
        }
        assert_eq!(fetches.load(SeqCst), round, "one fetch a round");
    }
}

type Chunks =
    StreamBody<Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, OriginError>> + Send>>>;

/// An answer of any kind, with pauses of any length: shared or not, whole or broken, or none at all.
async fn any_answer(mut random: Random, _token: Arc<()>) -> Result<Response<Chunks>, OriginError> {
    for _ in 0..random.below(6) {
        tokio::task::yield_now().await;
    }
    if random.below(20) == 0 {
        return Err(OriginError("failed"));
    }
    if random.below(40) == 0 {
        // As a panic, but without the message on the terminal.
        std::panic::resume_unwind(Box::new("the origin panics"));
    }
    let says =
        ["max-age=60", "max-age=0", "private", "no-store", "max-age=0, stale-while-revalidate=60"];
    let mut response = Response::builder().header("cache-control", says[random.below(5) as usize]);
    if random.below(3) == 0 {
        response = response.header("vary", "x-a");
    }
    if random.below(3) == 0 {
        response = response.header("etag", "\"a\"");
    }
    let chunks = random.below(6);
    if random.below(2) == 0 {
        response = response.header("content-length", chunks * 10);
    }
    let stream = futures_util::stream::unfold((random, chunks), |(mut random, left)| async move {
        for _ in 0..random.below(4) {
            tokio::task::yield_now().await;
        }
        let left = left.checked_sub(1)?;
        let chunk = if random.below(30) == 0 {
            Err(OriginError("broke"))
        } else {
            Ok(Frame::data(Bytes::from_static(b"0123456789")))
        };
        Some((chunk, (random, left)))
    });
    let stream: Pin<Box<dyn futures_util::Stream<Item = _> + Send>> = Box::pin(stream);
    Ok(response.body(StreamBody::new(stream)).unwrap())
}

/// A request of any kind: one of a few keys, with conditions or ranges or none.
fn any_request(random: &mut Random) -> Request<RequestBody> {
    let method = ["GET", "GET", "GET", "GET", "HEAD", "POST"][random.below(6) as usize];
    let mut request = Request::builder().method(method);
    request = request.uri(format!("http://example.com/{}", random.below(20)));
    if random.below(4) == 0 {
        request = request.header("x-a", random.below(3));
    }
    if random.below(6) == 0 {
        request = request.header("range", "bytes=5-24");
    }
    if random.below(6) == 0 {
        request = request.header("if-none-match", "\"a\"");
    }
    request.body(RequestBody::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_dropped_at_any_point_leave_nothing_behind() {
    let store = MemoryStore::new(1 << 26);
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let seed = Arc::new(AtomicU64::new(1));
    let under_way = Arc::new(());
    let held = Arc::downgrade(&under_way);
    let service = layer.layer(service_fn(move |_: Request<RequestBody>| {
        let random = Random(seed.fetch_add(0x9E37_79B9_7F4A_7C15, SeqCst) | 1);
        any_answer(random, Arc::clone(&under_way))
    }));
    let mut random = Random(42);
    let mut asked = Vec::new();
    for _ in 0..10_000 {
        let request = any_request(&mut random);
        let (polls, service) = (random.below(30), service.clone());
        let mut whole = Box::pin(async move {
            if let Ok(response) = service.oneshot(request).await {
                _ = response.into_body().collect().await;
            }
        });
        asked.push(tokio::spawn(async move {
            for _ in 0..polls {
                if poll_fn(|cx| Poll::Ready(whole.as_mut().poll(cx).is_ready())).await {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }));
        if asked.len() == 100 {
            for one in asked.drain(..) {
                // Panics of the inner service come through.
                _ = one.await;
            }
            if random.below(10) == 0 {
                tokio::time::advance(Duration::from_secs(random.below(15))).await;
            }
        }
    }
    for _ in 0..10 {
        settle().await;
        tokio::time::advance(seconds(10)).await;
    }
    settle().await;
    assert_eq!(layer.handle().stats().fetches, 0);
    assert_eq!(layer.handle().stats().store_faults, 0);
    assert_eq!(held.strong_count(), 1, "no request is under way in the inner service");
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(alive, 0, "no task is left");
    drop((service, layer));
    assert_eq!(held.strong_count(), 0, "nothing holds the inner service any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_aborted_in_many_threads_leave_nothing_behind() {
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 26)).policy(patient()).build();
    let seed = Arc::new(AtomicU64::new(1));
    let service = layer.layer(service_fn(move |_: Request<RequestBody>| {
        any_answer(Random(seed.fetch_add(0x9E37_79B9_7F4A_7C15, SeqCst) | 1), Arc::default())
    }));
    let mut random = Random(7);
    for _ in 0..100 {
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let (request, service) = (any_request(&mut random), service.clone());
                tokio::spawn(async move {
                    let response = service.oneshot(request).await.ok()?;
                    response.into_body().collect().await.ok()
                })
            })
            .collect();
        for _ in 0..random.below(20) {
            tokio::task::yield_now().await;
        }
        for one in &asked {
            if random.below(3) > 0 {
                one.abort();
            }
        }
        for one in asked {
            _ = one.await;
        }
    }
    // Only a failure waits for this long.
    let idle = async {
        while layer.handle().stats().fetches > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(seconds(60), idle).await.expect("all fetches end");
    assert_eq!(layer.handle().stats().store_faults, 0);
}
