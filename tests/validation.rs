//! Validation (RFC 9111 section 4.3) and freshening (sections 3.2 and 4.3.4).
mod support;

use support::{
    Client, KILOBYTE, MEGABYTE, Origin, World, answer, fail, ok, pass, settle, world, world_of,
};
use tower::Layer;
use tower_cdn::{CachePolicy, CdnCacheLayer, Clock, MemoryStore};

#[tokio::test(start_paused = true)]
async fn s4_3_1_stored_validators_are_sent() {
    let w = world();
    let modified = w.date(-1_000);
    w.origin.says("/", ok("a").max_age(10).etag("\"a\"").header("last-modified", &modified));
    w.origin.says("/", answer(304).max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.origin.last().field("if-none-match"), None);
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""));
    assert_eq!(w.origin.last().field("if-modified-since"), Some(modified.as_str()));
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    pass(9).await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    assert_eq!(w.origin.count(), 2);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn s4_3_4_last_modified_alone_validates() {
    let w = world();
    let modified = w.date(-1_000);
    w.origin.says("/", ok("a").max_age(10).header("last-modified", &modified));
    w.origin.says("/", answer(304).max_age(10).header("last-modified", &modified));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.origin.last().field("if-modified-since"), Some(modified.as_str()));
    assert_eq!(w.origin.last().field("if-none-match"), None);
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_4_weak_tags_match_weakly() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("W/\"a\""));
    w.origin.says("/", answer(304).max_age(10).etag("W/\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn s3_2_fields_of_the_304_replace_the_stored_ones() {
    let w = world();
    let first = ok("content")
        .max_age(10)
        .etag("\"a\"")
        .header("age", "3")
        .header("content-length", "7")
        .header("content-encoding", "identity-ish")
        .header("x-kept", "kept")
        .header("link", "<1>")
        .header("link", "<2>");
    let update = answer(304)
        .says("max-age=20")
        .says("public")
        .etag("\"a\"")
        .header("link", "<3>")
        .header("link", "<4>")
        .header("x-new", "new")
        .header("content-length", "0")
        .header("content-encoding", "gzip")
        .header("content-range", "bytes 0-1/2")
        .header("transfer-encoding", "chunked")
        .header("keep-alive", "timeout=5");
    w.origin.says("/", first);
    w.origin.says("/", update);
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(10).await;
    for (how, age) in [("stale", None), ("hit", Some(0))] {
        let reply = w.get("/").await;
        support::settle().await;
        assert_eq!(reply.how(), how);
        assert_eq!(reply.age(), age, "{how}: the old Age is gone");
        assert_eq!(reply.fields("cache-control"), ["max-age=20", "public"], "{how}: all lines");
        assert_eq!(reply.fields("link"), ["<3>", "<4>"], "{how}: all lines, none of the old");
        assert_eq!(reply.field("x-kept"), Some("kept"), "{how}");
        assert_eq!(reply.field("x-new"), Some("new"), "{how}");
        assert_eq!(reply.fields("content-length"), ["7"], "{how}: describes the content");
        assert_eq!(reply.field("content-encoding"), Some("identity-ish"), "{how}");
        for gone in ["content-range", "transfer-encoding", "keep-alive"] {
            assert_eq!(reply.field(gone), None, "{how}: {gone}");
        }
        assert_eq!(reply.text().await, "content", "{how}");
    }
    pass(19).await;
    assert_eq!(w.get("/").await.how(), "hit", "the new lifetime counts");
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_a_200_replaces() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\"").header("x-old", "old"));
    w.origin.says("/", ok("b").max_age(10).etag("\"b\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 b (stale)");
    let hit = w.get("/").await;
    assert_eq!((hit.field("etag"), hit.field("x-old")), (Some("\"b\""), None));
    assert_eq!(hit.told().await, "200 b (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_a_200_that_may_not_be_stored_makes_the_stored_one_unusable() {
    for forbids in ["no-store", "private"] {
        let w = world();
        w.origin.says("/", ok("a").says("max-age=10, stale-while-revalidate=1000"));
        w.origin.always("/", move |_| ok("b").says(forbids));
        assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
        pass(10).await;
        assert_eq!(w.get("/").told().await, "200 a (stale-hit)", "refreshed behind");
        let told = w.get("/").told().await;
        assert!(
            told.starts_with("200 b"),
            "{forbids}: the origin has said that it is another one now: {told}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_a_404_or_410_ends_what_was_there() {
    for status in [404, 410] {
        for lasting in [true, false] {
            let w = world();
            w.origin.says("/", ok("a").says("max-age=10, stale-if-error=1000").etag("\"a\""));
            w.origin.says("/", if lasting { answer(status).max_age(10) } else { answer(status) });
            w.origin.says("/", fail());
            assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
            pass(10).await;
            assert_eq!(w.get("/").told().await, format!("{status}  (stale)"));
            let next = w.get("/").outcome().await;
            if lasting {
                assert_eq!(next.unwrap().told().await, format!("{status}  (hit)"));
            } else {
                assert!(next.is_err(), "nothing is there to fall back on");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s3_a_304_that_forbids_storing_is_served_once_with_its_fields() {
    for (forbids, is_authorized) in
        [("no-store", false), ("private", false), ("no-store", true), ("private", true)]
    {
        let w = world();
        w.origin.says("/", ok("a").says("public, max-age=10").etag("\"a\""));
        w.origin.says("/", answer(304).etag("\"a\"").says(forbids));
        w.origin.says("/", ok("b").max_age(10));
        assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
        pass(10).await;
        let ask = w.get("/");
        let ask = if is_authorized { ask.header("authorization", "Bearer b") } else { ask };
        let once = ask.await;
        let says = once.fields("cache-control").join("|");
        assert_eq!(once.told().await, "200 a (stale)");
        support::settle().await;
        assert_eq!(w.store.len(), 0, "{forbids}: it is not stored any more");
        assert_eq!(w.get("/").told().await, "200 b (uri-miss)");
        assert_eq!(w.origin.last().field("if-none-match"), None);
        assert_eq!(says, forbids, "whoever gets it has to know");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_3_4_a_304_that_speaks_of_another_response_freshens_nothing() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.origin.says("/", answer(304).max_age(1_000).etag("\"other\""));
    w.origin.says("/", ok("b").max_age(10).etag("\"b\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let reply = w.get("/").await;
    assert_ne!(reply.status, 304, "the client has no condition");
    assert_ne!(reply.field("etag"), Some("\"other\""));
    drop(reply);
    support::settle().await;
    assert_eq!(w.get("/").await.text().await, "b", "it was asked for again without conditions");
    assert_eq!(w.origin.last().field("if-none-match"), None);
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_2_a_304_that_speaks_of_another_response_validates_nothing() {
    let w = world();
    w.origin.says("/", ok("a").says("max-age=10, must-revalidate").etag("\"a\""));
    w.origin.says("/", answer(304).max_age(1_000).etag("\"other\""));
    w.origin.says("/", ok("b").max_age(10).etag("\"b\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let told = w.get("/").told().await;
    assert!(!told.starts_with("200 a"), "must-revalidate: not without validation: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_304_that_nobody_asked_for_never_goes_out() {
    let w = world();
    w.origin.always("/", |_| answer(304).etag("\"a\""));
    for _ in 0..2 {
        assert_ne!(w.get("/").await.status, 304);
    }
}

#[tokio::test(start_paused = true)]
async fn s4_3_1_conditions_of_the_client_stay_here() {
    let w = world();
    let past = w.date(-1_000);
    w.origin.says("/", ok("0123456789").max_age(10).etag("\"a\""));
    w.origin.says("/", answer(304).max_age(10).etag("\"a\""));
    let conditions = [
        ("if-none-match", "\"mine\""),
        ("if-modified-since", past.as_str()),
        ("if-range", "\"mine\""),
        ("range", "bytes=0-1"),
    ];
    let ask = || conditions.iter().fold(w.get("/"), |ask, (name, value)| ask.header(name, value));
    assert_eq!(ask().told().await, "200 0123456789 (uri-miss)");
    for (name, _) in conditions {
        assert_eq!(w.origin.last().field(name), None, "on a miss: {name}");
    }
    pass(10).await;
    assert_eq!(ask().told().await, "200 0123456789 (stale)");
    assert_eq!(w.origin.last().headers.get_all("if-none-match").iter().count(), 1);
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""), "the cache's own");
    for name in ["if-modified-since", "if-range", "range"] {
        assert_eq!(w.origin.last().field(name), None, "on a validation: {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_without_freshness_but_with_a_validator_it_is_stored_and_validated() {
    let w = world();
    w.origin.says("/", ok("a").etag("\"a\""));
    w.origin.always("/", |_| answer(304).etag("\"a\""));
    w.origin.always("/silent", |_| ok("s"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.get("/silent").told().await, "200 s (uri-miss)");
    assert_eq!(w.get("/silent").told().await, "200 s (uri-miss)", "nothing at all is not stored");
}

#[tokio::test(start_paused = true)]
async fn a_slow_304_never_puts_an_old_head_on_new_content() {
    // Nobody follows here, so two validations run at once, and the newer answer comes first.
    let w = world_of(CachePolicy::default().collapse(false));
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (slow, hold) = answer(304).max_age(1_000).etag("\"a\"").held();
    w.origin.says("/", slow);
    w.origin.says("/", ok("b").max_age(100).etag("\"b\""));
    w.origin.always("/", |_| ok("c").max_age(100).etag("\"c\""));
    let first = w.get("/").start_told();
    support::settle().await;
    assert_eq!(w.get("/").told().await, "200 b (stale)");
    hold.release();
    assert_eq!(first.await.unwrap(), "200 a (stale)");
    support::settle().await;
    let reply = w.get("/").await;
    let etag = reply.field("etag").unwrap_or_default().to_owned();
    let text = reply.text().await;
    assert_eq!(etag, format!("\"{text}\""), "head and content belong together");
}

#[tokio::test(start_paused = true)]
async fn s3_2_a_digest_of_no_content_is_not_that_of_what_is_stored() {
    // RFC 9530 section 2: the content of a 304 is empty.
    let w = world();
    let stored = ok("a").max_age(10).etag("\"a\"").header("content-digest", "sha-256=:YQ==:");
    w.origin.says("/", stored.header("content-md5", "YQ=="));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let update = answer(304).max_age(10).etag("\"a\"").header("content-digest", "sha-256=:AA==:");
    w.origin.says("/", update.header("content-md5", "AA=="));
    for how in ["stale", "hit"] {
        let reply = w.get("/").await;
        assert_eq!((reply.how().as_str(), reply.field("content-md5")), (how, Some("YQ==")));
        assert_eq!(reply.field("content-digest"), Some("sha-256=:YQ==:"));
    }
}

#[tokio::test(start_paused = true)]
async fn s4_a_late_304_changes_nothing_that_was_validated_since() {
    let part = answer(206).header("content-range", "bytes 0-0/2").body("a");
    for (first, range) in [(ok("a"), None), (part, Some("bytes=0-0"))] {
        let w = world_of(CachePolicy::rfc9111().collapse(false));
        let get = || range.iter().fold(w.get("/"), |ask, range| ask.header("range", range));
        w.origin.says("/", first.max_age(10).etag("\"a\""));
        assert_eq!(get().await.text().await, "a");
        pass(10).await;
        let (slow, hold) = answer(304).max_age(1_000).etag("\"a\"").held();
        w.origin.says("/", slow);
        w.origin.always("/", |_| answer(304).max_age(5).etag("\"a\"").header("x-new", "1"));
        let late = get().start();
        support::settle().await;
        assert_eq!(get().await.how(), "stale");
        hold.release();
        assert_eq!(late.await.unwrap().text().await, "a", "who asked gets it");
        support::settle().await;
        let hit = get().await;
        assert_eq!((hit.how().as_str(), hit.field("x-new")), ("hit", Some("1")), "{range:?}");
        pass(6).await;
        assert_eq!(get().await.how(), "stale", "{range:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_a_late_304_that_forbids_storing_removes_nothing_that_was_validated_since() {
    let w = world_of(CachePolicy::default().collapse(false));
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (slow, hold) = answer(304).says("no-store").etag("\"a\"").held();
    w.origin.says("/", slow);
    w.origin.says("/", answer(304).max_age(5).etag("\"a\""));
    let late = w.get("/").start_told();
    support::settle().await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    hold.release();
    assert_eq!(late.await.unwrap(), "200 a (stale)", "who asked gets it");
    support::settle().await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_gets_what_was_freshened() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (slow, hold) = answer(304).max_age(10).etag("\"a\"").held();
    w.origin.says("/", slow);
    let asked: Vec<_> = (0..10).map(|_| w.get("/").start_told()).collect();
    support::settle().await;
    hold.release();
    let mut how = Vec::new();
    for told in asked {
        how.push(told.await.unwrap());
    }
    how.sort();
    assert_eq!(how.iter().filter(|h| *h == "200 a (stale)").count(), 1);
    assert_eq!(how.iter().filter(|h| *h == "200 a (stale+)").count(), 9);
    assert_eq!(w.origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_was_meant_for_many_and_is_so_no_longer_goes_to_nobody() {
    let w = world();
    w.origin
        .says("/", ok("a").says("public, max-age=10").etag("\"a\"").header("set-cookie", "a=1"));
    assert_eq!(w.get("/").await.field("set-cookie"), Some("a=1"));
    settle().await;
    pass(10).await;
    w.origin.says("/", answer(304).says("max-age=10").etag("\"a\""));
    let reply = w.get("/").header("authorization", "Bearer b").await;
    assert_eq!((reply.status, reply.field("set-cookie")), (200, None));
    w.origin.says("/", answer(304).says("max-age=10").etag("\"a\""));
    let reply = w.get("/").await;
    assert_eq!((reply.status, reply.field("set-cookie")), (200, None));
}

/// A cache that has a response for all, which is stale.
async fn with_stale() -> World {
    let w = world();
    w.origin.says("/", ok("a").says("public, max-age=10").etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    w
}

#[tokio::test(start_paused = true)]
async fn s3_5_a_304_for_authorization_freshens_for_others_only_what_it_permits_itself() {
    for (permits, says, then) in [
        (true, Some("public, max-age=10"), "200 a (hit)"),
        (true, Some("s-maxage=10"), "200 a (hit)"),
        (true, Some("must-revalidate, max-age=10"), "200 a (hit)"),
        (false, Some("max-age=10"), "200 a (stale)"),
        (false, None, "200 a (stale)"),
    ] {
        let w = with_stale().await;
        let update = answer(304).etag("\"a\"").header("x-for", "b");
        w.origin.says("/", says.into_iter().fold(update, |update, says| update.says(says)));
        let own = w.get("/").header("authorization", "Bearer b").await;
        assert_eq!(own.field("x-for"), Some("b"), "{says:?}");
        assert_eq!(own.told().await, "200 a (stale)", "{says:?}");
        settle().await;
        w.origin.says("/", answer(304).says("public, max-age=10").etag("\"a\""));
        let other = w.get("/").await;
        assert_eq!(other.field("x-for").is_some(), permits, "{says:?}");
        assert_eq!(other.told().await, then, "{says:?}");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s7_3_a_cookie_that_a_304_brings_is_for_others_only_if_the_304_says_so() {
    for (says, cookie) in [(Some("public, max-age=10"), Some("a=1")), (None, None)] {
        let w = with_stale().await;
        let update = answer(304).etag("\"a\"").header("set-cookie", "a=1");
        w.origin.says("/", says.into_iter().fold(update, |update, says| update.says(says)));
        assert_eq!(w.get("/").await.field("set-cookie"), Some("a=1"));
        settle().await;
        w.origin.says("/", answer(304).says("public, max-age=10").etag("\"a\""));
        assert_eq!(w.get("/").await.field("set-cookie"), cookie, "{says:?}");
        assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""), "it stays stored");
        assert_eq!(w.origin.count(), if cookie.is_some() { 2 } else { 3 });
    }
}

/// What was stored may be served stale for long, and has been replaced by what is larger than may be stored.
async fn assert_not_found_again(layer: CdnCacheLayer, larger: &'static str) {
    let (origin, half) = (Origin::new(), larger.len() / 2);
    let client = Client::new(layer.layer(origin.clone()));
    origin.says("/", ok("a").says("max-age=10, stale-while-revalidate=1000"));
    origin.always("/", move |_| ok("").max_age(10).chunks(&[&larger[..half], &larger[half..]]));
    assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(client.get("/").told().await, "200 a (stale-hit)");
    settle().await;
    assert_eq!(origin.count(), 2, "a refresh, which brings what is larger");
    for _ in 0..2 {
        let reply = client.get("/").await;
        assert_eq!(reply.how(), "uri-miss");
        assert_eq!(reply.text().await, larger);
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_what_turns_out_too_large_replaces_what_is_stored() {
    let layer = CdnCacheLayer::builder(MemoryStore::new(MEGABYTE as u64)).clock(Clock::tokio());
    let policy = CachePolicy::default().max_object(4);
    assert_not_found_again(layer.policy(policy).build(), "largerstill").await;
}

#[tokio::test(start_paused = true)]
async fn s4_3_3_what_the_store_finds_too_large_replaces_what_is_stored() {
    let layer = CdnCacheLayer::builder(MemoryStore::new(MEGABYTE as u64)).clock(Clock::tokio());
    let larger = "x".repeat(MEGABYTE + KILOBYTE).leak();
    assert_not_found_again(layer.build(), larger).await;
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_too_large_after_a_long_pause_leaves_what_is_stored() {
    let w = world_of(CachePolicy::default().max_object(4));
    w.origin.says("/", ok("a").says("max-age=10, stale-if-error=1000"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (response, feed) = ok("").max_age(10).fed();
    w.origin.says("/", response);
    w.origin.says("/", answer(503));
    let asked = w.get("/").start_told();
    settle().await;
    feed.chunk("b");
    pass(30).await;
    feed.chunk("larger");
    feed.end();
    assert_eq!(asked.await.unwrap(), "200 blarger (stale)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_too_large_leaves_what_is_newer() {
    let w = world_of(CachePolicy::default().max_object(4).collapse(false));
    w.origin.says("/", ok("a").max_age(10));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (response, feed) = ok("").max_age(10).fed();
    w.origin.says("/", response);
    w.origin.says("/", ok("b").max_age(10));
    let asked = w.get("/").start_told();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (stale)");
    feed.chunk("larger");
    feed.end();
    assert_eq!(asked.await.unwrap(), "200 larger (stale)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_late_304_of_another_response_leaves_what_was_validated_since() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    w.get("/").told().await;
    pass(10).await;
    let (slow, hold) = answer(304).etag("\"other\"").held();
    w.origin.says("/", slow);
    let late = w.get("/").start_told();
    pass(31).await;
    w.origin.says("/", answer(304).max_age(1_000).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    settle().await;
    w.origin.says("/", answer(503));
    hold.release();
    assert!(late.await.unwrap().starts_with("503"), "it is asked for once more");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}
