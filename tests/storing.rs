//! What is stored and what is not (RFC 9111 section 3).
mod support;

use support::{
    Answer, KILOBYTE, MEGABYTE, World, answer, ok, panics, seconds, settle, world, world_of,
};
use tower_cdn::{CachePolicy, Detail, DoNotStore, NotStored, SetCookie};

/// Asks twice: is the second one a hit?
async fn is_reused(
    w: &World,
    mut make: impl FnMut() -> Answer + Send + 'static,
    fields: &[(&str, &str)],
) -> bool {
    w.origin.always("/", move |_| make());
    let ask = || fields.iter().fold(w.get("/"), |ask, (name, value)| ask.header(name, value));
    let first = ask().await;
    let (stored, detail) = (first.cache().is_stored(), first.cache().detail());
    drop(first.told().await);
    settle().await;
    let second = ask().await;
    let hit = second.how() == "hit";
    drop(second.told().await);
    settle().await;
    assert_eq!(stored, hit, "what says that it is stored is stored: {detail:?}");
    assert_eq!(w.store.is_empty(), !hit, "nothing but what is stored is in the store");
    assert_eq!(w.origin.count(), if hit { 1 } else { 2 });
    w.assert_idle().await;
    hit
}

async fn reused(make: impl FnMut() -> Answer + Send + 'static) -> bool {
    is_reused(&world(), make, &[]).await
}

#[tokio::test(start_paused = true)]
async fn s3_no_store_and_private() {
    assert!(reused(|| ok("a").max_age(60)).await);
    for forbids in [
        "no-store",
        "private",
        "NO-STORE",
        "no-store=x",
        "private=\"\"",
        "max-age=60;private, no-store",
    ] {
        assert!(!reused(move || ok("a").max_age(60).says(forbids)).await, "{forbids}");
    }
    assert!(!reused(|| ok("a").says("no-store, public, s-maxage=60")).await, "what forbids wins");
    assert!(reused(|| ok("a").says("max-age=60, x=\"no-store, private\"")).await, "quoted");
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_3_must_understand() {
    assert!(reused(|| ok("a").says("max-age=60, must-understand, no-store")).await);
    assert!(!reused(|| answer(299).says("max-age=60, must-understand")).await);
}

#[tokio::test(start_paused = true)]
async fn s3_5_authorization() {
    for (says, expected) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
        // What is not written right forbids, and permits nothing.
        ("max-age=60, must-revalidate=0", false),
        ("max-age=60, must-revalidate x", false),
        ("max-age=60, must-revalidate, must-revalidate=x", false),
    ] {
        let is =
            is_reused(&world(), move || ok("a").says(says), &[("authorization", "Basic x")]).await;
        assert_eq!(is, expected, "{says}");
    }
}

#[tokio::test(start_paused = true)]
async fn s7_3_set_cookie() {
    let cookie = |says: &'static str| move || ok("a").says(says).header("set-cookie", "a=b");
    assert!(!reused(cookie("max-age=60")).await);
    assert!(reused(cookie("max-age=60, public")).await);
    assert!(reused(cookie("s-maxage=60")).await);
    let with = |what| world_of(CachePolicy::default().set_cookie(what));
    assert!(is_reused(&with(SetCookie::Store), cookie("max-age=60"), &[]).await);
    assert!(!is_reused(&with(SetCookie::Never), cookie("s-maxage=60"), &[]).await);
    let w = with(SetCookie::Strip);
    assert!(is_reused(&w, cookie("max-age=60"), &[]).await);
    assert_eq!(w.get("/").await.field("set-cookie"), None);
}

#[tokio::test(start_paused = true)]
async fn s7_3_a_shared_lifetime_that_cannot_be_read_lets_nobody_have_a_cookie() {
    for says in ["s-maxage=-1", "s-maxage", "s-maxage=x"] {
        let w = world();
        w.origin.says("/", ok("a").says(says).etag("\"a\"").header("set-cookie", "sid=1"));
        w.get("/").told().await;
        settle().await;
        w.origin.says("/", answer(304).etag("\"a\""));
        w.origin.says("/", ok("b"));
        assert_eq!(w.get("/").await.field("set-cookie"), None, "{says}");
    }
}

