//! `Cache-Status` (RFC 9211) and the typed extension, for each outcome.
mod support;

use support::{Ask, Reply, World, answer, ok, pass, seconds, settle, world, world_of};
use tower_cdn::{CachePolicy, CdnCache, Detail, Forward, NotStored};

/// The field of one reply, which is read to its end.
async fn field(ask: Ask<CdnCache<support::Origin>>) -> String {
    let reply = ask.await;
    let fields = reply.fields("cache-status").join(" | ");
    assert_eq!(fields, reply.cache().to_string(), "the field says what the extension says");
    drop(reply.told().await);
    settle().await;
    fields
}

async fn stale(w: &World) {
    w.origin.says(
        "/",
        ok("a").says("max-age=10, stale-while-revalidate=10, stale-if-error=100").etag("\"a\""),
    );
    w.get("/").told().await;
}

#[tokio::test(start_paused = true)]
async fn s2_1_hits_and_misses() {
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60).vary("x-a"));
    assert_eq!(field(w.get("/")).await, "tower-cdn; fwd=uri-miss; ttl=60; stored");
    pass(5).await;
    assert_eq!(field(w.get("/")).await, "tower-cdn; hit; ttl=55");
    assert_eq!(
        field(w.get("/").header("x-a", "1")).await,
        "tower-cdn; fwd=vary-miss; ttl=60; stored"
    );
    assert_eq!(field(w.post("/")).await, "tower-cdn; fwd=method");
    assert_eq!(field(w.get("/").body("x")).await, "tower-cdn; fwd=bypass; detail=not-cacheable");
}

#[tokio::test(start_paused = true)]
async fn s2_4_ttl_is_negative_for_what_is_stale() {
    let w = world();
    stale(&w).await;
    pass(13).await;
    w.origin.says("/", answer(503));
    assert_eq!(field(w.get("/")).await, "tower-cdn; hit; ttl=-3; detail=stale-while-revalidate");
    pass(10).await;
    w.origin.says("/", answer(503));
    assert_eq!(
        field(w.get("/")).await,
        "tower-cdn; fwd=stale; fwd-status=503; ttl=-13; detail=stale-if-error"
    );
    w.origin.says("/", answer(304).etag("\"a\"").header("date", w.date(0)));
    let validated = w.get("/").await.cache();
    assert_eq!((validated.forward(), validated.is_stored()), (Some(Forward::Stale), true));
    assert_eq!(validated.forward_status().map(|s| s.as_u16()), Some(304));
}

#[tokio::test(start_paused = true)]
async fn s2_5_collapsed() {
    let w = world();
    let (slow, hold) = ok("a").max_age(60).held();
    w.origin.says("/", slow);
    let leader = w.get("/").start();
    settle().await;
    let follower = tokio::spawn(field(w.get("/")));
    settle().await;
    hold.release();
    assert_eq!(follower.await.unwrap(), "tower-cdn; fwd=uri-miss; ttl=60; collapsed");
    assert!(!leader.await.unwrap().cache().is_collapsed());
}

#[tokio::test(start_paused = true)]
async fn s2_8_why_it_was_not_stored() {
    let reasons = [
        (NotStored::NoStore, "no-store", ok("").says("no-store")),
        (NotStored::Private, "private", ok("").says("private")),
        (NotStored::VaryStar, "vary", ok("").max_age(9).vary("*")),
        (NotStored::SetCookie, "set-cookie", ok("").max_age(9).header("set-cookie", "a=b")),
        (NotStored::NoFreshness, "no-freshness", ok("")),
        (NotStored::Status, "status", answer(416).max_age(9)),
        (
            NotStored::NotUnderstood,
            "must-understand",
            answer(299).says("max-age=9, must-understand"),
        ),
        (NotStored::Connection, "connection", ok("").max_age(9).header("connection", "etag")),
        (
            NotStored::EventStream,
            "event-stream",
            ok("").max_age(9).header("content-type", "text/event-stream"),
        ),
        (NotStored::Framing, "framing", ok("ab").max_age(9).header("content-length", "1")),
        (NotStored::TooLarge, "too-large", ok(vec![0; 2_000]).max_age(9)),
        (NotStored::Declined, "declined", ok("").max_age(9).extension(tower_cdn::DoNotStore)),
    ];
    for (reason, word, response) in reasons {
        let w = world_of(CachePolicy::default().max_object(1_000));
        w.origin.says("/", response);
        let reply = w.get("/").await;
        assert_eq!(reply.cache().detail(), Some(Detail::NotStored(reason)));
        assert_eq!(
            reply.field("cache-status"),
            Some(format!("tower-cdn; fwd=uri-miss; detail={word}").as_str())
        );
    }
    let w = world();
    w.origin.says("/", ok("").max_age(9));
    let reply = w.get("/").header("authorization", "x").await;
    assert_eq!(reply.cache().detail(), Some(Detail::NotStored(NotStored::Authorization)));
}

