//! A cache in front of two origins: the second one answers while the first one is down, and what is stored needs neither.
//!
//! `cargo run --features origins --example failover`
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::time::Duration;
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_cdn::{
    CacheStatus, CdnCacheLayer,
    origins::{Attempts, FailoverPolicy, OriginGroup},
};

type Body = Full<Bytes>;
type Origin = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

fn broken() -> Origin {
    BoxCloneSyncService::new(service_fn(async |_| Err("connection refused".into())))
}

fn replica() -> Origin {
    BoxCloneSyncService::new(service_fn(async |_| {
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok(response.body(Full::from("hello from the replica"))?)
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // An origin that failed once is left alone for a second, then for two, at most for ten.
    let policy = FailoverPolicy::default()
        .failures(1)
        .pause(Duration::from_secs(1), Duration::from_secs(10));
    let group = OriginGroup::with_policy(policy, [("primary", broken()), ("replica", replica())]);
    let service = CdnCacheLayer::in_memory(1 << 20).layer(group);

    for path in ["/a", "/b", "/a"] {
        let request = Request::get(format!("http://example.com{path}")).body(Body::default())?;
        let response = service.clone().oneshot(request).await?;
        let (head, body) = response.into_parts();
        http_body_util::BodyExt::collect(body).await?;
        let status = head.extensions.get::<CacheStatus>().copied().unwrap_or_default();
        let attempts = head.extensions.get::<Attempts>().cloned().unwrap_or_default();
        println!("{path}: {status}; asked: {attempts}");
    }
    Ok(())
}
