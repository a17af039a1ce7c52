//! A site and an API behind one name: which rules a request falls under, and which origin answers it.
//!
//! `cargo run --features origins --example distribution`
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::ACCEPT_LANGUAGE};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_cdn::{
    Behaviour, CachePolicy, CacheStatus, CdnCacheLayer, Distribution, KeyPolicy, MemoryStore,
    origins::{ByExtension, Origins},
};

type Body = Full<Bytes>;
type Origin = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn site() -> Origin {
    BoxCloneSyncService::new(service_fn(async |request: Request<Body>| {
        let field = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let text = match request.uri().path() {
            "/" => format!("the page in {}", field(ACCEPT_LANGUAGE).unwrap_or("English")),
            "/errors/404" => "a friendly page".to_owned(),
            _ => String::new(),
        };
        let mut response = Response::new(Full::from(text.clone()));
        if text.is_empty() {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok(response)
    }))
}

fn api() -> Origin {
    BoxCloneSyncService::new(service_fn(async |request: Request<Body>| {
        Ok(Response::new(Full::from(format!("the API heard {}", request.method()))))
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // What says nothing of its lifetime is kept for a day, one page for each language.
    let pages = Behaviour::new(CachePolicy::cloudfront())
        .key_policy(KeyPolicy::default().header(ACCEPT_LANGUAGE))
        .origin("site");
    let distribution = Distribution::builder(pages)
        .behaviour("/api/*", Behaviour::dynamic().origin("api"))
        .error_page(StatusCode::NOT_FOUND, "/errors/404", None)
        .build()?;
    let cache = CdnCacheLayer::builder(MemoryStore::new(16 << 20)).distribution(distribution);
    // The behaviour has put the name of its origin among the request's extensions.
    let origins = Origins::new(ByExtension).origin("site", site()).origin("api", api());
    let service = cache.build().layer(origins);

    for (method, path, language) in [
        (Method::GET, "/", "de"),
        (Method::GET, "/", "de"),
        (Method::GET, "/", "fr"),
        (Method::POST, "/", "fr"),
        (Method::GET, "/missing", "fr"),
        (Method::GET, "/api/users", "fr"),
        (Method::POST, "/api/users", "fr"),
    ] {
        let request = Request::builder().method(&method).uri(format!("http://example.com{path}"));
        let request = request.header(ACCEPT_LANGUAGE, language).body(Body::default())?;
        let (head, body) = service.clone().oneshot(request).await?.into_parts();
        let text = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&text);
        let cache = head.extensions.get::<CacheStatus>().copied().unwrap_or_default();
        println!("{method} {path} {language}: {} {text:?}, {cache}", head.status.as_u16());
        // The copy is stored behind the client's back.
        tokio::task::yield_now().await;
    }
    Ok(())
}
