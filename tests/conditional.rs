//! Conditional requests of clients (RFC 9110 section 13, RFC 9111 section 4.3.2).
mod support;

use support::{World, answer, ok, pass, world};

/// A stored response with these validators, two thousand seconds old by its `Last-Modified`.
async fn stored(etag: Option<&str>) -> World {
    let w = world();
    let modified = w.date(-2_000);
    let mut response =
        ok("content").max_age(60).header("last-modified", &modified).header("x-other", "o");
    if let Some(tag) = etag {
        response = response.etag(tag);
    }
    w.origin.says("/", response);
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    w
}

async fn status(w: &World, conditions: &[(&str, &str)]) -> u16 {
    let ask = conditions.iter().fold(w.get("/"), |ask, (name, value)| ask.header(name, value));
    let reply = ask.await;
    assert_eq!(reply.how(), "hit");
    let status = reply.status;
    let expected = match status {
        200 => "content",
        206 => "co",
        _ => "",
    };
    assert_eq!(reply.text().await, expected);
    status
}

#[tokio::test(start_paused = true)]
async fn s13_1_2_if_none_match() {
    let w = stored(Some("\"a\"")).await;
    for (tags, expected) in [
        ("\"a\"", 304),
        ("W/\"a\"", 304),
        ("\"b\", \"a\"", 304),
        ("*", 304),
        ("\"b\"", 200),
        ("\"b,a\"", 200),
        ("a", 200),
        ("", 200),
    ] {
        assert_eq!(status(&w, &[("if-none-match", tags)]).await, expected, "{tags}");
    }
    let two = [("if-none-match", "\"b\""), ("if-none-match", "\"a\"")];
    assert_eq!(status(&w, &two).await, 304, "all lines count");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn rfc9111_s4_3_2_conditions_for_the_origin_are_not_evaluated_here() {
    let w = stored(Some("\"a\"")).await;
    let (before, after) = (w.date(-3_000), w.date(-1_000));
    for condition in [
        ("if-match", "\"a\""),
        ("if-match", "\"b\""),
        ("if-match", "*"),
        ("if-unmodified-since", &*before),
        ("if-unmodified-since", &*after),
    ] {
        assert_eq!(status(&w, &[condition]).await, 200, "{condition:?}");
    }
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn s13_1_3_if_modified_since() {
    let w = stored(None).await;
    for (since, expected) in [(-1_000, 304), (-2_000, 304), (-2_001, 200), (-3_000, 200)] {
        let date = w.date(since);
        assert_eq!(status(&w, &[("if-modified-since", &date)]).await, expected, "{since}");
    }
    assert_eq!(status(&w, &[("if-modified-since", "yesterday")]).await, 200, "not a date");
}

#[tokio::test(start_paused = true)]
async fn s13_2_2_order_of_conditions() {
    let w = stored(Some("\"a\"")).await;
    let (before, after) = (w.date(-3_000), w.date(-1_000));
    let is = async |conditions: &[(&str, &str)]| status(&w, conditions).await;
    assert_eq!(is(&[("if-none-match", "\"b\""), ("if-modified-since", &after)]).await, 200);
    assert_eq!(is(&[("if-none-match", "\"a\""), ("if-modified-since", &before)]).await, 304);
    assert_eq!(is(&[("if-match", "\"a\""), ("if-unmodified-since", &before)]).await, 200);
    assert_eq!(is(&[("if-match", "\"b\""), ("if-none-match", "\"a\"")]).await, 304);
    assert_eq!(is(&[("if-match", "\"a\""), ("if-none-match", "\"a\"")]).await, 304);
    assert_eq!(is(&[("if-none-match", "\"a\""), ("range", "bytes=0-1")]).await, 304);
}

#[tokio::test(start_paused = true)]
async fn s15_4_5_a_304_has_the_fields_that_it_must() {
    let w = world();
    let response = ok("content")
        .max_age(60)
        .etag("\"a\"")
        .vary("accept")
        .header("content-location", "/there")
        .header("expires", w.date(60))
        .header("date", w.date(0))
        .header("content-type", "text/plain")
        .header("content-length", "7");
    w.origin.says("/", response);
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(2).await;
    let reply = w.get("/").header("if-none-match", "\"a\"").await;
    assert_eq!(reply.status, 304);
    for name in ["cache-control", "etag", "vary", "content-location", "expires", "date"] {
        assert!(reply.field(name).is_some(), "{name}");
    }
    for name in ["content-length", "content-type"] {
        assert_eq!(reply.field(name), None, "{name}");
    }
    assert!(reply.age().is_some_and(|age| (2..=3).contains(&age)));
}

#[tokio::test(start_paused = true)]
async fn conditions_concern_a_200_only() {
    let w = world();
    w.origin.says("/", answer(404).max_age(60).etag("\"a\"").body("gone"));
    assert_eq!(w.get("/").told().await, "404 gone (uri-miss)");
    assert_eq!(w.get("/").header("if-none-match", "\"a\"").told().await, "404 gone (hit)");
    assert_eq!(w.get("/").header("if-match", "\"b\"").told().await, "404 gone (hit)");
    assert_eq!(w.get("/").header("range", "bytes=0-1").told().await, "404 gone (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_conditions_are_evaluated_on_what_was_fetched() {
    let w = world();
    w.origin.always("/", |_| ok("content").max_age(60).etag("\"a\""));
    let reply = w.get("/").header("if-none-match", "\"a\"").await;
    assert_eq!(reply.cache().forward_status().map(|status| status.as_u16()), Some(200));
    assert_eq!(reply.told().await, "304  (uri-miss)");
    support::settle().await;
    assert_eq!(w.get("/").told().await, "200 content (hit)", "the whole was stored");
    pass(60).await;
    assert_eq!(w.get("/").header("if-match", "\"b\"").told().await, "200 content (stale)");
    assert_eq!(w.origin.last().field("if-match"), Some("\"b\""), "the origin has to see it");
}

#[tokio::test(start_paused = true)]
async fn each_follower_has_its_own_conditions() {
    let w = world();
    let (slow, hold) = ok("content").max_age(60).etag("\"a\"").held();
    w.origin.says("/", slow);
    let leader = w.get("/").header("if-none-match", "\"a\"").start_told();
    let plain = w.get("/").start_told();
    let part = w.get("/").header("range", "bytes=0-2").start_told();
    support::settle().await;
    w.origin.says("/", ok("past the cache"));
    let ignored = w.get("/").header("if-match", "\"b\"").start_told();
    support::settle().await;
    hold.release();
    assert_eq!(leader.await.unwrap(), "304  (uri-miss)");
    assert_eq!(plain.await.unwrap(), "200 content (uri-miss+)");
    assert_eq!(part.await.unwrap(), "206 con (uri-miss+)");
    assert_eq!(ignored.await.unwrap(), "200 past the cache (uri-miss)");
    assert_eq!(w.origin.count(), 2);
}
