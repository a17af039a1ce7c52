//! Requirements of RFC 9211 that no other story shows; `docs/conformance.md` lists all of them.
mod support;

use support::{Reply, answer, fail, ok, pass, seconds, settle, world, world_of};
use tower_cdn::{CachePolicy, Detail};

/// The parameters of the one member that this cache has added.
fn parameters(reply: &Reply) -> Vec<(String, Option<String>)> {
    let fields = reply.fields("cache-status");
    let [member] = fields.as_slice() else { panic!("one member: {fields:?}") };
    let mut parts = member.split("; ");
    assert_eq!(parts.next(), Some("tower-cdn"), "a token names the cache");
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (part.to_owned(), None),
        })
        .collect()
}

fn is_token(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b))
}

/// What holds for each member, whatever happened.
fn check(reply: &Reply) {
    let parameters = parameters(reply);
    let of = |key: &str| parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    for (key, value) in &parameters {
        let is_sound = match (key.as_str(), value.as_deref()) {
            ("hit" | "stored" | "collapsed", None) => true,
            ("ttl" | "fwd-status", Some(number)) => number.parse::<i64>().is_ok(),
            ("fwd" | "detail", Some(word)) => is_token(word),
            _ => false,
        };
        assert!(is_sound, "{key}={value:?}");
        assert_eq!(parameters.iter().filter(|(name, _)| name == key).count(), 1);
    }
    assert!(of("hit").is_none() || of("fwd").is_none(), "exclusive: {parameters:?}");
    for meaningless in ["fwd-status", "stored", "collapsed"] {
        assert!(
            of(meaningless).is_none() || of("fwd").is_some(),
            "only beside fwd: {parameters:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s2_every_member_is_sound_and_hit_excludes_fwd() {
    let w = world_of(CachePolicy::default().honor_request_directives(true));
    let windows = "max-age=10, stale-while-revalidate=5, stale-if-error=100";
    w.origin.always("/", move |_| ok("a").says(windows).etag("\"a\"").vary("x-a"));
    let ask = |name: &str, value: &str| w.get("/").header(name, value);
    let mut replies = vec![
        w.get("/").await,
        w.get("/").await,
        ask("x-a", "1").await,
        ask("if-none-match", "\"a\"").await,
        ask("range", "bytes=0-0").await,
        ask("range", "bytes=9-").await,
        ask("cache-control", "no-cache").await,
        w.head("/").await,
        w.post("/").await,
        w.get("/").body("x").await,
    ];
    w.get("/").told().await;
    pass(12).await;
    replies.push(w.get("/").await);
    settle().await;
    pass(20).await;
    w.origin.says("/", answer(503));
    replies.push(w.get("/").await);
    w.origin.says("/", fail());
    replies.push(w.get("/").await);
    w.origin.says("/", answer(304).etag("\"a\"").vary("x-a"));
    replies.push(w.get("/").await);
    for reply in &replies {
        check(reply);
    }
}

#[tokio::test(start_paused = true)]
async fn s2_what_the_cache_makes_itself_has_no_member() {
    let w = world_of(CachePolicy::default().cdn_loop("edge"));
    let replies = [
        w.get("/").header("cache-control", "only-if-cached").await,
        w.get("/").origin_form("/").await,
        w.get("/").header("cdn-loop", "edge").await,
    ];
    for (reply, (status, detail)) in replies.iter().zip([
        (504, Detail::OnlyIfCached),
        (400, Detail::BadRequest),
        (508, Detail::Loop),
    ]) {
        assert_eq!((reply.status, reply.cache().detail()), (status, Some(detail)));
        assert_eq!(reply.field("cache-status"), None, "{status}: it is based on nothing stored");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_1_what_is_made_of_a_stored_response_is_a_hit() {
    let w = world();
    w.origin.says("/", ok("0123456789").max_age(60).etag("\"a\""));
    w.get("/").told().await;
    for (name, value, status) in
        [("if-none-match", "\"a\"", 304), ("range", "bytes=0-1", 206), ("range", "bytes=20-", 416)]
    {
        let reply = w.get("/").header(name, value).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.field("cache-status"), Some("tower-cdn; hit; ttl=60"));
    }
    assert_eq!(w.head("/").await.field("cache-status"), Some("tower-cdn; hit; ttl=60"));
}

#[tokio::test(start_paused = true)]
async fn s2_2_the_most_specific_reason() {
    let w = world_of(CachePolicy::rfc9111());
    w.origin.always("/", |_| ok("a").max_age(10).etag("\"a\"").vary("x-a"));
    let fwd = async |ask: support::Ask<_>| {
        let reply: Reply = ask.await;
        let fwd = parameters(&reply).into_iter().find(|(name, _)| name == "fwd");
        drop(reply.told().await);
        settle().await;
        fwd.and_then(|(_, value)| value).unwrap_or_default()
    };
    assert_eq!(fwd(w.post("/")).await, "method");
    assert_eq!(fwd(w.get("/").body("x")).await, "bypass");
    assert_eq!(fwd(w.get("/")).await, "uri-miss");
    assert_eq!(fwd(w.get("/").header("x-a", "1")).await, "vary-miss");
    assert_eq!(fwd(w.get("/").header("cache-control", "no-cache")).await, "request");
    assert_eq!(fwd(w.get("/").header("cache-control", "min-fresh=1000")).await, "request");
    pass(10).await;
    assert_eq!(fwd(w.get("/")).await, "stale");
    let part =
        || answer(206).max_age(60).etag("\"a\"").header("content-range", "bytes 0-1/10").body("01");
    w.origin.says("/part", part());
    assert_eq!(fwd(w.get("/part").header("range", "bytes=0-1")).await, "uri-miss");
    w.origin.says("/part", ok("0123456789"));
    assert_eq!(fwd(w.get("/part")).await, "partial");
}

#[tokio::test(start_paused = true)]
async fn s2_3_the_status_of_the_next_hop_where_it_differs() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(304).max_age(10).etag("\"a\""));
    let reply = w.get("/").await;
    assert_eq!(
        reply.field("cache-status"),
        Some("tower-cdn; fwd=stale; fwd-status=304; ttl=10; stored")
    );
}

#[tokio::test(start_paused = true)]
async fn s2_4_ttl_counts_what_the_operator_assigns() {
    let policy = CachePolicy::default().default_ttl(seconds(30)).max_ttl(seconds(50));
    let w = world_of(policy);
    w.origin.says("/default", ok("a"));
    w.origin.says("/long", ok("a").max_age(1_000));
    for (path, ttl) in [("/default", 30), ("/long", 50)] {
        assert_eq!(w.get(path).await.cache().ttl(), Some(ttl));
        settle().await;
    }
    pass(7).await;
    assert_eq!(w.get("/default").await.field("cache-status"), Some("tower-cdn; hit; ttl=23"));
}
