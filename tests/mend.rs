//! Stored content that fails while it is read: the rest comes from the origin, if that has the same, and else the body ends with an error.
mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use support::{Answer, Break, Brittle, Client, Origin, answer, fail, hang, ok, pass, settle};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CdnCache, CdnCacheLayer, Clock, ContentError};

const DIGITS: &str = "0123456789";

struct World {
    store: Brittle,
    origin: Origin,
    layer: CdnCacheLayer,
    client: Client<CdnCache<Origin>>,
}

impl World {
    fn new(store: Brittle, policy: CachePolicy) -> Self {
        let builder = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio());
        let layer = builder.policy(policy).build();
        let origin = Origin::new();
        let client = Client::new(layer.layer(origin.clone()));
        Self { store, origin, layer, client }
    }

    /// Ten digits with a strong validator, which break at the fourth.
    async fn damaged() -> Self {
        Self::with(whole()).await
    }

    async fn with(whole: Answer) -> Self {
        let w = Self::new(Brittle::new(), CachePolicy::default());
        w.store_first(whole).await;
        w
    }

    async fn store_first(&self, whole: Answer) {
        self.origin.says("/", whole);
        assert_eq!(self.get("/").await, "200 0123456789 (uri-miss)");
        self.store.breaks_at(4, Break::Error);
    }

    async fn get(&self, target: &str) -> String {
        self.client.get(target).told().await
    }

    async fn expect_idle(&self) {
        settle().await;
        assert_eq!(self.layer.handle().stats().fetches, 0);
        assert_eq!(self.origin.under_way(), 0);
    }
}

fn whole() -> Answer {
    ok(DIGITS).max_age(60).etag("\"a\"")
}

/// The bytes from the fourth on.
fn rest() -> Answer {
    answer(206).etag("\"a\"").header("content-range", "bytes 4-9/10").body("456789")
}

