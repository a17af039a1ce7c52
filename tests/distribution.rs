//! Behaviours, the origin that each names, what they forward, and pages in place of errors.
mod support;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use support::{World, answer, fail, ok, pass, settle, world_with};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{
    Behaviour, CachePolicy, CdnCacheLayer, Distribution, DistributionBuilder, Dynamic,
    ForwardedHeaders, KeyPolicy, MemoryStore, OriginName, Parameters,
};

fn world(distribution: DistributionBuilder) -> World {
    let distribution = distribution.build().expect("a distribution");
    world_with(|builder| builder.distribution(distribution))
}

fn cached() -> Behaviour {
    Behaviour::new(CachePolicy::cloudfront())
}

fn origin_of(w: &World) -> Option<String> {
    w.origin.last().extensions.get::<OriginName>().map(ToString::to_string)
}

#[tokio::test(start_paused = true)]
async fn the_first_behaviour_that_matches_counts() {
    let w = world(
        Distribution::builder(cached().origin("site"))
            .behaviour("/images/*.jpg", cached().origin("jpg"))
            .behaviour("/images/*", cached().origin("images"))
            .behaviour("/api/*", cached().host("api.example.com").origin("api")),
    );
    for (target, origin) in [
        ("http://example.com/images/a/b.jpg?x", "jpg"),
        ("http://example.com/images/a.png?.jpg", "images"),
        ("http://example.com/Images/a.png", "site"),
        ("http://example.com/api/x", "site"),
        ("http://API.example.com:80/api/x", "api"),
    ] {
        w.origin
            .says(target.split("example.com").last().unwrap().trim_start_matches(":80"), ok("a"));
        w.get(target).told().await;
        assert_eq!(origin_of(&w).as_deref(), Some(origin), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_behaviour_has_its_own_policy_and_key() {
    let strict = Behaviour::new(CachePolicy::default());
    let keys = KeyPolicy::default().query(Parameters::None);
    let w = world(Distribution::builder(strict).behaviour("/assets/*", cached().key_policy(keys)));
    w.origin.always("/assets/a", |_| ok("a"));
    w.origin.always("/a", |_| ok("a"));
    assert_eq!(w.get("/assets/a?v=1").told().await, "200 a (uri-miss)");
    settle().await;
    assert_eq!(w.get("/assets/a?v=2").told().await, "200 a (hit)", "no query, and a day to live");
    assert_eq!(w.get("/a").told().await, "200 a (uri-miss)");
    settle().await;
    assert_eq!(w.get("/a").told().await, "200 a (uri-miss)", "it says nothing of its lifetime");
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_not_allowed_are_403() {
    let w = world(
        Distribution::builder(cached().methods([Method::GET]))
            .behaviour("/api/*", Behaviour::dynamic()),
    );
    let reply = w.post("/").await;
    assert_eq!(
        (reply.status, reply.cache().to_string()),
        (403, "tower-cdn; detail=method-not-allowed".to_owned())
    );
    assert_eq!(w.head("/").await.status, 403);
    assert_eq!(w.origin.count(), 0);
    w.origin.says("/api/x", ok("a"));
    assert_eq!(w.post("/api/x").told().await, "200 a (method)");
}

#[tokio::test(start_paused = true)]
async fn dynamic_behaviours_cache_nothing_and_say_so() {
    let w = world(Distribution::builder(cached()).behaviour("/api/*", Behaviour::dynamic()));
    w.origin.always("/api/x", |_| ok("a").max_age(60));
    for _ in 0..2 {
        let ask = w.get("/api/x").header("cookie", "a=1").header("authorization", "x");
        let reply = ask.await;
        assert_eq!(reply.fields("cache-status"), ["tower-cdn; fwd=bypass; detail=dynamic"]);
        let seen = w.origin.last();
        assert!(seen.extensions.get::<Dynamic>().is_some());
        assert_eq!((seen.field("cookie"), seen.field("authorization")), (Some("a=1"), Some("x")));
    }
    assert_eq!(w.origin.count(), 2);
    w.origin.says("/", ok("a"));
    w.get("/").told().await;
    assert!(w.origin.last().extensions.get::<Dynamic>().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_tells_who_asks_is_not_forwarded() {
    let w = world(Distribution::builder(cached()));
    w.origin.always("/", |_| ok("for all").max_age(60));
    let ask =
        w.get("/").header("cookie", "a=1").header("authorization", "secret").header("x-a", "1");
    assert_eq!(ask.told().await, "200 for all (uri-miss)");
    let seen = w.origin.last();
    assert_eq!(
        (seen.field("cookie"), seen.field("authorization"), seen.field("x-a")),
        (None, None, Some("1"))
    );
    settle().await;
    assert_eq!(w.get("/").told().await, "200 for all (hit)", "nobody's own page");
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_keyed_nor_listed_the_origin_does_not_see() {
    let keys = KeyPolicy::default().cookie("theme").header(http::header::ACCEPT_LANGUAGE);
    let behaviour = cached().key_policy(keys).forwarded_headers(ForwardedHeaders::Only(vec![]));
    let w = world(Distribution::builder(behaviour));
    w.origin.always("/", |seen| {
        ok(format!("{:?} {:?}", seen.field("cookie"), seen.field("x-forwarded-host"))).max_age(60)
    });
    let ask = w
        .get("/")
        .header("cookie", "id=7; theme=dark")
        .header("x-forwarded-host", "evil")
        .header("accept-language", "en");
    assert_eq!(ask.told().await, "200 Some(\"theme=dark\") None (uri-miss)");
    assert_eq!(w.origin.last().field("accept-language"), Some("en"));
    settle().await;
    let ask = w.get("/").header("cookie", "theme=dark; id=8").header("accept-language", "en");
    assert_eq!(ask.told().await, "200 Some(\"theme=dark\") None (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_handle_knows_the_keys_of_all_behaviours() {
    let keys = KeyPolicy::default().query(Parameters::None);
    let w =
        world(Distribution::builder(cached()).behaviour("/assets/*", cached().key_policy(keys)));
    w.origin.always("/assets/a", |_| ok("a"));
    w.get("http://example.com/assets/a?v=1").told().await;
    settle().await;
    w.layer.handle().invalidate("http://example.com/assets/a?v=9").await.unwrap();
    assert_eq!(w.get("http://example.com/assets/a?v=1").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn errors_are_cached_for_a_while() {
    let w = world(Distribution::builder(Behaviour::new(
        CachePolicy::cloudfront().error_ttl_of(StatusCode::BAD_GATEWAY, Duration::from_secs(3)),
    )));
    for (status, ttl) in [(404, 10), (410, 10), (503, 10), (502, 3)] {
        let path = format!("/{status}");
        w.origin.always(&path, move |_| answer(status));
        for how in ["uri-miss", "hit"] {
            assert_eq!(w.get(&path).told().await, format!("{status}  ({how})"));
            settle().await;
        }
        pass(ttl + 1).await;
        assert_eq!(
            w.get(&path).told().await,
            format!("{status}  (stale)"),
            "and no stale error for a new one"
        );
        settle().await;
    }
    for status in [400, 403, 405, 501] {
        let path = format!("/{status}");
        w.origin.always(&path, move |_| answer(status));
        for _ in 0..2 {
            assert_eq!(w.get(&path).told().await, format!("{status}  (uri-miss)"));
            settle().await;
        }
    }
    for forbidding in ["no-store", "private"] {
        let path = format!("/{forbidding}");
        w.origin.always(&path, move |_| answer(404).says(forbidding));
        for _ in 0..2 {
            assert_eq!(w.get(&path).told().await, "404  (uri-miss)", "{forbidding}");
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_takes_the_place_of_an_error() {
    let w = world(
        Distribution::builder(cached())
            .error_page(StatusCode::NOT_FOUND, "/errors/404.html", None)
            .error_page(StatusCode::SERVICE_UNAVAILABLE, "/errors/sorry.html", Some(StatusCode::OK))
            .error_page(StatusCode::BAD_GATEWAY, "/errors/sorry.html", None)
            .error_page(StatusCode::FORBIDDEN, "/errors/gone.html", None),
    );
    w.origin.always("/errors/404.html", |_| ok("nothing here").max_age(60));
    w.origin.always("/errors/sorry.html", |_| ok("sorry").max_age(60));
    w.origin.always("/errors/gone.html", |_| answer(404));
    w.origin.always("/a", |_| answer(404).body("plain"));
    w.origin.always("/b", |_| answer(503).body("plain"));
    w.origin.always("/c", |_| fail());
    w.origin.always("/d", |_| answer(403).body("plain"));
    assert_eq!(
        w.get("/a").header("range", "bytes=0-1").told().await,
        "404 nothing here (uri-miss)"
    );
    settle().await;
    assert_eq!(w.get("/a").told().await, "404 nothing here (hit)");
    assert_eq!(w.get("/b").told().await, "200 sorry (uri-miss)");
    settle().await;
    assert_eq!(w.get("/c").told().await, "502 sorry (hit)");
    assert_eq!(w.get("/d").told().await, "403 plain (uri-miss)", "the page is not there either");
    assert_eq!(w.head("/b").await.status, 200);
}

#[test]
fn err_a_behaviour_that_is_never_used_names_both() {
    let build = |first: &str, then: &str| {
        Distribution::builder(cached()).behaviour(first, cached()).behaviour(then, cached()).build()
    };
    let error = build("/images/*", "/images/*.jpg").unwrap_err();
    assert!(error.is_hidden());
    let told = error.to_string();
    assert!(told.contains("/images/* ") && told.contains("/images/*.jpg"), "{told}");
    assert!(build("/images/*.jpg", "/images/*").is_ok());
    let host = Distribution::builder(cached())
        .behaviour("/*", cached().host("*.example.com"))
        .behaviour("/a", cached().host("www.example.com"))
        .build();
    assert!(host.unwrap_err().is_hidden());
    let other = Distribution::builder(cached())
        .behaviour("/*", cached().host("www.example.com"))
        .behaviour("/a", cached());
    assert!(other.build().is_ok());
}

#[test]
fn err_patterns_hosts_and_pages_that_are_none() {
    let with = |pattern: &str, host: &str| {
        let builder = Distribution::builder(cached()).behaviour(pattern, cached().host(host));
        builder.build().unwrap_err().to_string()
    };
    assert!(with("", "a").contains("empty"));
    assert!(with("/a b", "a").contains("\"/a b\""));
    assert!(with("/a", "a:80").contains("port"));
    for (status, path, page) in [(404, "x", 200), (200, "/x", 200), (404, "/x", 204)] {
        let [status, page] = [status, page].map(|code| StatusCode::from_u16(code).unwrap());
        let builder = Distribution::builder(cached()).error_page(status, path, Some(page));
        assert!(builder.build().unwrap_err().to_string().contains("error page"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_names_no_host_falls_under_the_behaviour_of_the_default_one() {
    let keys = KeyPolicy::default().default_host("site.example");
    let w = world(
        Distribution::builder(cached().key_policy(keys).origin("others"))
            .behaviour("*", cached().host("site.example").origin("site")),
    );
    w.origin.always("/", |seen| ok(seen.field("host").unwrap_or("nobody").to_owned()).max_age(60));
    for ask in [w.get("/").origin_form("/"), w.get("/").origin_form("/").header("host", "")] {
        ask.version(http::Version::HTTP_10).told().await;
        settle().await;
        assert_eq!(origin_of(&w).as_deref(), Some("site"), "what has its key is its own");
        assert_eq!(w.origin.last().field("host"), Some("site.example"), "and it is told so");
    }
    assert_eq!(w.get("http://site.example/").told().await, "200 site.example (hit)");
    assert_eq!(w.origin.count(), 1);
}

#[test]
fn err_behaviours_with_default_hosts_of_their_own() {
    let with = |host: &str| cached().key_policy(KeyPolicy::default().default_host(host));
    let built = |default, own| Distribution::builder(default).behaviour("/a", own).build();
    let error = built(with("a.example"), with("b.example")).unwrap_err().to_string();
    assert!(error.contains("b.example") && error.contains("/a"), "{error}");
    built(cached(), with("b.example")).unwrap_err();
    built(with("a.example"), with("a.example")).unwrap();
    built(with("a.example"), cached()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s3_2_two_hosts_have_no_behaviour() {
    let w = world(Distribution::builder(Behaviour::dynamic()));
    for target in ["http://a.example/", "/"] {
        let ask = w.client.ask("POST", target).origin_form(target);
        let ask = ask.header("host", "a.example").header("host", "b.example");
        assert_eq!(ask.await.status, 400, "{target}");
    }
    assert_eq!(w.origin.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s3_2_2_the_behaviour_that_is_chosen_and_the_host_that_is_forwarded_are_one() {
    let w = world(
        Distribution::builder(Behaviour::dynamic().origin("others"))
            .behaviour("*", Behaviour::dynamic().host("a.example").origin("a")),
    );
    for method in ["GET", "POST", "OPTIONS"] {
        w.origin.says("/", ok(""));
        let ask = w.client.ask(method, "http://a.example/").header("host", "b.example");
        assert_eq!(ask.await.status, 200);
        assert_eq!(origin_of(&w).as_deref(), Some("a"));
        assert_eq!(w.origin.last().field("host"), Some("a.example"), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_behaviour_without_an_origin_names_none() {
    let w = world(Distribution::builder(cached()));
    w.origin.says("/", ok(""));
    w.get("/").extension(OriginName::from("chosen outside")).await;
    assert_eq!(origin_of(&w), None);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_read_while_its_page_is_fetched() {
    let w = world(
        Distribution::builder(cached())
            .error_page(StatusCode::INTERNAL_SERVER_ERROR, "/sorry", None)
            .error_page(StatusCode::BAD_GATEWAY, "/gone", None),
    );
    // The page comes only when the connection of the error is free.
    for (error, page, told) in [
        (500, ok("sorry"), "500 sorry (uri-miss)"),
        (502, answer(404), "502 long and longer (uri-miss)"),
    ] {
        let (error, feed) = answer(error).says("no-store").fed();
        w.origin.says("/", error);
        let (page, hold) = page.held();
        w.origin.says(if told.contains("sorry") { "/sorry" } else { "/gone" }, page);
        let reply = w.get("/").start_told();
        settle().await;
        feed.chunk("long and ");
        settle().await;
        feed.chunk("longer");
        settle().await;
        assert_eq!(feed.pulled(), 2, "its connection is not held up");
        feed.end();
        hold.release();
        assert_eq!(reply.await.unwrap(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_need_an_empty_request_body() {
    let distribution = Distribution::builder(cached())
        .error_page(StatusCode::NOT_FOUND, "/sorry", None)
        .build()
        .unwrap();
    let builder =
        || CdnCacheLayer::builder(MemoryStore::new(1 << 20)).distribution(distribution.clone());
    let app = service_fn(|request: Request<Body>| async move {
        let is_page = request.uri().path() == "/sorry";
        let response = Response::builder().status(if is_page { 200 } else { 404 });
        response.body(Full::new(Bytes::from(if is_page { "sorry" } else { "plain" })))
    });
    for (layer, told) in
        [(builder().build(), "plain"), (builder().empty_body(Body::empty).build(), "sorry")]
    {
        let request = Request::get("http://example.com/").body(Body::empty()).unwrap();
        let response = layer.layer(app).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), told);
    }
}

#[test]
fn ok_hundreds_of_patterns_with_several_stars() {
    // Each is compared with all that stand before it: what differs plainly must not take long.
    let pattern = |n: usize| format!("/*/section-{n}/*/page-{n}*.html");
    let all = |builder, n| DistributionBuilder::behaviour(builder, pattern(n), cached());
    let builder = (0..300).fold(Distribution::builder(cached()), all);
    assert!(builder.clone().build().is_ok());
    let hidden = builder.behaviour("/a/section-7/b/page-7.html", cached()).build().unwrap_err();
    assert!(hidden.is_hidden() && hidden.to_string().contains(&pattern(7)), "{hidden}");
}