#[tokio::test(start_paused = true)]
async fn stripped_cookies_go_to_the_one_who_asked_only() {
    let w = world_of(CachePolicy::default().set_cookie(SetCookie::Strip));
    let (slow, hold) =
        ok("a").max_age(60).header("set-cookie", "a=b").header("set-cookie", "c=d").held();
    w.origin.says("/", slow);
    let leader = w.get("/").start();
    settle().await;
    let follower = w.get("/").start();
    settle().await;
    hold.release();
    assert_eq!(leader.await.unwrap().fields("set-cookie"), ["a=b", "c=d"]);
    let follower = follower.await.unwrap();
    assert_eq!((follower.how().as_str(), follower.field("set-cookie")), ("uri-miss+", None));
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_7_private_and_no_cache_with_fields() {
    for says in
        ["max-age=60, private=\"x-mine, x-too\"", "max-age=60, no-cache=\"X-Mine\", no-cache=x-too"]
    {
        let w = world();
        w.origin.says(
            "/",
            ok("a").says(says).header("x-mine", "1").header("x-too", "2").header("x-all", "3"),
        );
        let first = w.get("/").await;
        assert_eq!(first.field("x-mine").zip(first.field("x-too")), Some(("1", "2")));
        drop(first.told().await);
        settle().await;
        let hit = w.get("/").await;
        assert_eq!(hit.how(), "hit", "{says}");
        assert_eq!(
            (hit.field("x-mine"), hit.field("x-too"), hit.field("x-all")),
            (None, None, Some("3"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s3_1_hop_by_hop_fields_are_not_stored() {
    let w = world();
    let fields = [
        ("connection", "close, X-Listed"),
        ("x-listed", "1"),
        ("keep-alive", "1"),
        ("proxy-connection", "1"),
        ("proxy-authenticate", "1"),
        ("proxy-authentication-info", "1"),
        ("te", "1"),
        ("upgrade", "1"),
    ];
    let response =
        fields.iter().fold(ok("a").max_age(60), |a, (name, value)| a.header(name, value));
    w.origin.says("/", response.header("x-kept", "1"));
    for how in ["uri-miss", "hit"] {
        let reply = w.get("/").await;
        assert_eq!((reply.how().as_str(), reply.field("x-kept")), (how, Some("1")));
        for (name, _) in fields {
            assert_eq!(reply.field(name), None, "{how}: {name}");
        }
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_lists_an_end_to_end_field_is_not_stored() {
    for name in ["cache-control", "Vary", "set-cookie", "content-length", "authorization", "host"] {
        assert!(!reused(move || ok("a").max_age(60).header("connection", name)).await, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn statuses() {
    for status in [200, 203, 204, 300, 301, 302, 307, 308, 404, 410, 500, 503, 599] {
        assert!(
            reused(move || answer(status).max_age(60)).await,
            "{status} with explicit freshness"
        );
    }
    for status in [206, 304, 416] {
        let w = world();
        w.origin.always("/", move |_| answer(status).max_age(60));
        for _ in 0..2 {
            assert_ne!(w.get("/").await.how(), "hit", "{status}");
            settle().await;
        }
        assert!(w.store.is_empty());
    }
    assert!(!reused(|| answer(500)).await, "silent");
    assert!(!reused(|| answer(500).etag("\"a\"")).await, "a validator is not enough for it");
}

#[tokio::test(start_paused = true)]
async fn fat_get_is_forwarded_untouched_and_not_stored() {
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60));
    let range =
        || w.get("/").body("content").header("range", "bytes=0-0").header("content-length", "7");
    let reply = range().await;
    assert_eq!(reply.cache().detail(), Some(Detail::NotCacheable));
    assert_eq!(reply.told().await, "200 a (bypass)");
    assert_eq!(w.origin.last().field("range"), Some("bytes=0-0"));
    assert!(w.store.is_empty());
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(range().told().await, "200 a (bypass)", "nor answered from the store");
    for (name, value) in [("transfer-encoding", "chunked"), ("content-length", "1")] {
        assert_eq!(w.get("/").header(name, value).told().await, "200 a (bypass)", "{name}");
    }
    assert_eq!(w.get("/").header("content-length", "0").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_forwarded_untouched() {
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60));
    for method in ["POST", "PUT", "OPTIONS", "QUERY", "TRACE"] {
        for _ in 0..2 {
            assert_eq!(
                w.client.ask(method, "/").body("content").told().await,
                "200 a (method)",
                "{method}"
            );
        }
    }
    assert_eq!(w.origin.count(), 10);
    assert!(w.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn upgrades_and_grpc_stay_out() {
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60));
    for _ in 0..2 {
        let upgrade =
            w.get("/").header("connection", "keep-alive, Upgrade").header("upgrade", "websocket");
        assert_eq!(upgrade.told().await, "200 a (bypass)");
        assert_eq!(w.origin.last().field("upgrade"), Some("websocket"));
        assert_eq!(
            w.get("/").header("content-type", "application/grpc+proto").told().await,
            "200 a (bypass)"
        );
    }
    assert!(w.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn do_not_store_says_the_inner_service() {
    assert!(!reused(|| ok("a").max_age(60).extension(DoNotStore)).await);
    let w = world();
    w.origin.says("/", ok("a").max_age(60).extension(DoNotStore));
    assert_eq!(w.get("/").await.cache().detail(), Some(Detail::NotStored(NotStored::Declined)));
}

#[tokio::test(start_paused = true)]
async fn do_not_store_on_a_304_forbids_as_well() {
    let w = world();
    w.origin.says("/", ok("a").says("no-cache").etag("\"a\""));
    w.origin.says("/", answer(304).etag("\"a\"").extension(DoNotStore));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert!(w.store.is_empty(), "never store this response, whatever its fields say");
}

#[tokio::test(start_paused = true)]
async fn event_streams_are_not_stored() {
    for kind in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        assert!(!reused(move || ok("a").max_age(60).header("content-type", kind)).await, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_large_by_what_it_declares() {
    let small = || CachePolicy::default().max_object(KILOBYTE as u64);
    let of = |size: usize| move || ok(vec![b'x'; size]).max_age(60);
    assert!(is_reused(&world_of(small()), of(KILOBYTE), &[]).await);
    assert!(!is_reused(&world_of(small()), of(KILOBYTE + 1), &[]).await, "by its size hint");
    let declared = || ok("").max_age(60).header("content-length", "1025").made(41, 25).0;
    assert!(!is_reused(&world_of(small()), declared, &[]).await, "by its Content-Length");
}

#[tokio::test(start_paused = true)]
async fn too_large_with_a_length_that_nobody_knows_passes_through() {
    let w = world_of(CachePolicy::default().max_object(MEGABYTE as u64));
    w.origin.always("/", |_| ok("").max_age(60).made(100, 64 * KILOBYTE).0);
    for _ in 0..2 {
        assert_eq!(w.get("/").await.text().await.len(), 100 * 64 * KILOBYTE);
        settle().await;
        assert!(w.store.is_empty());
    }
    assert_eq!(w.stats().store_faults, 0);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_not_stored() {
    assert!(!reused(|| ok("a").max_age(60).header("x-large", "x".repeat(17 * KILOBYTE))).await);
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60));
    let large = || w.get("/").header("x-large", "x".repeat(17 * KILOBYTE));
    assert_eq!(large().told().await, "200 a (bypass)");
    assert_eq!(large().await.cache().detail(), Some(Detail::TooLong));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_shorter_than_declared_is_not_complete() {
    let w = world();
    w.origin.says("/", ok("").max_age(60).header("content-length", "10").chunks(&["short"]));
    w.origin.says("/", ok("whole").max_age(60));
    assert_eq!(w.get("/").told().await, "200 short# (uri-miss)");
    assert!(w.store.is_empty());
    assert_eq!(w.get("/").told().await, "200 whole (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 whole (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_longer_than_declared_is_not_stored() {
    let w = world();
    w.origin.says("/", ok("").max_age(60).header("content-length", "4").chunks(&["long", "er"]));
    let told = w.get("/").told().await;
    assert!(told.contains('#'), "{told}");
    assert!(w.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn s6_3_lengths_that_contradict() {
    let two = || ok("abc").max_age(60).header("content-length", "3").header("content-length", "4");
    assert!(!reused(two).await);
    let both = || {
        ok("abc").max_age(60).header("content-length", "3").header("transfer-encoding", "chunked")
    };
    assert!(!reused(both).await);
    assert!(
        !reused(|| ok("abc").max_age(60).header("content-length", "4")).await,
        "and the body knows it"
    );
    assert!(
        reused(|| ok("abc").max_age(60).header("content-length", "3, 3")).await,
        "the same twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_leaves_nothing_and_everyone_gets_an_error() {
    for panicking in [false, true] {
        let w = world();
        let (response, feed) = ok("").max_age(60).fed();
        w.origin.says("/", response);
        w.origin.says("/", ok("whole").max_age(60));
        let leader = w.get("/").start_told();
        let follower = w.get("/").start_told();
        settle().await;
        feed.chunk("part");
        if panicking {
            feed.panics()
        } else {
            feed.breaks()
        }
        assert_eq!(leader.await.unwrap(), "200 part# (uri-miss)");
        assert_eq!(follower.await.unwrap(), "200 part# (uri-miss+)");
        settle().await;
        assert!(w.store.is_empty());
        assert_eq!(w.stats().store_faults, 0);
        assert_eq!(w.get("/").told().await, "200 whole (uri-miss)");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_leaves_what_was_there_before() {
    let w = world();
    w.origin.says("/", ok("a").says("max-age=10, stale-if-error=1000"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    support::pass(10).await;
    let (response, feed) = ok("").max_age(10).fed();
    w.origin.says("/", response);
    w.origin.says("/", answer(503));
    let asked = w.get("/").start_told();
    settle().await;
    feed.chunk("b");
    feed.breaks();
    assert_eq!(asked.await.unwrap(), "200 b# (stale)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_panics_panics_in_the_request_that_asked() {
    let w = world();
    w.origin.says("/", panics());
    w.origin.says("/", ok("a").max_age(60));
    let asked = w.get("/").start();
    assert!(asked.await.is_err_and(|error| error.is_panic()));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_stored_byte_for_byte() {
    let w = world();
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 127) as u8).collect();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let response = ok(bytes)
        .max_age(60)
        .header("link", "<1>")
        .header("link", "<2>")
        .header("x-Odd", "  a\tb ".trim());
    w.origin.says("/", response);
    for how in ["uri-miss", "hit"] {
        let reply = w.get("/").await;
        assert_eq!(reply.how(), how);
        assert_eq!(reply.fields("link"), ["<1>", "<2>"]);
        assert_eq!(reply.field("x-odd"), Some("a\tb"));
        assert!(reply.text().await == text, "{how}");
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_default_answer_without_freshness_is_not_stored() {
    assert!(!reused(|| ok("a")).await);
    assert!(!reused(|| ok("a").says("public")).await);
    let w = world();
    w.origin.says("/", ok("a"));
    assert_eq!(w.get("/").await.cache().detail(), Some(Detail::NotStored(NotStored::NoFreshness)));
}

#[tokio::test(start_paused = true)]
async fn rfc9110_s6_6_1_date_is_added_where_it_is_missing_and_untouched_where_not() {
    let w = world();
    let (now, before) = (w.date(0), w.date(-7));
    w.origin.says("/without", ok("a").max_age(60));
    w.origin.says("/with", ok("a").max_age(60).header("date", &before));
    for _ in 0..2 {
        assert_eq!(w.get("/without").await.fields("date"), [now.as_str()]);
        assert_eq!(w.get("/with").await.fields("date"), [before.as_str()]);
        settle().await;
        support::pass(2).await;
    }
    assert_eq!(w.origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_default_lifetime_stores_no_page_under_the_name_of_a_static_file() {
    let w = world_of(CachePolicy::default().default_ttl(seconds(60)));
    let page = || ok("somebody's account").header("content-type", "text/html");
    w.origin.always("/account/x.css", move |_| page());
    w.get("/account/x.css").await.text().await;
    settle().await;
    let again = w.get("/account/x.css").await;
    assert!(!again.cache().is_hit());
    w.origin.always("/x.css", |_| ok("a { }").header("content-type", "text/css"));
    w.get("/x.css").await.text().await;
    settle().await;
    assert!(w.get("/x.css").await.cache().is_hit(), "what is what it says is stored");
}
