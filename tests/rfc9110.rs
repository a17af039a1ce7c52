//! Requirements of RFC 9110, sections 13 and 14 and what belongs to them, that no other story shows; `docs/conformance.md` lists all of them.
mod support;

use support::{Answer, World, answer, ok, pass, settle, world, world_of};
use tower_cdn::CachePolicy;

const DIGITS: &str = "0123456789";

/// Ten digits, two thousand seconds old by `Last-Modified`.
async fn stored() -> World {
    let w = world();
    let modified = w.date(-2_000);
    let response = ok(DIGITS).max_age(60).etag("\"a\"").header("last-modified", modified);
    w.origin.says("/", response.header("date", w.date(0)).header("content-type", "text/plain"));
    assert_eq!(w.get("/").told().await, format!("200 {DIGITS} (uri-miss)"));
    w
}

#[tokio::test(start_paused = true)]
async fn s6_6_1_what_is_stored_gets_the_date_of_its_reception() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60));
    let received = w.date(0);
    w.get("/").told().await;
    pass(5).await;
    assert_eq!(w.get("/").await.field("date"), Some(received.as_str()));
    let dated = w.date(-10);
    w.origin.says("/dated", ok("a").max_age(60).header("date", &dated));
    w.get("/dated").told().await;
    assert_eq!(w.get("/dated").await.field("date"), Some(dated.as_str()), "left as it was");
}

#[tokio::test(start_paused = true)]
async fn s9_3_3_the_answer_to_a_post_may_answer_a_get_only_where_it_says_so() {
    let about = |answer: Answer, location| answer.header("content-location", location);
    for (answer, reused) in [
        (about(ok("a").max_age(60), "/"), true),
        (about(ok("a").max_age(60), "http://example.com/"), true),
        (about(ok("a").max_age(60), "/other"), false),
        (about(ok("a").max_age(60), "http://other.com/"), false),
        (about(ok("a"), "/"), false),
        (about(ok("a").etag("\"a\""), "/"), false),
        (ok("a").max_age(60), false),
    ] {
        let w = world_of(CachePolicy::rfc9111());
        w.origin.says("/", answer);
        assert_eq!(w.post("/").body("x").told().await, "200 a (method)");
        w.origin.always("/", |_| ok("b").max_age(60));
        let expected = if reused { "200 a (hit)" } else { "200 b (uri-miss)" };
        assert_eq!(w.get("/").told().await, expected);
        assert_eq!(
            w.post("/").body("x").told().await,
            "200 b (method)",
            "a POST is never answered"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s12_5_5_vary_is_passed_on_as_it_is() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60).vary("accept"));
    w.origin.says("/star", ok("a").max_age(60).vary("*"));
    assert_eq!(w.get("/").await.fields("vary"), ["accept"]);
    settle().await;
    let w_hit = w.get("/").await;
    assert_eq!((w_hit.how().as_str(), w_hit.fields("vary")), ("hit", vec!["accept"]));
    assert_eq!(w.get("/star").await.fields("vary"), ["*"]);
}

#[tokio::test(start_paused = true)]
async fn s13_1_3_if_modified_since_is_ignored_where_it_has_to_be() {
    let w = stored().await;
    let (now, modified) = (w.date(0), w.date(-2_000));
    let two = format!("{modified}, {now}");
    for (name, value) in
        [("a list", two.as_str()), ("no date", "0"), ("a number", "1000"), ("empty", "")]
    {
        let ask = w.get("/").header("if-modified-since", value);
        assert_eq!(ask.await.status, 200, "{name}");
    }
    let lines = w.get("/").header("if-modified-since", &now).header("if-modified-since", &now);
    assert_eq!(lines.await.status, 200, "two lines");
    let beside = w.get("/").header("if-modified-since", &now).header("if-none-match", "\"b\"");
    assert_eq!(beside.await.status, 200, "beside If-None-Match");
    assert_eq!(w.get("/").header("if-modified-since", &now).await.status, 304);
    w.origin.says("/", answer(204));
    let post = w.post("/").header("if-modified-since", &now).await;
    assert_eq!(post.status, 204, "another method");
    assert_eq!(w.origin.last().field("if-modified-since"), Some(now.as_str()));
}

