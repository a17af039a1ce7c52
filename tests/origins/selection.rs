//! Each request goes to the origin that was selected.
use crate::{
    support::{Client, Origin, RequestBody, ok},
    told::{counts, told},
};
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use std::convert::Infallible;
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_cdn::origins::{ByExtension, OriginError, OriginName, Origins, SelectOrigin};

fn by_path(head: &Parts) -> &'static str {
    if head.uri.path().starts_with("/api/") { "api" } else { "site" }
}

fn two() -> [Origin; 2] {
    let two = [Origin::new(), Origin::new()];
    two[0].always("/api/x", |_| ok("api"));
    two[1].always("/x", |_| ok("site"));
    two
}

#[tokio::test(start_paused = true)]
async fn a_closure_selects() {
    let [api, site] = two();
    let origins = Origins::new(by_path).origin("api", api.clone()).origin("site", site.clone());
    let client = Client::new(origins);
    assert_eq!(told(client.get("/api/x")).await, "200 api ()");
    assert_eq!(told(client.get("/x")).await, "200 site ()");
    assert_eq!(told(client.ask("POST", "/x").body("form")).await, "200 site ()");
    assert_eq!(counts(&[api, site]), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_name_among_the_extensions_selects() {
    let [api, site] = two();
    let origins = Origins::new(ByExtension).origin("api", api).origin("site", site);
    let request = |name: Option<OriginName>| {
        let mut request =
            Request::get("http://example.com/x").body(RequestBody::default()).unwrap();
        name.map(|name| request.extensions_mut().insert(name));
        request
    };
    let named = request(Some("site".to_owned().into()));
    assert_eq!(origins.clone().oneshot(named).await.unwrap().status(), 200);
    let error = origins.clone().oneshot(request(None)).await.err().unwrap();
    assert!(error.is_unknown_origin());
    let by_default = origins.fallback("site").oneshot(request(None)).await;
    assert_eq!(by_default.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_an_error_even_with_a_fallback() {
    let [_, site] = two();
    let client = Client::new(Origins::new(by_path).origin("site", site).fallback("site"));
    assert_eq!(told(client.get("/api/x")).await, "! no origin is called \"api\" ()");
    let error = client.get("/api/x").outcome().await.err().unwrap();
    assert!(error.is_unknown_origin() && !error.is_timeout());
    assert_eq!(error.status(), 502);
}

#[tokio::test(start_paused = true)]
async fn an_origin_replaces_one_of_the_same_name() {
    let [api, site] = two();
    let origins = Origins::new(by_path).origin("site", api).origin("site", site);
    assert_eq!(told(Client::new(origins.clone()).get("/x")).await, "200 site ()");
    assert!(origins.get("site").is_some() && origins.get("api").is_none());
}

#[tokio::test(start_paused = true)]
async fn origins_of_different_types() {
    type Any = BoxCloneSyncService<Request<RequestBody>, Response<RequestBody>, BoxError>;
    let hello = service_fn(|_: Request<RequestBody>| async {
        Ok::<_, Infallible>(Response::new(Full::from("hello")))
    });
    let fails = service_fn(|_: Request<RequestBody>| async {
        Err::<Response<RequestBody>, _>(std::io::Error::other("it broke"))
    });
    let origins = Origins::new(by_path)
        .origin("site", Any::new(hello.map_err(Into::into)))
        .origin("api", Any::new(fails.map_err(Into::into)));
    let client = Client::new(origins);
    assert_eq!(told(client.get("/")).await, "200 hello ()");
    let error = client.get("/api/").outcome().await.err().unwrap();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it broke");
}

/// Something that only knows a request's head, and is not a closure.
struct ByHost;

impl SelectOrigin for ByHost {
    fn select(&self, request: &Parts) -> Option<OriginName> {
        Some(request.uri.host()?.to_owned().into())
    }
}

#[tokio::test(start_paused = true)]
async fn any_type_can_select() {
    let [_, site] = two();
    let client = Client::new(Origins::new(ByHost).origin("www.example.com", site));
    assert_eq!(told(client.get("http://www.example.com/x")).await, "200 site ()");
    assert!(client.get("http://other.example.com/x").outcome().await.is_err());
}

/// What does not hold does not compile.
#[test]
fn types() {
    fn is_service<S, B>(_: S)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = OriginError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
    }
    is_service(Origins::new(by_path).origin("a", Origin::new()));
    is_service(tower_cdn::origins::OriginGroup::new([("a", Origin::new())]));
    is_service(tower_cdn::origins::Nearest::new([("a", Origin::new())]));
    is_service(tower_cdn::origins::Sharded::new([("a", Origin::new())]));
}
