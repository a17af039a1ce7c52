//! How to test what one's application says to caches: in virtual time, without a server. Here an origin that promises a minute
//! is asked three times.
//!
//! `cargo run --example unit_test`, or `cargo test --example unit_test`
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use std::{convert::Infallible, time::Duration};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_cdn::{CacheStatus, CdnCacheLayer, Clock, MemoryStore};

/// The application under test.
async fn application(_: Request<Empty<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response =
        Response::builder().header("cache-control", "max-age=60").header("etag", "\"1\"");
    Ok(response.body(Full::new(Bytes::from("hello"))).unwrap_or_default())
}

/// Asks once and tells what the cache did.
async fn ask<S, B>(service: &mut S) -> Option<CacheStatus>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("http://example.com/");
    let Ok(response) = service.ready().await.ok()?.call(request).await;
    let (parts, body) = response.into_parts();
    // Reading the body to its end is what lets the response be stored.
    http_body_util::BodyExt::collect(body).await.ok()?;
    parts.extensions.get().copied()
}

async fn story() -> [Option<CacheStatus>; 3] {
    tokio::time::pause();
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 20)).clock(Clock::tokio()).build();
    let mut service = layer.layer(service_fn(application));
    let first = ask(&mut service).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    let second = ask(&mut service).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    [first, second, ask(&mut service).await]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for status in story().await.into_iter().flatten() {
        println!("{status}");
    }
}

#[tokio::test]
async fn a_minute_is_a_minute() {
    let [first, second, third] = story().await.map(Option::unwrap_or_default);
    assert!(first.is_stored());
    assert_eq!((second.is_hit(), second.ttl()), (true, Some(1)));
    assert_eq!(third.forward(), Some(tower_cdn::Forward::Stale));
}