#[tokio::test(start_paused = true)]
async fn s13_1_3_the_clock_is_the_origins() {
    let w = world();
    // The origin's clock is an hour ahead, or behind.
    for (path, offset) in [("/ahead", 3_600), ("/behind", -3_600)] {
        let modified = w.date(offset - 10);
        let response = ok("a").max_age(10_000).header("last-modified", &modified);
        w.origin.says(path, response.header("date", w.date(offset)));
        w.get(path).told().await;
        let since = |from_now| w.get(path).header("if-modified-since", w.date(from_now));
        assert_eq!(since(offset - 10).await.status, 304, "{path}");
        assert_eq!(since(offset - 11).await.status, 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn s13_1_5_if_range_without_range_means_nothing() {
    let w = stored().await;
    for condition in ["\"a\"", "\"b\"", "nonsense"] {
        let told = w.get("/").header("if-range", condition).told().await;
        assert_eq!(told, format!("200 {DIGITS} (hit)"), "{condition}");
    }
    let head = w.head("/").header("range", "bytes=0-1").header("if-range", "\"a\"").await;
    assert_eq!((head.status, head.field("content-range")), (200, None), "nor without GET");
}

#[tokio::test(start_paused = true)]
async fn s13_1_5_a_false_if_range_hides_any_range() {
    let w = stored().await;
    for range in ["bytes=0-1", "bytes=100-", "bytes=0-1,3-4"] {
        let told = w.get("/").header("range", range).header("if-range", "\"b\"").told().await;
        assert_eq!(told, format!("200 {DIGITS} (hit)"), "{range}");
    }
    let true_one = w.get("/").header("range", "bytes=100-").header("if-range", "\"a\"").await;
    assert_eq!(true_one.status, 416);
}

#[tokio::test(start_paused = true)]
async fn s13_2_1_conditions_of_what_is_not_for_a_cache_go_to_the_origin() {
    let w = stored().await;
    w.origin.always("/", |_| ok("origin"));
    let conditions = [
        ("if-match", "\"b\""),
        ("if-none-match", "\"a\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("range", "bytes=0-1"),
        ("if-range", "\"a\""),
    ];
    for method in ["OPTIONS", "TRACE", "PUT", "POST", "DELETE", "UNKNOWN"] {
        let ask = conditions.iter().fold(w.client.ask(method, "/"), |ask, (n, v)| ask.header(n, v));
        assert_eq!(ask.told().await, "200 origin (method)", "{method}");
        for (name, value) in conditions {
            assert_eq!(w.origin.last().field(name), Some(value), "{method}: {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s13_2_1_conditions_are_ignored_where_the_answer_is_no_2xx() {
    for status in [301, 404, 410, 500] {
        let w = world();
        w.origin.says("/", answer(status).max_age(60).etag("\"a\"").body("x"));
        w.get("/").told().await;
        for (name, value) in
            [("if-none-match", "\"a\""), ("if-none-match", "*"), ("range", "bytes=9-")]
        {
            let told = w.get("/").header(name, value).told().await;
            assert_eq!(told, format!("{status} x (hit)"), "{name}: {value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s14_4_what_cannot_be_read_is_not_combined() {
    for content_range in
        ["lines 5-9/10", "bytes 9-5/10", "bytes 5-10/10", "bytes 5-9", "bytes 5-9/*", ""]
    {
        let w = world_of(CachePolicy::rfc9111());
        let part = |bytes: &'static str| answer(206).max_age(60).etag("\"a\"").body(bytes);
        w.origin.says("/", part("01234").header("content-range", "bytes 0-4/10"));
        w.get("/").header("range", "bytes=0-4").told().await;
        w.origin.says("/", part("56789").header("content-range", content_range));
        let passed = w.get("/").header("range", "bytes=5-9").await;
        assert_eq!(passed.field("content-range"), Some(content_range), "it is passed on");
        assert_eq!(passed.status, 206);
        drop(passed.told().await);
        settle().await;
        w.origin.says("/", ok("abcdefghij").max_age(60).etag("\"b\""));
        let told = w.get("/").header("range", "bytes=3-6").told().await;
        assert!(!told.contains("56"), "{content_range}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn s15_3_7_a_206_has_the_fields_of_the_200() {
    let w = world();
    let fields = [
        ("content-location", "/there".to_owned()),
        ("content-type", "text/plain".to_owned()),
        ("content-language", "en".to_owned()),
        ("date", w.date(0)),
        ("etag", "\"a\"".to_owned()),
        ("expires", w.date(60)),
        ("last-modified", w.date(-100)),
        ("vary", "accept".to_owned()),
        ("cache-control", "max-age=60".to_owned()),
    ];
    let response = fields.iter().fold(ok(DIGITS), |a, (name, value)| a.header(name, value));
    w.origin.says("/", response.header("content-length", "10"));
    w.get("/").told().await;
    for (ranges, length) in [("bytes=0-3", Some("4")), ("bytes=0-3,6-7", None)] {
        let reply = w.get("/").header("range", ranges).await;
        assert_eq!(reply.status, 206);
        for (name, value) in &fields {
            if length.is_some() || *name != "content-type" {
                assert_eq!(reply.fields(name), [value.as_str()], "{ranges}: {name}");
            }
        }
        let declared = reply.field("content-length").map(str::to_owned);
        assert_eq!(reply.fields("content-length").len(), 1);
        assert!(length.is_none_or(|length| declared.as_deref() == Some(length)));
        assert_eq!(declared, Some(reply.text().await.len().to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn s15_3_7_2_each_part_tells_its_range_and_type() {
    let w = stored().await;
    let reply = w.get("/").header("range", "bytes=0-1,4-5,8-").await;
    assert_eq!(reply.field("content-range"), None, "not above the parts");
    let kind = reply.field("content-type").unwrap_or_default().to_owned();
    let boundary =
        kind.strip_prefix("multipart/byteranges; boundary=").expect("its boundary").to_owned();
    let text = reply.text().await;
    let parts: Vec<_> = text.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 5, "{text}");
    for (part, (range, bytes)) in
        parts[1..4].iter().zip([("0-1", "01"), ("4-5", "45"), ("8-9", "89")])
    {
        let (head, content) = part.split_once("\r\n\r\n").expect("a head and content");
        assert!(head.contains(&format!("content-range: bytes {range}/10")), "{part}");
        assert!(head.contains("content-type: text/plain"), "{part}");
        assert_eq!(content.trim_end(), bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn s15_3_7_2_one_range_never_comes_in_parts() {
    let w = stored().await;
    for range in ["bytes=2-3", "bytes=2-3,", "bytes=2-3,100-", "bytes=100-200,2-3"] {
        let reply = w.get("/").header("range", range).await;
        assert_eq!(reply.field("content-type"), Some("text/plain"), "{range}");
        assert_eq!(reply.field("content-range"), Some("bytes 2-3/10"), "{range}");
        assert_eq!(reply.told().await, "206 23 (hit)", "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn s15_3_7_3_parts_that_are_all_of_it_are_a_200_with_the_complete_length() {
    let w = world_of(CachePolicy::rfc9111());
    for (range, bytes) in [("0-3", "0123"), ("7-9", "789"), ("4-6", "456")] {
        let part = answer(206).max_age(60).etag("\"a\"").body(bytes);
        w.origin.says("/", part.header("content-range", format!("bytes {range}/10")));
        let told = w.get("/").header("range", format!("bytes={range}")).told().await;
        assert!(told.starts_with(&format!("206 {bytes} ")), "{told}");
    }
    let whole = w.get("/").await;
    assert_eq!(whole.field("content-range"), None);
    assert!(whole.field("content-length").is_none_or(|length| length == "10"));
    assert_eq!(whole.told().await, format!("200 {DIGITS} (hit)"));
    assert_eq!(w.head("/").await.field("content-length"), Some("10"));
    assert_eq!(w.origin.count(), 3);
}