#[tokio::test(start_paused = true)]
async fn what_the_cache_answers_itself() {
    let w = world();
    let only = w.get("/").header("cache-control", "only-if-cached").await;
    assert_eq!(only.cache().detail(), Some(Detail::OnlyIfCached));
    let bad = w.get("/").origin_form("/").await;
    assert_eq!(bad.cache().detail(), Some(Detail::BadRequest));
    for reply in [only, bad] {
        assert_eq!(reply.field("cache-status"), None, "section 2: it has no member of ours");
    }
}

#[tokio::test(start_paused = true)]
async fn fwd_status_where_it_differs() {
    let w = world();
    w.origin.says("/", ok("content").max_age(10).etag("\"a\""));
    let not_modified = w.get("/").header("if-none-match", "\"a\"");
    assert_eq!(
        field(not_modified).await,
        "tower-cdn; fwd=uri-miss; fwd-status=200; ttl=10; stored"
    );
    w.origin.says("/missing", answer(404).max_age(10));
    assert_eq!(field(w.get("/missing")).await, "tower-cdn; fwd=uri-miss; ttl=10; stored");
}

#[tokio::test(start_paused = true)]
async fn names_of_the_operators_choice() {
    for (name, shown) in
        [("edge-1", "edge-1"), ("no token", "tower-cdn"), ("", "tower-cdn"), ("1x", "tower-cdn")]
    {
        let w = world_of(CachePolicy::default().cache_status(Some(name)));
        w.origin.says("/", ok("a").max_age(60));
        let reply = w.get("/").await;
        let expected = format!("{shown}; fwd=uri-miss; ttl=60; stored");
        assert_eq!(reply.field("cache-status"), Some(expected.as_str()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_turned_off_and_the_extension_stays() {
    let w = world_of(CachePolicy::default().cache_status(None));
    w.origin.says("/", ok("a").max_age(60));
    for how in ["uri-miss", "hit"] {
        let reply = w.get("/").await;
        assert_eq!((reply.how().as_str(), reply.field("cache-status")), (how, None));
        drop(reply.told().await);
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s2_caches_nearer_to_the_origin_stand_in_front() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60).header("cache-status", "inner; hit"));
    let fields = |reply: &Reply| {
        reply.fields("cache-status").iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()
    };
    let first = w.get("/").await;
    assert_eq!(fields(&first), ["inner; hit", "tower-cdn; fwd=uri-miss; ttl=60; stored"]);
    drop(first.told().await);
    settle().await;
    for _ in 0..2 {
        let hit = w.get("/").header("cache-status", "evil; hit").await;
        assert_eq!(
            fields(&hit),
            ["inner; hit", "tower-cdn; hit; ttl=60"],
            "once, and not the client's"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn counts() {
    let w = world_of(CachePolicy::default().wait_timeout(seconds(1)));
    stale(&w).await;
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", ok("b").max_age(60));
    w.get("/").told().await;
    w.get("/").told().await;
    w.origin.says("/", answer(204));
    w.post("/").told().await;
    let stats = w.stats();
    assert_eq!((stats.hits, stats.stale_hits), (3, 1));
    assert_eq!((stats.forwarded, stats.collapsed), (2, 0));
    assert_eq!((stats.stored, stats.store_faults, stats.fetches), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn extensions_of_the_inner_service_go_to_the_one_who_asked() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u8);
    let w = world();
    w.origin.says("/", ok("a").max_age(60).extension(Mark(1)));
    w.origin.says("/mine", ok("a").extension(Mark(2)));
    let first = w.get("/").await;
    assert_eq!(first.extensions.get::<Mark>(), Some(&Mark(1)));
    assert!(first.cache().is_stored());
    drop(first.told().await);
    settle().await;
    assert_eq!(w.get("/").await.extensions.get::<Mark>(), None, "they are not stored");
    assert_eq!(w.get("/mine").await.extensions.get::<Mark>(), Some(&Mark(2)));
}

#[tokio::test(start_paused = true)]
async fn the_extension_is_the_operators_choice() {
    let w = world_of(CachePolicy::default().status_extension(false));
    w.origin.always("/", |_| ok("a").max_age(60));
    for expected in ["tower-cdn; fwd=uri-miss; ttl=60; stored", "tower-cdn; hit; ttl=60"] {
        let reply = w.get("/").await;
        assert!(reply.extensions.is_empty());
        assert_eq!(reply.fields("cache-status"), [expected]);
        drop(reply);
        settle().await;
    }
}