#[tokio::test(start_paused = true)]
async fn the_rest_comes_from_the_origin() {
    for how in [Break::Error, Break::End, Break::Excess] {
        let w = World::damaged().await;
        w.store.breaks_at(4, how);
        w.origin.says("/", rest());
        assert_eq!(w.get("/").await, "200 0123456789 (hit)", "{how:?}");
        let asked = w.origin.last();
        assert_eq!(
            (asked.field("range"), asked.field("if-range")),
            (Some("bytes=4-9"), Some("\"a\""))
        );
        assert_eq!(asked.method, "GET");
        assert_eq!(w.origin.count(), 2);
        w.expect_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_goes_and_is_stored_anew() {
    let w = World::damaged().await;
    w.origin.says("/", rest());
    assert_eq!(w.get("/").await, "200 0123456789 (hit)");
    assert!(w.store.inner.is_empty());
    assert_eq!(w.layer.handle().stats().store_faults, 1);
    w.origin.says("/", whole());
    assert_eq!(w.get("/").await, "200 0123456789 (uri-miss)");
    w.store.breaks_at(100, Break::Error);
    assert_eq!(w.get("/").await, "200 0123456789 (hit)");
}

#[tokio::test(start_paused = true)]
async fn what_has_taken_its_place_stays() {
    let w = World::with(ok(DIGITS).max_age(60).etag("\"a\"")).await;
    let reading = w.client.get("/").await;
    pass(60).await;
    w.origin.says("/", ok("new").max_age(60).etag("\"b\""));
    assert_eq!(w.get("/").await, "200 new (stale)");
    w.origin.says("/", ok("new").max_age(60).etag("\"b\""));
    assert_eq!(reading.told().await, "200 0123# (hit)");
    settle().await;
    assert_eq!(w.get("/").await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn err_an_answer_that_is_not_the_rest() {
    let other = |tag: &str, range: &str, body: &'static str| {
        answer(206).etag(tag).header("content-range", range).body(body)
    };
    let broken = || {
        let (answer, feed) = rest().fed();
        feed.chunk("45");
        feed.breaks();
        answer
    };
    let cases: [(&str, &str, Answer); 14] = [
        ("the whole", "0123#", whole()),
        ("another whole", "0123#", ok("abc").max_age(60).etag("\"b\"")),
        ("another validator", "0123#", other("\"b\"", "bytes 4-9/10", "456789")),
        ("a weak validator", "0123#", other("W/\"a\"", "bytes 4-9/10", "456789")),
        (
            "no validator",
            "0123#",
            answer(206).header("content-range", "bytes 4-9/10").body("456789"),
        ),
        ("another range", "0123#", other("\"a\"", "bytes 3-8/10", "345678")),
        ("another length", "0123#", other("\"a\"", "bytes 4-9/11", "456789")),
        ("no range", "0123#", answer(206).etag("\"a\"").body("456789")),
        ("declared too short", "0123#", rest().header("content-length", "5")),
        ("416", "0123#", answer(416).header("content-range", "bytes */3")),
        ("503", "0123#", answer(503)),
        ("an error", "0123#", fail()),
        ("too little", "012345#", other("\"a\"", "bytes 4-9/10", "45")),
        ("broken off", "012345#", broken()),
    ];
    for (what, told, answer) in cases {
        let w = World::damaged().await;
        w.origin.says("/", answer);
        assert_eq!(w.get("/").await, format!("200 {told} (hit)"), "{what}");
        assert_eq!(w.origin.count(), 2, "{what}");
        assert!(w.store.inner.is_empty(), "{what}");
        w.expect_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn err_more_than_the_rest() {
    let w = World::damaged().await;
    let (answer, feed) = rest().fed();
    w.origin.says("/", answer);
    feed.chunk("4567");
    feed.chunk("8901");
    assert_eq!(w.get("/").await, "200 01234567# (hit)");
    w.expect_idle().await;
}

#[tokio::test(start_paused = true)]
async fn err_the_errors_tell_who_it_was() {
    let w = World::damaged().await;
    w.origin.says("/", whole());
    let error = w.client.get("/").await.body_error().await;
    assert_eq!(error.to_string(), "the device fails");
    let w = World::damaged().await;
    let (answer, feed) = rest().fed();
    w.origin.says("/", answer);
    feed.breaks();
    let error = w.client.get("/").await.body_error().await;
    assert!(error.downcast_ref::<ContentError>().is_some_and(ContentError::is_origin), "{error}");
}

#[tokio::test(start_paused = true)]
async fn err_without_a_strong_validator_nobody_is_asked() {
    for whole in [ok(DIGITS).max_age(60), ok(DIGITS).max_age(60).etag("W/\"a\"")] {
        let w = World::with(whole).await;
        assert_eq!(w.get("/").await, "200 0123# (hit)");
        assert_eq!(w.origin.count(), 1);
        assert!(w.store.inner.is_empty(), "but it goes");
    }
}

#[tokio::test(start_paused = true)]
async fn err_who_wants_only_what_is_stored_gets_no_more() {
    let w = World::damaged().await;
    let asked = w.client.get("/").header("cache-control", "only-if-cached");
    assert_eq!(asked.told().await, "200 0123# (hit)");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn err_an_origin_that_does_not_answer() {
    let w = World::damaged().await;
    w.origin.says("/", hang());
    let reading = w.client.get("/").start_told();
    pass(30).await;
    pass(60).await;
    assert_eq!(reading.await.unwrap(), "200 0123# (hit)");
    w.expect_idle().await;
}

#[tokio::test(start_paused = true)]
async fn err_not_beyond_the_limit_of_fetches() {
    let w = World::new(Brittle::new(), CachePolicy::default().max_fetches(1));
    w.store_first(whole()).await;
    let (held, hold) = ok("").held();
    w.origin.says("/other", held);
    let other = w.client.get("/other").start_told();
    settle().await;
    assert_eq!(w.get("/").await, "200 0123# (hit)");
    hold.release();
    other.await.unwrap();
    assert_eq!(w.origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_the_fetch_along() {
    let w = World::damaged().await;
    let (answer, feed) = rest().fed();
    w.origin.says("/", answer);
    let mut reply = w.client.get("/").await;
    for digit in ["0", "1", "2", "3"] {
        assert_eq!(reply.chunk_now().await.as_deref(), Some(digit));
    }
    assert!(reply.is_waiting().await);
    feed.chunk("4");
    assert_eq!(reply.chunk_now().await.as_deref(), Some("4"));
    assert_eq!(w.layer.handle().stats().fetches, 1);
    drop(reply);
    assert!(feed.is_dropped());
    w.expect_idle().await;
}

#[tokio::test(start_paused = true)]
async fn ranges_are_mended_too() {
    let w = World::damaged().await;
    let rest = |range: &str, body: &'static str| {
        answer(206).etag("\"a\"").header("content-range", format!("bytes {range}/10")).body(body)
    };
    w.origin.says("/", rest("4-6", "456"));
    let asked = w.client.get("/").header("range", "bytes=2-6").header("if-range", "\"a\"");
    assert_eq!(asked.told().await, "206 23456 (hit)");
    assert_eq!(w.origin.last().field("range"), Some("bytes=4-6"));

    let w = World::damaged().await;
    w.origin.says("/", rest("4-5", "45"));
    let reply = w.client.get("/").header("range", "bytes=0-1,3-5,9-").await;
    let length: usize = reply.field("content-length").unwrap().parse().unwrap();
    let text = reply.text().await;
    assert_eq!(text.len(), length);
    assert!(text.contains("\r\n\r\n01\r\n") && text.contains("\r\n\r\n345\r\n"), "{text}");
    assert_eq!(w.origin.last().field("range"), Some("bytes=4-5"));
}

#[tokio::test(start_paused = true)]
async fn trailers_stay() {
    let w = World::new(Brittle::new(), CachePolicy::default());
    let (whole, feed) = whole().fed();
    w.origin.says("/", whole);
    feed.chunk(DIGITS);
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    assert_eq!(w.get("/").await, "200 0123456789 (uri-miss)");
    w.store.breaks_at(4, Break::Error);
    let (rest, feed) = rest().fed();
    w.origin.says("/", rest);
    feed.chunk("456789");
    feed.trailers(&[("x-sum", "2")]);
    feed.end();
    let trailers = w.client.get("/").await.trailers().await.expect("they are stored");
    assert_eq!(trailers["x-sum"], "1");
}

#[tokio::test(start_paused = true)]
async fn however_it_came_to_the_answer() {
    // It can be told at once.
    let w = World::new(Brittle::with_peek(), CachePolicy::default());
    w.store_first(whole()).await;
    w.origin.says("/", rest());
    assert_eq!(w.get("/").await, "200 0123456789 (hit)");

    // Validated.
    let w = World::damaged().await;
    pass(60).await;
    w.origin.says("/", answer(304).etag("\"a\"").max_age(60));
    w.origin.says("/", rest());
    assert_eq!(w.get("/").await, "200 0123456789 (stale)");
    assert_eq!(w.origin.count(), 3);

    // Stale, since the origin fails.
    let w = World::with(ok(DIGITS).says("max-age=60, stale-if-error=60").etag("\"a\"")).await;
    pass(60).await;
    w.origin.says("/", answer(503));
    w.origin.says("/", rest());
    assert_eq!(w.get("/").await, "200 0123456789 (stale)");

    // Stale, and refreshed behind.
    let w =
        World::with(ok(DIGITS).says("max-age=60, stale-while-revalidate=60").etag("\"a\"")).await;
    pass(61).await;
    let (held, hold) = answer(304).etag("\"a\"").max_age(60).held();
    w.origin.says("/", held);
    let reply = w.client.get("/").await;
    settle().await;
    w.origin.says("/", rest());
    assert_eq!(reply.told().await, "200 0123456789 (stale-hit)");
    hold.release();
    w.expect_idle().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_together_are_mended_each() {
    let w = World::damaged().await;
    pass(60).await;
    let (held, hold) = answer(304).etag("\"a\"").max_age(60).held();
    w.origin.says("/", held);
    let first = w.client.get("/").start_told();
    let second = w.client.get("/").start_told();
    settle().await;
    w.origin.says("/", rest());
    w.origin.says("/", rest());
    hold.release();
    assert_eq!(first.await.unwrap(), "200 0123456789 (stale)");
    assert_eq!(second.await.unwrap(), "200 0123456789 (stale+)");
    assert_eq!(w.origin.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_variant_is_asked_for_as_it_was_selected() {
    let w = World::new(Brittle::new(), CachePolicy::default());
    w.origin.says("/", whole().vary("accept-language"));
    let ask = || w.client.get("/").header("accept-language", "de");
    assert_eq!(ask().told().await, "200 0123456789 (uri-miss)");
    w.store.breaks_at(4, Break::Error);
    w.origin.says("/", rest());
    assert_eq!(ask().told().await, "200 0123456789 (hit)");
    assert_eq!(w.origin.last().field("accept-language"), Some("de"));
    w.origin.says("/", whole().vary("accept-language"));
    assert_eq!(ask().told().await, "200 0123456789 (vary-miss)", "only this one went");
}

/// A request body of a type that nobody can make more of.
struct Own;

impl http_body::Body for Own {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_request_that_was_a_hit_is_still_there() {
    let store = Brittle::new();
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let service = layer.layer(service_fn(async |request: Request<Own>| {
        let (status, body) = match request.headers().contains_key("range") {
            true => (206, "456789"),
            false => (200, DIGITS),
        };
        let response = Response::builder()
            .status(status)
            .header("cache-control", "max-age=60")
            .header("etag", "\"a\"")
            .header("content-range", "bytes 4-9/10");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
    }));
    for _ in 0..2 {
        let request = Request::get("http://example.com/").body(Own).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), DIGITS);
        settle().await;
        store.breaks_at(4, Break::Error);
    }
    assert!(store.inner.is_empty(), "it was mended");
}
