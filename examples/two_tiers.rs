//! Two edges in front of one regional cache, all in one process: what each of them answers, and what a change does.
//!
//! `cargo run --features origins --example two_tiers`
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CdnCacheLayer, Handles, MemoryStore, origins::Regional};

static CHANGES: AtomicU32 = AtomicU32::new(0);

/// A page that says how often it has been changed.
async fn origin(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::POST {
        CHANGES.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::new(Full::from(format!("change {CHANGES:?}")));
    response.headers_mut().insert("cache-control", http::HeaderValue::from_static("max-age=60"));
    Ok(response)
}

fn cache(name: &str) -> CdnCacheLayer {
    // A name of its own for each, also against loops: the next tier is no loop.
    let policy = CachePolicy::default().cache_status(Some(name)).cdn_loop(name);
    CdnCacheLayer::builder(MemoryStore::new(16 << 20)).policy(policy).build()
}

async fn ask<S, B, E>(edge: &S, method: Method) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = E> + Clone,
    B: http_body::Body<Error: Into<BoxError>>,
    E: Into<BoxError>,
{
    let request = Request::builder().method(&method).uri("http://example.com/page");
    let response =
        edge.clone().oneshot(request.body(Full::default())?).await.map_err(Into::into)?;
    let (head, body) = response.into_parts();
    let text = body.collect().await.map_err(Into::into)?.to_bytes();
    let caches: Vec<_> = head.headers.get_all("cache-status").iter().collect();
    println!("{method:4} {}: {caches:?}", String::from_utf8_lossy(&text));
    // What the caches do behind the client's back.
    tokio::task::yield_now().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (region, north, south) = (cache("region"), cache("north"), cache("south"));
    let tier = Regional::new(region.layer(service_fn(origin)), service_fn(origin))
        // The answers to unsafe requests do not pass the region.
        .tells(region.handle());
    let edges = [north.layer(tier.clone()), south.layer(tier)];

    for edge in [&edges[0], &edges[0], &edges[1]] {
        ask(edge, Method::GET).await?;
    }
    ask(&edges[0], Method::POST).await?;
    ask(&edges[0], Method::GET).await?;

    println!("the other edge has what it had, until an operator says otherwise");
    ask(&edges[1], Method::GET).await?;
    Handles::new([&region, &north, &south].map(CdnCacheLayer::handle)).invalidate_all().await?;
    ask(&edges[1], Method::GET).await
}
