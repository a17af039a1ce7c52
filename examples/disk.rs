//! A store on a disk: what was stored before the program ended is there when it starts again.
//!
//! `cargo run --example disk --features disk`, twice.
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{BoxError, CacheStatus, CdnCacheLayer, store::DiskStore};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let directory = std::env::temp_dir().join("tower-cdn-example");
    // Room for 64 MiB, index and files together.
    let store = DiskStore::open(&directory, 64 * 1024 * 1024)?;
    let layer = CdnCacheLayer::new(store.clone());
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        let response = Response::builder().header("cache-control", "max-age=3600");
        Ok::<_, Infallible>(response.body(Full::from("hello from the origin")).expect("a response"))
    }));

    let request = Request::get("http://example.com/").body(Full::default())?;
    let response = service.oneshot(request).await?;
    let status = response.extensions().get::<CacheStatus>().map(ToString::to_string);
    let content = response.into_body().collect().await?.to_bytes();
    println!("{content:?}: {}", status.unwrap_or_default());

    // The response is stored when its fetch has ended.
    while layer.handle().stats().fetches > 0 {
        tokio::task::yield_now().await;
    }
    println!("{:?} in {}", store.stats(), directory.display());
    // Without this it would be found as well, unless the machine goes down first.
    store.close().await?;
    Ok(())
}
