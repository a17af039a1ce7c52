//! Requirements of RFC 9111 that no other story shows; `docs/conformance.md` lists all of them.
mod support;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use std::{
    convert::Infallible,
    fs,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};
use support::{
    Answer, Client, Reply, Seen, World, answer, fail, ok, pass, seconds, settle, world, world_of,
};
use tower::{Layer, ServiceExt};
use tower_cdn::{CachePolicy, CdnCacheLayer};

const DIGITS: &str = "0123456789";

/// The bytes from `first` to `last` of ten digits, with this entity tag.
fn part(first: usize, last: usize, tag: &str) -> Answer {
    answer(206)
        .max_age(60)
        .etag(tag)
        .header("content-range", format!("bytes {first}-{last}/10"))
        .body(&DIGITS[first..=last])
}

/// A cache that keeps parts, and has these bytes with this tag.
async fn with_part(first: usize, last: usize, tag: &str) -> World {
    let w = world_of(CachePolicy::rfc9111());
    w.origin.says("/", part(first, last, tag));
    let told = w.get("/").header("range", format!("bytes={first}-{last}")).told().await;
    assert_eq!(told, format!("206 {} (uri-miss)", &DIGITS[first..=last]));
    w
}

#[tokio::test(start_paused = true)]
async fn s3_1_fields_that_nobody_knows_are_stored() {
    let w = world();
    let response =
        ok("a").max_age(60).header("x-never-heard-of", "1").header("x-never-heard-of", "2");
    w.origin.says("/", response.header("refresh", "5"));
    w.get("/").told().await;
    let hit = w.get("/").await;
    assert_eq!((hit.how().as_str(), hit.field("refresh")), ("hit", Some("5")));
    assert_eq!(hit.fields("x-never-heard-of"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn s3_1_trailers_never_become_fields() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("trailer", "x-sum, cache-control").fed();
    w.origin.says("/", response);
    let asked = w.get("/").start();
    feed.chunk("a");
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    assert!(asked.await.unwrap().trailers().await.is_some_and(|t| t.contains_key("x-sum")));
    settle().await;
    let hit = w.get("/").await;
    assert_eq!((hit.how().as_str(), hit.field("x-sum")), ("hit", None));
    assert!(hit.trailers().await.is_some_and(|t| t.contains_key("x-sum")), "they stay trailers");

    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let asked = w.get("/").start_told();
    feed.chunk("a");
    feed.trailers(&[("cache-control", "max-age=1000")]);
    feed.end();
    asked.await.unwrap();
    pass(60).await;
    w.origin.says("/", ok("b"));
    assert_eq!(w.get("/").told().await, "200 b (stale)", "a trailer says nothing of freshness");
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_part_answers_only_ranges_within_it() {
    let w = with_part(2, 6, "\"a\"").await;
    let ask = |range: &str| w.get("/").header("range", range);
    for (range, text) in [("bytes=2-6", "23456"), ("bytes=3-4", "34"), ("bytes=6-6", "6")] {
        let reply = ask(range).await;
        let bytes = range.replace('=', " ");
        assert_eq!(reply.field("content-range"), Some(format!("{bytes}/10").as_str()));
        assert_eq!(reply.told().await, format!("206 {text} (hit)"), "marked as a part");
    }
    assert_eq!(w.origin.count(), 1);
    for range in ["bytes=1-3", "bytes=5-7", "bytes=6-", "bytes=-2", "bytes=2-3,5-6"] {
        let w = with_part(2, 6, "\"a\"").await;
        w.origin.always("/", |_| ok(DIGITS).max_age(60).etag("\"a\""));
        let reply = w.get("/").header("range", range).await;
        assert_ne!(reply.how(), "hit", "{range}");
        drop(reply.told().await);
        assert_eq!(w.origin.count(), 2, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_part_never_passes_for_the_whole() {
    let w = with_part(0, 4, "\"a\"").await;
    w.origin.says("/", fail());
    assert!(w.get("/").outcome().await.is_err(), "the first bytes alone are no answer");
    w.origin.says("/", answer(503));
    assert_eq!(w.get("/").told().await, "503  (partial)");
    w.origin.says("/", answer(200).header("content-length", "10"));
    let head = w.head("/").await;
    assert_ne!((head.how().as_str(), head.field("content-length")), ("hit", Some("5")));
    w.origin.says("/", ok(DIGITS).max_age(60).etag("\"b\""));
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (partial)"));
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_part_is_completed_by_what_is_missing() {
    let w = with_part(0, 4, "\"a\"").await;
    w.origin.says("/", part(5, 9, "\"a\""));
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (partial)"));
    assert_eq!(w.origin.last().field("range"), Some("bytes=5-9"));
    assert_eq!(w.origin.last().field("if-range"), Some("\"a\""));
    let hit = w.get("/").await;
    assert_eq!((hit.field("content-length"), hit.field("content-range")), (Some("10"), None));
    assert_eq!(hit.told().await, format!("200 {DIGITS} (hit)"));
}

#[tokio::test(start_paused = true)]
async fn s3_4_parts_are_combined_only_under_the_same_strong_validator() {
    let both = |w: &World| w.get("/").header("range", "bytes=3-6");
    let w = with_part(0, 4, "\"a\"").await;
    w.origin.says("/", part(5, 9, "\"a\""));
    w.get("/").header("range", "bytes=5-9").told().await;
    assert_eq!(both(&w).told().await, "206 3456 (hit)");

    for (one, other) in [("\"a\"", "\"b\""), ("W/\"a\"", "W/\"a\""), ("\"a\"", "W/\"a\"")] {
        let w = with_part(0, 4, one).await;
        w.origin.says("/", part(5, 9, other));
        w.get("/").header("range", "bytes=5-9").told().await;
        w.origin.says("/", ok("abcdefghij").max_age(60).etag("\"c\""));
        let reply = both(&w).await;
        assert_ne!(reply.how(), "hit", "{one} and {other}");
        let text = reply.text().await;
        assert!(["abcdefghij", "defg"].contains(&text.as_str()), "{one} and {other}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_4_what_completes_a_part_has_to_be_of_the_same_representation() {
    let w = with_part(0, 4, "\"a\"").await;
    w.origin.says("/", part(5, 9, "\"b\""));
    w.origin.says("/", ok("abcdefghij").max_age(60).etag("\"b\""));
    let told = w.get("/").told().await;
    assert!(told.starts_with("200 abcdefghij "), "never half of each: {told}");
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_late_part_never_passes_for_the_whole() {
    // The head comes when the cache has given up waiting for it.
    for late in [part(5, 9, "\"a\""), part(5, 9, "\"b\""), answer(416)] {
        let w = with_part(0, 4, "\"a\"").await;
        let (slow, hold) = late.held();
        w.origin.says("/", slow);
        w.origin.always("/", |_| ok(DIGITS).max_age(60).etag("\"b\""));
        let told = w.get("/").start_told();
        pass(31).await;
        hold.release();
        assert_eq!(told.await.unwrap(), format!("200 {DIGITS} (partial)"));
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_late_part_is_refused_where_nothing_more_can_be_asked() {
    let w = with_part(0, 4, "\"a\"").await;
    let (slow, hold) = part(5, 9, "\"b\"").held();
    w.origin.says("/", slow);
    let request = Request::get("http://example.com/").body(Once).unwrap();
    let answer = tokio::spawn(w.layer.layer(w.origin.clone()).oneshot(request));
    pass(31).await;
    hold.release();
    assert_eq!(answer.await.unwrap().unwrap().status(), 502, "half of it is no answer");
    w.assert_idle().await;
    assert!(w.store.is_empty(), "the next one asks for the whole");
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_a_late_304_that_speaks_of_another_response_is_no_answer() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    let (slow, hold) = answer(304).etag("\"other\"").held();
    w.origin.says("/", slow);
    w.origin.says("/", ok("b").max_age(60).etag("\"b\""));
    let told = w.get("/").header("if-none-match", "\"mine\"").start_told();
    pass(31).await;
    hold.release();
    assert_eq!(told.await.unwrap(), "200 b (stale)", "the condition was not the client's");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)");
}

#[tokio::test(start_paused = true)]
async fn s3_4_combining_updates_the_stored_fields_and_keeps_the_others() {
    // A 206 to If-Range need not repeat what describes the representation (RFC 9110 section 15.3.7).
    let first = || {
        part(0, 4, "\"a\"")
            .header("content-type", "text/plain")
            .header("x-kept", "1")
            .header("x-new", "1")
    };
    for (range, how) in [(Some("bytes=5-9"), "uri-miss"), (None, "partial")] {
        let w = world_of(CachePolicy::rfc9111());
        w.origin.says("/", first());
        w.get("/").header("range", "bytes=0-4").told().await;
        w.origin.says("/", part(5, 9, "\"a\"").header("x-new", "2"));
        let ask = range.iter().fold(w.get("/"), |ask, range| ask.header("range", range));
        drop(ask.told().await);
        let whole = w.get("/").await;
        assert_eq!(whole.field("x-new"), Some("2"), "{how}: the new fields count");
        assert_eq!(
            whole.field("content-type"),
            Some("text/plain"),
            "{how}: and those that it has not, stay"
        );
        assert_eq!(whole.field("x-kept"), Some("1"), "{how}");
        assert_eq!(whole.told().await, format!("200 {DIGITS} (hit)"), "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_4_a_digest_of_a_part_is_not_one_of_what_is_combined() {
    // RFC 9530 section 2: Content-Digest is about the content that it comes with, Repr-Digest about the representation.
    let digested = |seen: &Seen| {
        let is_first = seen.field("range") == Some("bytes=0-4");
        let part = if is_first { part(0, 4, "\"a\"") } else { part(5, 9, "\"a\"") };
        part.header("content-digest", "sha-256=:cA==:").header("repr-digest", "sha-256=:cg==:")
    };
    let digests =
        |reply: &Reply| ["content-digest", "repr-digest"].map(|name| reply.field(name).is_some());
    for (second, status) in [
        (None, 200),
        (Some(("range", "bytes=5-9")), 206),
        (Some(("authorization", "Bearer b")), 200),
    ] {
        let w = world_of(CachePolicy::rfc9111());
        w.origin.always("/", digested);
        let first = || w.get("/").header("range", "bytes=0-4");
        let own = first().await;
        assert_eq!(digests(&own), [true; 2], "it is about what the client gets");
        drop(own.told().await);
        settle().await;
        let hit = first().await;
        assert_eq!((hit.how().as_str(), digests(&hit)), ("hit", [false, true]));
        let reply = second.iter().fold(w.get("/"), |ask, (n, v)| ask.header(n, v)).await;
        assert_eq!((reply.status, digests(&reply)), (status, [status == 206, true]), "{second:?}");
        drop(reply.told().await);
        settle().await;
        let whole = w.get("/").await;
        assert_eq!(digests(&whole), [false, true], "{second:?}");
        assert_eq!(whole.text().await, DIGITS);
    }
}

#[tokio::test(start_paused = true)]
async fn s3_4_a_part_that_answers_if_range_is_stored_only_with_what_it_may_leave_out() {
    // RFC 9110 section 15.3.7: to If-Range a 206 need not repeat what describes the representation.
    let origin = |seen: &Seen| {
        let (first, last) = match seen.field("range") {
            Some("bytes=0-4") => (0, 4),
            Some("bytes=5-9") => (5, 9),
            _ => return ok(DIGITS).max_age(60).etag("\"a\""),
        };
        let part = part(first, last, "\"a\"");
        match seen.field("if-range") {
            Some(_) => part,
            None => part.header("content-type", "text/plain").header("content-encoding", "gzip"),
        }
    };
    let w = world_of(CachePolicy::rfc9111());
    w.origin.always("/", origin);
    let get = |range: &str| w.get("/").header("range", range);
    for _ in 0..2 {
        let own = get("bytes=0-4").header("if-range", "\"a\"").await;
        assert_eq!(own.field("cache-status").map(|s| s.contains("stored")), Some(false));
        assert_eq!(own.told().await, "206 01234 (uri-miss)", "passed on");
        settle().await;
        assert!(w.store.is_empty());
    }
    let other = get("bytes=0-4").await;
    assert_eq!(other.field("content-encoding"), Some("gzip"));
    assert_eq!(other.told().await, "206 01234 (uri-miss)");
    settle().await;
    let more = get("bytes=5-9").header("if-range", "\"a\"");
    assert_eq!(more.told().await, "206 56789 (partial)", "there are fields for it");
    let whole = w.get("/").await;
    assert_eq!(whole.field("content-type"), Some("text/plain"));
    assert_eq!(whole.field("content-encoding"), Some("gzip"));
    assert_eq!(whole.told().await, format!("200 {DIGITS} (hit)"));
}

#[tokio::test(start_paused = true)]
async fn s3_5_the_directive_that_permits_sharing_is_obeyed() {
    let policy = CachePolicy::default().stale_if_error(seconds(1_000));
    for says in ["max-age=10, must-revalidate", "s-maxage=10"] {
        let w = world_of(policy.clone());
        w.origin.says("/", ok("a").says(says));
        assert_eq!(w.get("/").header("authorization", "x").told().await, "200 a (uri-miss)");
        assert_eq!(w.get("/").told().await, "200 a (hit)", "{says}: others get it");
        pass(10).await;
        w.origin.says("/", answer(503));
        assert_eq!(w.get("/").told().await, "503  (stale)", "{says}: but never stale");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_5_a_validation_with_authorization_does_not_share_what_may_not_be() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(304).max_age(10).etag("\"a\"").header("x-user", "me"));
    assert_eq!(w.get("/").header("authorization", "x").told().await, "200 a (stale)");
    w.origin.says("/", ok("b").max_age(10));
    let other = w.get("/").await;
    assert_eq!(other.field("x-user"), None);
    assert_eq!(other.text().await, "b");
}

#[tokio::test(start_paused = true)]
async fn s3_5_a_part_for_authorization_changes_what_is_stored_only_if_it_permits_that_itself() {
    for (range, permits) in [(true, true), (true, false), (false, true), (false, false)] {
        let w = world_of(CachePolicy::rfc9111());
        let first = answer(206).says("public, max-age=60").etag("\"a\"");
        w.origin.says("/", first.header("content-range", "bytes 0-4/10").body("01234"));
        w.get("/").header("range", "bytes=0-4").told().await;
        let update = answer(206).etag("\"a\"").header("x-for", "b");
        let update = update.header("content-range", "bytes 5-9/10").body("56789");
        let update = if permits { update.says("public, max-age=60") } else { update };
        w.origin.says("/", update);
        w.origin.says("/", ok(DIGITS).says("public, max-age=60").etag("\"a\""));
        let ask = w.get("/").header("authorization", "Bearer b");
        let ask = if range { ask.header("range", "bytes=5-9") } else { ask };
        drop(ask.told().await);
        settle().await;
        let others = w.get("/").await;
        assert_eq!(others.field("x-for").is_some(), permits, "{range}");
        assert_eq!(others.text().await, DIGITS);
        assert_eq!(w.origin.count(), if permits { 2 } else { 3 }, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_5_what_completes_a_part_for_one_is_for_one_and_the_part_stays() {
    for is_late in [false, true] {
        let w = with_part(0, 4, "\"a\"").await;
        let rest = part(5, 9, "\"a\"").header("x-for", "b").header("content-length", "5");
        let (slow, hold) = rest.held();
        w.origin.says("/", slow);
        let request = Request::get("http://example.com/").header("authorization", "Bearer b");
        let service = w.layer.layer(w.origin.clone());
        let asked = tokio::spawn(service.oneshot(request.body(Once).unwrap()));
        pass(if is_late { 31 } else { 1 }).await;
        hold.release();
        let whole = Reply::new(asked.await.unwrap().unwrap());
        assert_eq!(
            (whole.field("content-length"), whole.field("content-range")),
            (Some("10"), None)
        );
        assert_eq!((whole.field("x-for"), whole.cache().is_stored()), (Some("b"), false));
        assert_eq!(whole.told().await, format!("200 {DIGITS} (partial)"), "late: {is_late}");
        w.assert_idle().await;
        let part = w.get("/").header("range", "bytes=0-4").await;
        assert_eq!(part.field("x-for"), None);
        assert_eq!(part.told().await, "206 01234 (hit)", "late: {is_late}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_4_what_completes_a_part_for_one_is_just_what_was_missing() {
    for rest in ["5678", "567890"] {
        let w = with_part(0, 4, "\"a\"").await;
        let (answer, feed) =
            answer(206).etag("\"a\"").header("content-range", "bytes 5-9/10").fed();
        w.origin.says("/", answer);
        feed.chunk(rest);
        feed.end();
        let mut whole = w.get("/").header("authorization", "Bearer b").await;
        assert_eq!(whole.status, 200);
        let (text, error) = whole.read().await;
        assert!(error.is_some(), "it breaks off: {text}");
        assert!(DIGITS.starts_with(&text), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_unsafe_requests_are_written_through() {
    let w = world();
    w.origin.says("/", ok("stored").says("public, max-age=60"));
    assert_eq!(w.get("/").told().await, "200 stored (uri-miss)");
    for method in ["POST", "PUT", "DELETE", "PATCH", "UNKNOWN"] {
        let (slow, hold) = answer(500).body("refused").held();
        w.origin.says("/", slow);
        let asked = w.client.ask(method, "/").start_told();
        settle().await;
        assert!(!asked.is_finished(), "{method}: no answer before the origin's");
        assert_eq!(w.origin.last().method, method);
        hold.release();
        assert_eq!(asked.await.unwrap(), "500 refused (method)");
    }
    assert_eq!(w.get("/").told().await, "200 stored (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_age_of_what_is_reused_replaces_the_one_it_came_with() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60).header("age", "7").header("age", "9"));
    w.get("/").told().await;
    pass(3).await;
    assert_eq!(w.get("/").await.fields("age"), ["10"]);
}

#[tokio::test(start_paused = true)]
async fn s4_of_several_that_match_the_most_recent_is_used() {
    for (first_date, second_date, expected) in [(0, -30, "first"), (-30, 0, "second")] {
        let w = world();
        let dated =
            |body: &'static str, from_now| ok(body).max_age(1_000).header("date", w.date(from_now));
        w.origin.says("/", dated("first", first_date).vary("x-a"));
        w.origin.says("/", dated("second", second_date).vary("x-b"));
        let ask = |a, b| w.get("/").header("x-a", a).header("x-b", b);
        assert_eq!(ask("1", "1").told().await, "200 first (uri-miss)");
        assert_eq!(ask("2", "2").told().await, "200 second (vary-miss)");
        assert_eq!(ask("1", "2").told().await, format!("200 {expected} (hit)"), "both match");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_1_a_field_that_is_absent_matches_only_where_it_is_absent() {
    let w = world();
    w.origin.always("/", |seen: &Seen| {
        let body = seen.field("x-a").map_or_else(|| "absent".into(), |value| format!("[{value}]"));
        ok(body).max_age(60).vary("x-a")
    });
    assert_eq!(w.get("/").told().await, "200 absent (uri-miss)");
    assert_eq!(w.get("/").header("x-a", "").told().await, "200 [] (vary-miss)");
    assert_eq!(w.get("/").told().await, "200 absent (hit)");
    assert_eq!(w.get("/").header("x-a", "").told().await, "200 [] (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_2_2_no_heuristics_beside_an_explicit_lifetime() {
    let policy = || CachePolicy::rfc9111().stale_if_error(seconds(0));
    for explicit in ["max-age=0", "s-maxage=0"] {
        let w = world_of(policy());
        w.origin.says("/", ok("a").says(explicit).header("last-modified", w.date(-1_000_000)));
        w.origin.says("/", ok("b"));
        w.get("/").told().await;
        assert_eq!(w.get("/").told().await, "200 b (stale)", "{explicit}");
    }
    let w = world_of(policy());
    let modified = w.date(-1_000_000);
    w.origin.says("/", ok("a").header("expires", w.date(5)).header("last-modified", modified));
    w.origin.says("/", ok("b"));
    w.get("/").told().await;
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 b (stale)", "Expires");
}

/// An empty body of which nobody can make another one.
struct Once;

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn s4_2_4_an_answer_that_fits_nothing_is_no_permission_to_be_stale() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(304).max_age(10).etag("\"other\""));
    let request = Request::get("http://example.com/").body(Once).unwrap();
    let response = w.layer.layer(w.origin.clone()).oneshot(request).await.unwrap();
    assert_ne!(response.status(), 200, "neither disconnected, nor did anybody permit it");
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_if_match_and_if_unmodified_since_are_for_the_origin() {
    let w = world();
    let (before, modified) = (w.date(-3_000), w.date(-2_000));
    w.origin.says("/", ok("a").max_age(60).etag("\"a\"").header("last-modified", &modified));
    w.get("/").told().await;
    w.origin.always("/", |_| ok("a").max_age(60).etag("\"a\""));
    for (name, value) in [("if-match", "\"b\""), ("if-unmodified-since", before.as_str())] {
        assert_eq!(
            w.get("/").header(name, value).await.status,
            200,
            "{name} is not evaluated here"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_a_304_to_the_cache_is_a_200_to_a_client_with_another_tag() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(304).max_age(20).etag("\"a\"").header("x-new", "1"));
    let reply = w.get("/").header("if-none-match", "\"mine\", \"old\"").await;
    assert_eq!((reply.field("etag"), reply.field("x-new")), (Some("\"a\""), Some("1")));
    assert_eq!(reply.told().await, "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_a_304_to_the_cache_is_a_304_to_a_client_with_the_same_tag() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(304).max_age(20).etag("\"a\""));
    assert_eq!(w.get("/").header("if-none-match", "\"a\"").told().await, "304  (stale)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_date_stands_in_for_last_modified() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60).header("date", w.date(-10)));
    w.get("/").told().await;
    let since = |from_now| w.get("/").header("if-modified-since", w.date(from_now));
    assert_eq!(since(-5).told().await, "304  (hit)", "the stored response is older than that");
    assert_eq!(since(-20).told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_2_conditions_for_what_is_not_stored_are_not_answered_before_the_origin() {
    let w = world();
    w.origin.says("/", ok("a").says("no-store").etag("\"a\""));
    let reply = w.get("/").header("if-none-match", "\"a\"").await;
    assert_eq!(reply.told().await, "200 a (uri-miss)", "what is not stored is not evaluated on");
    w.origin.says("/", answer(404).etag("\"a\""));
    assert_eq!(w.get("/").header("if-none-match", "*").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn s4_3_5_a_head_has_to_agree_in_all_validators() {
    for (tag, modified, agrees) in
        [("\"a\"", -2_000, true), ("\"a\"", -1_000, false), ("\"b\"", -2_000, false)]
    {
        let w = world();
        let at = |from_now| w.date(from_now);
        w.origin.says("/", ok("a").max_age(10).etag("\"a\"").header("last-modified", at(-2_000)));
        w.get("/").told().await;
        let update = answer(200).max_age(60).etag(tag).header("last-modified", at(modified));
        pass(10).await;
        w.origin.says("/", update.header("x-new", "1"));
        w.head("/").told().await;
        w.origin.says("/", ok("b").max_age(10));
        let expected = if agrees { "200 a (hit)" } else { "200 b" };
        let told = w.get("/").told().await;
        assert!(told.starts_with(expected), "{tag} {modified}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_4_no_field_of_a_request_hides_its_uri_from_invalidation() {
    for (get, post) in [
        (None, Some("x-forwarded-proto")),
        (Some("x-forwarded-proto"), None),
        (None, Some("x-http-method-override")),
        (None, Some("authorization")),
        (None, Some("cookie")),
    ] {
        let w = world();
        w.origin.always(
            "/",
            |seen| if seen.method == "GET" { ok("a").max_age(60) } else { answer(204) },
        );
        let ask = |method, field: Option<&str>| {
            field.iter().fold(w.client.ask(method, "/"), |ask, name| ask.header(name, "https"))
        };
        assert_eq!(ask("GET", get).told().await, "200 a (uri-miss)");
        assert_eq!(ask("POST", post).told().await, "204  (method)");
        assert_ne!(ask("GET", get).await.how(), "hit", "GET with {get:?}, POST with {post:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s5_2_directives_are_passed_on_whatever_they_mean_here() {
    let w = world();
    let request = "no-cache, max-age=5, x-unknown=\"a, b\"";
    let response = "max-age=60, stale-if-error=5, no-transform, x-unknown, no-cache=\"x-a\"";
    w.origin.says("/", ok("a").says(response));
    w.origin.says("/mine", ok("b").says("private, x-mine"));
    let first = w.get("/").header("cache-control", request).header("pragma", "no-cache").await;
    assert_eq!(first.field("cache-control"), Some(response));
    drop(first.told().await);
    settle().await;
    assert_eq!(w.origin.last().field("cache-control"), Some(request));
    assert_eq!(w.origin.last().field("pragma"), Some("no-cache"));
    assert_eq!(w.get("/").await.field("cache-control"), Some(response), "from the store as well");
    assert_eq!(w.get("/mine").await.field("cache-control"), Some("private, x-mine"));
    assert_eq!(w.post("/").header("cache-control", request).await.status, 418);
    assert_eq!(w.origin.last().field("cache-control"), Some(request));
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_2_must_revalidate_holds_without_a_connection() {
    let policy = CachePolicy::rfc9111().stale_while_revalidate(seconds(1_000));
    let w = world_of(policy);
    w.origin.says("/", ok("a").says("max-age=10, must-revalidate"));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", fail());
    assert!(w.get("/").outcome().await.is_err(), "the error of the inner service");
    let stale = w.get("/").header("cache-control", "max-stale, only-if-cached");
    assert_eq!(stale.told().await, "504  (-)", "whatever the client permits");
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_4_no_cache_is_for_nobody_who_was_not_asked_for() {
    let w = world();
    let (slow, hold) = ok("one").says("no-cache").etag("\"a\"").held();
    w.origin.says("/", slow);
    w.origin.always("/", |_| ok("two").says("no-cache").etag("\"b\""));
    let leader = w.get("/").start_told();
    settle().await;
    let follower = w.get("/").start_told();
    settle().await;
    hold.release();
    assert_eq!(leader.await.unwrap(), "200 one (uri-miss)");
    let follower = follower.await.unwrap();
    assert!(follower.starts_with("200 two"), "its request was never forwarded: {follower}");
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_5_no_store_takes_nothing_from_what_forbids() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", ok("b").says("no-store"));
    assert_eq!(w.get("/").told().await, "200 b (stale)");
    assert!(w.store.is_empty(), "neither the new one nor what it replaced");
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_6_nothing_is_transformed() {
    let w = world();
    let coded = Bytes::from_static(b"\x1f\x8b\x08\x00 not really \x00\xff");
    let response = ok(coded.clone()).says("max-age=60, no-transform");
    w.origin.says(
        "/",
        response.header("content-encoding", "gzip").header("content-type", "text/plain"),
    );
    for how in ["uri-miss", "hit"] {
        let mut reply = w.get("/").header("accept-encoding", "identity").await;
        assert_eq!(reply.how(), how);
        assert_eq!(reply.field("content-encoding"), Some("gzip"));
        assert_eq!(reply.read().await.0, String::from_utf8_lossy(&coded));
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s5_2_3_directives_that_nobody_knows_are_ignored() {
    for says in [
        "max-age=60, x-new",
        "x-new=no-store, max-age=60",
        "immutable, max-age=60, no-storeish",
        "max-age=60, x=\"private\"",
    ] {
        let w = world();
        w.origin.says("/", ok("a").says(says));
        w.get("/").told().await;
        assert_eq!(w.get("/").told().await, "200 a (hit)", "{says}");
    }
}

#[tokio::test(start_paused = true)]
async fn s5_3_expires_means_nothing_beside_a_lifetime() {
    for says in ["max-age=60", "s-maxage=60"] {
        for expires in ["0", "nonsense", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            let w = world();
            w.origin.says("/", ok("a").says(says).header("expires", expires));
            w.origin.says("/", ok("b"));
            w.get("/").told().await;
            pass(59).await;
            assert_eq!(w.get("/").told().await, "200 a (hit)", "{says}, Expires: {expires}");
        }
        let w = world();
        w.origin.says("/", ok("a").says(says).header("expires", w.date(1_000)));
        w.origin.says("/", ok("b"));
        w.get("/").told().await;
        pass(60).await;
        assert_eq!(w.get("/").told().await, "200 b (stale)", "{says}, a later Expires");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_4_a_fetch_under_way_is_invalidated_whatever_its_key_has() {
    let w = world();
    let (slow, hold) = ok("old").max_age(60).held();
    w.origin.says("/", slow);
    w.origin.says("/", answer(204));
    w.origin.always("/", |_| ok("new").max_age(60));
    let get = || w.get("/").header("x-forwarded-proto", "https");
    let asked = get().start_told();
    settle().await;
    assert_eq!(w.post("/").told().await, "204  (method)");
    hold.release();
    assert_eq!(asked.await.unwrap(), "200 old (uri-miss)", "who asked before gets it");
    settle().await;
    assert_eq!(get().await.text().await, "new");
}

#[tokio::test(start_paused = true)]
async fn s4_4_what_an_earlier_layer_stored_is_invalidated_whatever_its_key_has() {
    let w = world();
    w.origin
        .always("/", |seen| if seen.method == "GET" { ok("a").max_age(60) } else { answer(204) });
    let get = |w: &World| w.get("/").header("x-forwarded-proto", "https");
    w.origin.always("/others", |_| ok("b"));
    for _ in 0..5 {
        w.get("/others").told().await;
    }
    assert_eq!(get(&w).told().await, "200 a (uri-miss)");
    let layer = CdnCacheLayer::builder(w.store.clone()).clock(w.clock.clone()).build();
    let later = Client::new(layer.layer(w.origin.clone()));
    let again = || later.get("/").header("x-forwarded-proto", "https");
    assert_eq!(again().told().await, "200 a (hit)", "it outlives its layer");
    assert_eq!(later.ask("POST", "/").told().await, "204  (method)");
    assert_ne!(again().await.how(), "hit");
}

#[tokio::test(start_paused = true)]
async fn s4_those_who_wait_share_what_may_be_reused_at_once() {
    for (says, shared) in [
        ("max-age=60", true),
        ("max-age=0, stale-while-revalidate=60", true),
        ("max-age=0", false),
        ("max-age=0, stale-while-revalidate=60, must-revalidate", false),
    ] {
        let w = world();
        let (slow, hold) = ok("one").says(says).etag("\"a\"").held();
        w.origin.says("/", slow);
        w.origin.always("/", |_| ok("two").says("no-store"));
        let leader = w.get("/").start_told();
        settle().await;
        let follower = w.get("/").start_told();
        settle().await;
        hold.release();
        assert!(leader.await.unwrap().starts_with("200 one"));
        let follower = follower.await.unwrap();
        assert_eq!(follower.starts_with("200 one"), shared, "{says}: {follower}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_2_4_what_may_not_be_shared_may_still_be_stale_when_the_origin_fails() {
    let w = world();
    w.origin.says("/", ok("a").says("max-age=0, stale-if-error=1000").etag("\"a\""));
    w.get("/").told().await;
    pass(1).await;
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    let other = w.get("/").header("if-none-match", "\"mine\"").await;
    assert_eq!(other.told().await, "200 a (stale)", "also with a condition");
}

/// The tests of a source file, by its text.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split("fn ")
        .skip(1)
        .map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

#[test]
fn conformance_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let table = read("docs/conformance.md");
    let named: Vec<_> = table.split('`').filter_map(|code| code.split_once(".rs::")).collect();
    assert!(named.len() > 100, "the table is there");
    for (file, test) in &named {
        let path = match file.split_once('/') {
            None => format!("tests/{file}.rs"),
            Some(("src", _)) => format!("{file}.rs"),
            Some(_) => format!("src/{file}.rs"),
        };
        assert!(tests_in(&read(&path)).any(|name| name == *test), "{path} has no {test}");
    }
    for cells in table.lines().map(|line| line.split(" | ").collect::<Vec<_>>()) {
        let &[section, _, place, _] = cells.as_slice() else { continue };
        let mut text = String::new();
        for code in place.split('`').skip(1).step_by(2) {
            let is_file = code.ends_with(".rs");
            let is_name = code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b));
            if is_file {
                let path =
                    if code.starts_with("examples") { code.into() } else { format!("src/{code}") };
                text = read(&path);
                assert!(!text.is_empty(), "{section} names {code}");
            } else if is_name && !text.is_empty() {
                let name = code.rsplit("::").next().unwrap_or_default();
                assert!(text.contains(name), "{section} names {code}, which is elsewhere");
            }
        }
    }
    for file in ["rfc9110", "rfc9111", "rfc9211", "rfc9213"] {
        let text = read(&format!("tests/{file}.rs"));
        for test in tests_in(&text).filter(|name| {
            name.strip_prefix('s')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        }) {
            assert!(named.contains(&(file, test)), "no row names {file}.rs::{test}");
        }
    }
}
