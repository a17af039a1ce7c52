//! HEAD (RFC 9110 section 9.3.2, RFC 9111 section 4.3.5).
mod support;

use support::{answer, fail, ok, pass, settle, world};
use tower_cdn::DoNotStore;

#[tokio::test(start_paused = true)]
async fn s9_3_2_head_is_answered_from_a_stored_get() {
    let w = world();
    w.origin.says("/", ok("content").max_age(60).etag("\"a\"").header("x-any", "any"));
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    let reply = w.head("/").await;
    assert_eq!(reply.field("content-length"), Some("7"));
    assert_eq!(reply.field("x-any"), Some("any"));
    assert_eq!(reply.told().await, "200  (hit)");
    assert_eq!(w.head("/").header("if-none-match", "\"a\"").told().await, "304  (hit)");
    assert_eq!(w.head("/").header("range", "bytes=0-1").await.status, 200, "ranges concern GET");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_answer_never_becomes_a_get_body() {
    let w = world();
    w.origin.says("/", answer(200).max_age(60).header("content-length", "7"));
    w.origin.says("/", ok("content").max_age(60));
    assert_eq!(w.head("/").told().await, "200  (uri-miss)");
    assert_eq!(w.origin.last().method, "HEAD");
    assert_eq!(w.store.len(), 0);
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn a_head_does_not_wait_for_a_get_nor_lead_one() {
    let w = world();
    let (slow, hold) = ok("content").max_age(60).held();
    w.origin.says("/", slow);
    w.origin.says("/", answer(200));
    let get = w.get("/").start_told();
    settle().await;
    assert_eq!(w.head("/").told().await, "200  (uri-miss)");
    hold.release();
    assert_eq!(get.await.unwrap(), "200 content (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_5_a_head_that_agrees_freshens_the_stored_get() {
    let w = world();
    w.origin.says("/", ok("content").max_age(10).etag("\"a\""));
    let update =
        answer(200).max_age(20).etag("\"a\"").header("content-length", "7").header("x-new", "new");
    w.origin.says("/", update.header("date", w.date(10)));
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(10).await;
    assert_eq!(w.head("/").told().await, "200  (stale)");
    let reply = w.get("/").await;
    assert_eq!(reply.field("x-new"), Some("new"));
    assert_eq!(reply.told().await, "200 content (hit)");
    pass(18).await;
    assert_eq!(w.get("/").told().await, "200 content (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_5_a_head_without_date_freshens_as_well() {
    let w = world();
    w.origin.says("/", ok("content").max_age(10).etag("\"a\""));
    w.origin.says("/", answer(200).max_age(20).etag("\"a\"").header("content-length", "7"));
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(10).await;
    assert_eq!(w.head("/").told().await, "200  (stale)");
    pass(19).await;
    assert_eq!(w.get("/").told().await, "200 content (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_5_a_head_that_disagrees_ends_the_stored_get() {
    let disagrees = [
        answer(200).max_age(20).etag("\"b\"").header("content-length", "7"),
        answer(200).max_age(20).etag("\"a\"").header("content-length", "8"),
        answer(404),
        answer(410),
        answer(200).says("no-store").etag("\"a\""),
    ];
    for (n, update) in disagrees.into_iter().enumerate() {
        let w = world();
        let keeps = "max-age=10, stale-if-error=1000";
        w.origin.says("/", ok("content").says(keeps).etag("\"a\""));
        w.origin.says("/", update);
        w.origin.says("/", fail());
        assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
        pass(10).await;
        assert_eq!(w.head("/").await.how(), "stale");
        settle().await;
        assert!(w.get("/").outcome().await.is_err(), "{n}: nothing is there to fall back on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_fails_leaves_the_stored_get() {
    for status in [500, 503, 403] {
        let w = world();
        w.origin.says("/", ok("content").says("max-age=10, stale-if-error=1000"));
        w.origin.says("/", answer(status));
        w.origin.says("/", fail());
        assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
        pass(10).await;
        drop(w.head("/").await);
        assert_eq!(w.get("/").told().await, "200 content (stale)", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s4_stale_if_error_is_for_head_too() {
    let w = world();
    w.origin.says("/", ok("content").says("max-age=10, stale-if-error=1000"));
    w.origin.says("/", answer(503));
    w.origin.says("/", fail());
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(10).await;
    assert_eq!(w.head("/").await.status, 200);
    assert_eq!(w.head("/").outcome().await.map(|reply| reply.status), Ok(200));
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_a_head_may_be_stale_while_a_get_refreshes() {
    let w = world();
    w.origin.says("/", ok("a").says("max-age=10, stale-while-revalidate=10"));
    w.origin.says("/", ok("b").max_age(10));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(w.head("/").told().await, "200  (stale-hit)");
    assert_eq!(w.origin.last().method, "GET", "what is refreshed is the stored GET");
    assert_eq!(w.get("/").told().await, "200 b (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_never_puts_an_old_head_on_new_content() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (slow, hold) = answer(200).max_age(1_000).etag("\"a\"").held();
    w.origin.says("/", slow);
    w.origin.says("/", ok("b").max_age(100).etag("\"b\""));
    w.origin.always("/", |_| ok("c").max_age(100).etag("\"c\""));
    let head = w.head("/").start_told();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (stale)");
    hold.release();
    assert_eq!(head.await.unwrap(), "200  (stale)");
    settle().await;
    let reply = w.get("/").await;
    let etag = reply.field("etag").unwrap_or_default().to_owned();
    assert_eq!(etag, format!("\"{}\"", reply.text().await), "head and content belong together");
}

#[tokio::test(start_paused = true)]
async fn s3_5_a_head_for_authorization_freshens_only_what_it_permits_itself() {
    for (says, known) in
        [(Some("public, max-age=20"), Some("b")), (Some("max-age=20"), None), (None, None)]
    {
        let w = world();
        w.origin.says("/", ok("content").says("public, max-age=10").etag("\"a\""));
        assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
        pass(10).await;
        let update = answer(200).etag("\"a\"").header("x-for", "b");
        w.origin.says("/", says.into_iter().fold(update, |update, says| update.says(says)));
        let own = w.head("/").header("authorization", "Bearer b").await;
        assert_eq!(own.field("x-for"), Some("b"), "{says:?}");
        settle().await;
        w.origin.says("/", answer(304).says("public, max-age=10").etag("\"a\""));
        assert_eq!(w.get("/").await.field("x-for"), known, "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_the_inner_service_declines_changes_no_stored_fields() {
    let w = world();
    w.origin.says("/", ok("content").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
    pass(10).await;
    let update = answer(200).max_age(60).etag("\"a\"").header("x-for", "b");
    w.origin.says("/", update.extension(DoNotStore));
    assert_eq!(w.head("/").await.field("x-for"), Some("b"), "who asked gets it");
    settle().await;
    w.origin.says("/", ok("new").max_age(10));
    let reply = w.get("/").await;
    assert_eq!(reply.field("x-for"), None);
    assert_eq!(reply.told().await, "200 new (uri-miss)", "as with a 304, nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn s4_3_5_a_head_with_another_success_than_200_says_nothing_of_the_stored_get() {
    // Servers that do not look at the method when they look at Range answer with 206.
    for status in [204, 206] {
        let w = world();
        let keeps = "max-age=10, stale-if-error=1000";
        w.origin.says("/", ok("content").says(keeps).etag("\"a\""));
        assert_eq!(w.get("/").told().await, "200 content (uri-miss)");
        pass(10).await;
        let update = answer(status).max_age(10).etag("\"b\"").header("content-length", "1");
        w.origin.says("/", update.header("content-range", "bytes 0-0/7"));
        assert_eq!(w.head("/").header("range", "bytes=0-0").await.status, status);
        settle().await;
        w.origin.says("/", fail());
        assert_eq!(w.get("/").told().await, "200 content (stale)", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_a_late_head_changes_nothing_that_was_validated_since() {
    let lates = [
        (answer(200).max_age(1_000).etag("\"a\""), "it freshens nothing"),
        (answer(200).max_age(1_000).etag("\"b\""), "it removes nothing"),
    ];
    for (late, why) in lates {
        let w = world();
        w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
        assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
        pass(10).await;
        let (slow, hold) = late.header("x-new", "head").held();
        w.origin.says("/", slow);
        w.origin.always("/", |_| answer(304).max_age(5).etag("\"a\"").header("x-new", "get"));
        let head = w.head("/").start_told();
        settle().await;
        assert_eq!(w.get("/").told().await, "200 a (stale)");
        hold.release();
        assert_eq!(head.await.unwrap(), "200  (stale)", "who asked gets it");
        settle().await;
        let hit = w.get("/").await;
        assert_eq!((hit.how().as_str(), hit.field("x-new")), ("hit", Some("get")), "{why}");
        pass(6).await;
        assert_eq!(w.get("/").told().await, "200 a (stale)", "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_a_late_304_changes_nothing_that_a_head_has_freshened_since() {
    let w = world();
    w.origin.says("/", ok("a").max_age(10).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    let (slow, hold) = answer(304).max_age(1_000).etag("\"a\"").held();
    w.origin.says("/", slow);
    w.origin.says("/", answer(200).max_age(5).etag("\"a\"").header("x-new", "head"));
    let get = w.get("/").start_told();
    settle().await;
    assert_eq!(w.head("/").told().await, "200  (stale)");
    hold.release();
    assert_eq!(get.await.unwrap(), "200 a (stale)");
    settle().await;
    assert_eq!(w.get("/").await.field("x-new"), Some("head"));
    pass(6).await;
    assert_ne!(w.get("/").await.how(), "hit");
}
