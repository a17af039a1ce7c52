//! Ranges (RFC 9110 section 14).
mod support;

use support::{Reply, World, answer, ok, pass, settle, world, world_of};
use tower_cdn::CachePolicy;

const DIGITS: &str = "0123456789";

async fn stored() -> World {
    let w = world();
    let modified = w.date(-2_000);
    let response = ok(DIGITS).max_age(60).etag("\"a\"").header("last-modified", modified);
    w.origin.says("/", response.header("date", w.date(0)));
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (uri-miss)"));
    w
}

#[tokio::test(start_paused = true)]
async fn s14_1_2_single_ranges() {
    let w = stored().await;
    for (range, text, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=5-1000", "56789", "bytes 5-9/10"),
        ("bytes=-1000", DIGITS, "bytes 0-9/10"),
        ("bytes=0-", DIGITS, "bytes 0-9/10"),
        ("Bytes=9-9", "9", "bytes 9-9/10"),
        ("bytes=8-99999999999999999999999999", "89", "bytes 8-9/10"),
    ] {
        let reply = w.get("/").header("range", range).await;
        assert_eq!(reply.field("content-range"), Some(content_range), "{range}");
        assert_eq!(reply.fields("content-length"), [text.len().to_string()], "{range}");
        assert_eq!(reply.field("etag"), Some("\"a\""));
        assert_eq!(reply.told().await, format!("206 {text} (hit)"), "{range}");
    }
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn s15_5_17_unsatisfiable() {
    let w = stored().await;
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
        let reply = w.get("/").header("range", range).await;
        assert_eq!(reply.field("content-range"), Some("bytes */10"), "{range}");
        assert_eq!(reply.told().await, "416  (hit)", "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn s14_6_several_ranges_come_as_parts() {
    let w = stored().await;
    let reply = w.get("/").header("range", "bytes=0-1, 8-").await;
    assert_eq!(reply.status, 206);
    let kind = reply.field("content-type").unwrap_or_default().to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let length: usize = reply.field("content-length").unwrap().parse().unwrap();
    assert!(reply.field("content-range").is_none());
    let text = reply.text().await;
    assert_eq!(text.len(), length);
    let parts: Vec<_> = text.split(&format!("\r\n--{boundary}")).collect();
    assert!(matches!(parts.as_slice(), ["", a, b, "--\r\n"]
        if a.ends_with("content-range: bytes 0-1/10\r\n\r\n01") && b.ends_with("content-range: bytes 8-9/10\r\n\r\n89")));
}

#[tokio::test(start_paused = true)]
async fn s14_6_several_ranges_of_what_is_there_at_once_come_as_parts() {
    let w = world();
    w.origin.says("/", ok("0123456789").max_age(60));
    let reply = w.get("/").header("range", "bytes=0-1, 8-").await;
    assert_eq!((reply.status, reply.how().as_str()), (206, "uri-miss"));
    let text = reply.text().await;
    assert!(text.contains("bytes 0-1/10\r\n\r\n01") && text.contains("bytes 8-9/10\r\n\r\n89"));
}

#[tokio::test(start_paused = true)]
async fn rfc9530_s2_a_digest_of_the_content_is_not_for_a_part_of_it() {
    let w = world();
    let whole = ok(DIGITS).max_age(60).etag("\"a\"").header("repr-digest", "sha-256=:cg==:");
    let whole = whole.header("content-digest", "sha-256=:YQ==:").header("content-md5", "YQ==");
    w.origin.says("/", whole);
    let digests = |reply: &Reply| {
        ["content-digest", "content-md5", "repr-digest"].map(|name| reply.field(name).is_some())
    };
    for (range, how) in [("bytes=2-4", "uri-miss"), ("bytes=2-4", "hit"), ("bytes=0-1, 8-", "hit")]
    {
        let part = w.get("/").header("range", range).await;
        assert_eq!((part.status, part.how().as_str()), (206, how));
        assert_eq!(digests(&part), [false, false, true], "{range} {how}");
        settle().await;
    }
    let whole = w.get("/").await;
    assert_eq!((whole.how().as_str(), digests(&whole)), ("hit", [true; 3]));
}

#[tokio::test(start_paused = true)]
async fn s14_2_what_is_no_range_gets_the_whole() {
    let w = stored().await;
    for range in [
        "bytes=4-2",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes",
        "lines=0-1",
        "bytes=3-4,0-1",
        "bytes=0-4,3-5",
        "bytes 0-1",
    ] {
        assert_eq!(
            w.get("/").header("range", range).told().await,
            format!("200 {DIGITS} (hit)"),
            "{range}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s13_1_5_if_range() {
    let w = stored().await;
    let (modified, later) = (w.date(-2_000), w.date(-1_000));
    for (condition, part) in [
        ("\"a\"", true),
        ("\"b\"", false),
        ("W/\"a\"", false),
        ("a", false),
        (modified.as_str(), true),
        (later.as_str(), false),
    ] {
        let reply = w.get("/").header("range", "bytes=0-1").header("if-range", condition).await;
        assert_eq!(reply.status, if part { 206 } else { 200 }, "{condition}");
    }
}

#[tokio::test(start_paused = true)]
async fn s13_1_5_weak_validators_do_not_permit_ranges() {
    let w = world();
    let now = w.date(0);
    w.origin.says("/weak", ok(DIGITS).max_age(60).etag("W/\"a\""));
    w.origin
        .says("/new", ok(DIGITS).max_age(60).header("last-modified", &now).header("date", &now));
    w.get("/weak").told().await;
    w.get("/new").told().await;
    let ask = |target, condition| {
        w.get(target).header("range", "bytes=0-1").header("if-range", condition)
    };
    assert_eq!(ask("/weak", "W/\"a\"").await.status, 200);
    assert_eq!(
        ask("/new", now.as_str()).await.status,
        200,
        "changed within the second of its Date"
    );
}

#[tokio::test(start_paused = true)]
async fn a_range_on_a_miss_is_served_while_the_whole_arrives_and_is_stored() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("content-length", "10").fed();
    w.origin.says("/", response);
    let mut reply = w.get("/").header("range", "bytes=2-5").await;
    assert_eq!((reply.status, reply.field("content-range")), (206, Some("bytes 2-5/10")));
    assert_eq!(reply.field("content-length"), Some("4"));
    assert_eq!(w.origin.last().field("range"), None);
    assert!(reply.is_waiting().await);
    feed.chunk("012");
    settle().await;
    assert_eq!(reply.chunk_now().await.as_deref(), Some("2"));
    feed.chunk("345");
    settle().await;
    assert_eq!(reply.told().await, "206 345 (uri-miss)", "the end does not wait for the rest");
    let follower = w.get("/").header("range", "bytes=-2").start_told();
    settle().await;
    assert!(!follower.is_finished());
    feed.chunk("6789");
    feed.end();
    assert_eq!(follower.await.unwrap(), "206 89 (uri-miss+)");
    settle().await;
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (hit)"));
    assert_eq!(w.origin.count(), 1);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_range_beyond_the_end_of_what_arrives_is_unsatisfiable() {
    let w = world();
    w.origin.says("/", ok(DIGITS).max_age(60).header("content-length", "10"));
    let reply = w.get("/").header("range", "bytes=10-").await;
    assert_eq!((reply.status, reply.field("content-range")), (416, Some("bytes */10")));
    settle().await;
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (hit)"), "the whole is stored");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_length_gives_the_whole() {
    let w = world();
    w.origin.says("/", ok("").max_age(60).chunks(&["01234", "56789"]));
    assert_eq!(
        w.get("/").header("range", "bytes=2-5").told().await,
        format!("200 {DIGITS} (uri-miss)")
    );
    assert_eq!(w.get("/").header("range", "bytes=2-5").told().await, "206 2345 (hit)");
}

#[tokio::test(start_paused = true)]
async fn s3_3_a_206_of_the_origin_is_passed_on_and_never_stored_as_the_whole() {
    let w = world();
    let part = || answer(206).max_age(60).header("content-range", "bytes 0-1/10").body("01");
    w.origin.always("/", move |_| part());
    for _ in 0..2 {
        let reply = w.get("/").header("range", "bytes=0-1").await;
        assert_eq!(reply.field("content-range"), Some("bytes 0-1/10"));
        assert_eq!(reply.told().await, "206 01 (uri-miss)");
        settle().await;
        assert_eq!(w.store.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn s15_5_17_a_416_of_the_origin_is_never_stored() {
    let w = world();
    w.origin.says("/", answer(416).max_age(60));
    w.origin.says("/", ok("a").max_age(60));
    assert_eq!(w.get("/").told().await, "416  (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn content_that_breaks_within_the_range_is_an_error() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("content-length", "10").fed();
    w.origin.says("/", response);
    let asked = w.get("/").header("range", "bytes=2-5").start_told();
    settle().await;
    feed.chunk("0123");
    feed.breaks();
    assert_eq!(asked.await.unwrap(), "206 23# (uri-miss)");
    settle().await;
    assert_eq!(w.store.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn ranges_have_no_trailers_and_the_whole_has() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let asked = w.get("/").start();
    feed.chunk(DIGITS);
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    assert!(asked.await.unwrap().trailers().await.is_some());
    settle().await;
    assert!(w.get("/").header("range", "bytes=5-").await.trailers().await.is_none());
    assert!(w.get("/").await.trailers().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn ranges_of_what_is_validated() {
    let w = stored().await;
    w.origin.says("/", answer(304).max_age(60).etag("\"a\""));
    w.origin.says("/", ok("abcdefghij").max_age(60).etag("\"b\""));
    pass(60).await;
    assert_eq!(w.get("/").header("range", "bytes=2-5").told().await, "206 2345 (stale)");
    pass(120).await;
    assert_eq!(w.get("/").header("range", "bytes=2-5").told().await, "206 cdef (stale)");
}

#[tokio::test(start_paused = true)]
async fn a_range_without_collapsing_fetches_and_stores_the_whole_too() {
    let w = world_of(CachePolicy::default().collapse(false));
    w.origin.always("/", |_| ok(DIGITS).max_age(60));
    assert_eq!(w.get("/").header("range", "bytes=2-5").told().await, "206 2345 (uri-miss)");
    assert_eq!(w.origin.last().field("range"), None);
    assert_eq!(w.get("/").header("range", "bytes=2-5").told().await, "206 2345 (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_range_reader_that_has_all_it_wants_holds_up_nobody() {
    let w = world_of(CachePolicy::default().window(100));
    let (response, feed) = ok("").max_age(60).header("content-length", "1000").fed();
    w.origin.says("/", response);
    let mut part = w.get("/").header("range", "bytes=0-9").await;
    let whole = w.get("/").start_told();
    for _ in 0..10 {
        feed.chunk(vec![b'x'; 100]);
    }
    feed.end();
    settle().await;
    assert_eq!(part.read().await.0, "x".repeat(10));
    settle().await;
    assert!(whole.is_finished(), "no time has passed, and the part is still held");
    drop(part);
}

#[tokio::test(start_paused = true)]
async fn content_that_lies_in_several_pieces_is_one() {
    // A store in memory keeps 1 MiB in one piece.
    const MIB: usize = 1024 * 1024;
    let text: String = (0_u8..26).map(|n| char::from(b'a' + n)).cycle().take(5 * MIB / 2).collect();
    let w = world();
    w.origin.says("/", ok(text.clone()).max_age(60).etag("\"a\""));
    assert_eq!(w.get("/").await.text().await, text);
    settle().await;
    let hit = w.get("/").await;
    assert_eq!(hit.how(), "hit");
    assert_eq!(hit.text().await, text);
    for (first, last) in [(0, 0), (MIB - 1, MIB), (3, 2 * MIB + 3), (2 * MIB, 5 * MIB / 2 - 1)] {
        let part = w.get("/").header("range", format!("bytes={first}-{last}")).await;
        assert_eq!((part.status, part.how().as_str()), (206, "hit"));
        assert_eq!(part.text().await, text[first..=last], "{first}-{last}");
    }
    let two = w.get("/").header("range", "bytes=1048575-1048576,2097151-2097152").await;
    let two = two.text().await;
    for part in [&text[1_048_575..1_048_577], &text[2_097_151..2_097_153]] {
        assert!(two.contains(&format!("\r\n\r\n{part}\r\n")), "{two}");
    }
}
