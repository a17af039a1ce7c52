//! Stale responses (RFC 9111 section 4.2.4, RFC 5861), deadlines and timeouts.
mod support;

use support::{
    Answer, World, answer, fail, hang, ok, panics, pass, seconds, settle, world, world_of,
};
use tower_cdn::{CachePolicy, Detail};

/// "a" with these directives, stored ten seconds ago with a lifetime of ten.
async fn stale(w: &World, directives: &str) {
    w.origin.says("/", ok("a").says("max-age=10").says(directives).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_stale_to_everyone_and_one_refresh_behind() {
    let w = world();
    stale(&w, "stale-while-revalidate=30").await;
    let (slow, hold) = ok("b").max_age(10).held();
    w.origin.says("/", slow);
    for _ in 0..50 {
        assert_eq!(w.get("/").told().await, "200 a (stale-hit)");
    }
    assert_eq!(w.origin.count(), 2, "one refresh");
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""));
    hold.release();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_the_window_ends_where_the_directive_says() {
    for (staleness, expected) in
        [(0, "200 a (stale-hit)"), (29, "200 a (stale-hit)"), (30, "200 b (stale)")]
    {
        let w = world();
        stale(&w, "stale-while-revalidate=30").await;
        w.origin.always("/", |_| ok("b").max_age(10));
        pass(staleness).await;
        assert_eq!(w.get("/").told().await, expected, "{staleness} s stale");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_a_304_behind_freshens() {
    let w = world();
    stale(&w, "stale-while-revalidate=30").await;
    w.origin.says("/", answer(304).etag("\"a\"").header("date", w.date(0)));
    assert_eq!(w.get("/").told().await, "200 a (stale-hit)");
    let hit = w.get("/").await;
    assert_eq!((hit.how().as_str(), hit.age().is_some_and(|age| age <= 1)), ("hit", true));
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_a_refresh_that_fails_is_tried_again() {
    let w = world();
    stale(&w, "stale-while-revalidate=30, stale-if-error=5").await;
    w.origin.says("/", fail());
    w.origin.says("/", panics());
    w.origin.says("/", answer(503));
    w.origin.says("/", ok("b").max_age(10));
    for n in 0..4 {
        assert_eq!(w.get("/").told().await, "200 a (stale-hit)", "{n}");
        assert_eq!(w.origin.count(), n + 2);
    }
    assert_eq!(w.get("/").told().await, "200 b (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_conditions_of_the_client_are_answered_from_what_is_stale() {
    let w = world();
    stale(&w, "stale-while-revalidate=30").await;
    w.origin.always("/", |_| hang());
    assert_eq!(w.get("/").header("if-none-match", "\"a\"").told().await, "304  (stale-hit)");
    assert_eq!(w.get("/").header("range", "bytes=0-0").told().await, "206 a (stale-hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_2_4_what_forbids_stale_forbids_it_whatever_the_policy_says() {
    let policy = CachePolicy::default()
        .stale_while_revalidate(seconds(100))
        .stale_if_error(seconds(100))
        .stale_deadline(seconds(1));
    let both = "stale-while-revalidate=100, stale-if-error=100";
    for forbids in
        ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache", "MUST-REVALIDATE"]
    {
        let w = world_of(policy.clone());
        stale(&w, &format!("{forbids}, {both}")).await;
        w.origin.says("/", answer(503));
        assert_eq!(w.get("/").told().await, "503  (stale)", "{forbids}");
        w.origin.says("/", fail());
        assert!(w.get("/").outcome().await.is_err(), "{forbids}");
        let (slow, hold) = ok("b").max_age(10).held();
        w.origin.says("/", slow);
        let asked = w.get("/").start_told();
        pass(2).await;
        assert!(!asked.is_finished(), "{forbids}: no answer from what is stale");
        hold.release();
        let told = asked.await.unwrap();
        assert!(told.starts_with("200 b"), "{forbids}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s4_stale_if_error() {
    type Failure = (&'static str, fn() -> Answer);
    let failures: [Failure; 5] = [
        ("500", || answer(500)),
        ("502", || answer(502)),
        ("503", || answer(503)),
        ("504", || answer(504)),
        ("error", fail),
    ];
    for (name, failure) in failures {
        let w = world();
        stale(&w, "stale-if-error=30").await;
        w.origin.always("/", move |_| failure());
        let reply = w.get("/").await;
        assert_eq!(reply.age(), Some(10), "{name}");
        assert_eq!(reply.cache().detail(), Some(Detail::StaleIfError), "{name}");
        assert_eq!(reply.told().await, "200 a (stale)", "{name}");
        pass(29).await;
        assert_eq!(w.get("/").told().await, "200 a (stale)", "{name}: the window is open");
        pass(1).await;
        match w.get("/").outcome().await {
            Ok(reply) => assert_eq!(reply.status.to_string(), name, "the window is over"),
            Err(_) => assert_eq!(name, "error"),
        }
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s4_other_statuses_are_no_failure() {
    for status in [400, 403, 404, 501, 505] {
        let w = world();
        stale(&w, "stale-if-error=30").await;
        w.origin.says("/", answer(status));
        assert_eq!(w.get("/").told().await, format!("{status}  (stale)"));
    }
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_by_policy() {
    let w = world_of(CachePolicy::default().stale_if_error(seconds(30)));
    stale(&w, "public").await;
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    pass(30).await;
    assert_eq!(w.get("/").told().await, "503  (stale)");

    let w = world();
    stale(&w, "public").await;
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").told().await, "503  (stale)", "not by default");

    let w = world_of(CachePolicy::default().stale_if_error(seconds(1_000)));
    stale(&w, "stale-if-error=0").await;
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").told().await, "503  (stale)", "the response itself comes first");
}

#[tokio::test(start_paused = true)]
async fn followers_get_what_is_stale_when_the_origin_fails() {
    for failure in [answer(503), fail()] {
        let w = world();
        stale(&w, "stale-if-error=30").await;
        let (slow, hold) = failure.held();
        w.origin.says("/", slow);
        let asked: Vec<_> = (0..10).map(|_| w.get("/").start_told()).collect();
        settle().await;
        hold.release();
        for told in asked {
            let told = told.await.unwrap();
            assert!(told.starts_with("200 a (stale"), "{told}");
        }
        assert_eq!(w.origin.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_deadline_answers_before_a_slow_origin_and_the_fetch_goes_on() {
    let w = world_of(CachePolicy::default().stale_deadline(seconds(2)));
    stale(&w, "stale-if-error=100").await;
    let (slow, hold) = ok("b").max_age(60).held();
    w.origin.says("/", slow);
    let leader = w.get("/").start_told();
    let follower = w.get("/").start_told();
    pass_ms(1_999).await;
    assert!(!leader.is_finished() && !follower.is_finished());
    pass_ms(1).await;
    assert_eq!(leader.await.unwrap(), "200 a (stale)");
    assert_eq!(follower.await.unwrap(), "200 a (stale+)");
    hold.release();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)");
    assert_eq!(w.origin.count(), 2);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_deadline_holds_for_those_who_come_while_the_origin_is_slow() {
    let w = world_of(CachePolicy::default().stale_deadline(seconds(2)));
    stale(&w, "stale-if-error=100").await;
    w.origin.always("/", |_| hang());
    let leader = w.get("/").start_told();
    pass(2).await;
    assert_eq!(leader.await.unwrap(), "200 a (stale)");
    for _ in 0..5 {
        let late = w.get("/").start_told();
        pass_ms(1_999).await;
        assert!(!late.is_finished());
        pass_ms(1).await;
        assert_eq!(late.await.unwrap(), "200 a (stale+)");
    }
    assert_eq!(w.origin.count(), 2, "the slow origin has one request");
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s4_stale_if_error_holds_for_those_who_go_alone() {
    for failure in [|| answer(503), fail] {
        // They have waited for as long as they may.
        let w = world();
        stale(&w, "stale-if-error=100").await;
        w.origin.says("/", hang());
        w.origin.says("/", failure());
        let _leader = w.get("/").start();
        settle().await;
        let follower = w.get("/").start_told();
        pass(3).await;
        assert_eq!(follower.await.unwrap(), "200 a (stale)");
        // What does not fail goes on.
        w.origin.says("/", ok("b"));
        let follower = w.get("/").start_told();
        pass(3).await;
        assert_eq!(follower.await.unwrap(), "200 b (stale)");

        // Or there are too many fetches.
        let w = world_of(CachePolicy::default().max_fetches(1));
        stale(&w, "stale-if-error=100").await;
        w.origin.says("/other", hang());
        let _other = w.get("/other").start();
        settle().await;
        w.origin.says("/", failure());
        assert_eq!(w.get("/").told().await, "200 a (stale)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_deadline_holds_for_those_who_go_alone() {
    // Later than they go.
    let w = world_of(CachePolicy::default().stale_deadline(seconds(5)));
    stale(&w, "stale-if-error=100").await;
    w.origin.always("/", |_| hang());
    let leader = w.get("/").start_told();
    let follower = w.get("/").start_told();
    pass_ms(4_999).await;
    assert!(!leader.is_finished() && !follower.is_finished());
    assert_eq!(w.origin.count(), 3, "the follower went alone after three seconds");
    pass_ms(1).await;
    assert_eq!(leader.await.unwrap(), "200 a (stale)");
    assert_eq!(follower.await.unwrap(), "200 a (stale)");

    let w = world_of(CachePolicy::default().max_fetches(1).stale_deadline(seconds(2)));
    stale(&w, "stale-if-error=100").await;
    w.origin.says("/other", hang());
    let _other = w.get("/other").start();
    settle().await;
    w.origin.says("/", hang());
    let asked = w.get("/").start_told();
    pass(2).await;
    assert_eq!(asked.await.unwrap(), "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn a_stale_deadline_without_permission_waits() {
    let w = world_of(CachePolicy::default().stale_deadline(seconds(2)));
    stale(&w, "public").await;
    let (slow, hold) = ok("b").max_age(60).held();
    w.origin.says("/", slow);
    let asked = w.get("/").start_told();
    pass(5).await;
    assert!(!asked.is_finished());
    hold.release();
    assert_eq!(asked.await.unwrap(), "200 b (stale)");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_is_an_error_after_the_fetch_timeout() {
    let w = world();
    stale(&w, "stale-if-error=100").await;
    w.origin.says("/", hang());
    let asked = w.get("/").start_told();
    pass(29).await;
    assert!(!asked.is_finished());
    pass(1).await;
    assert_eq!(asked.await.unwrap(), "200 a (stale)");
    settle().await;
    assert_eq!(w.origin.under_way(), 0, "the fetch was given up");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_without_a_head_is_given_up_when_nobody_waits() {
    let w = world();
    w.origin.says("/", hang());
    let asked = w.get("/").start();
    settle().await;
    asked.abort();
    pass(29).await;
    assert_eq!((w.origin.under_way(), w.stats().fetches), (1, 1));
    pass(1).await;
    assert_eq!((w.origin.under_way(), w.stats().fetches), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_too_late_goes_to_the_one_who_waits_and_is_not_stored() {
    let w = world();
    let (slow, hold) = ok("late").max_age(60).held();
    w.origin.says("/", slow);
    w.origin.says("/", ok("next").max_age(60));
    let asked = w.get("/").start_told();
    pass(31).await;
    assert_eq!(w.stats().fetches, 0, "nobody can follow it any more");
    assert_eq!(w.get("/").told().await, "200 next (uri-miss)");
    hold.release();
    assert_eq!(asked.await.unwrap(), "200 late (uri-miss)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 next (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_late_fetch_is_cancelled_when_the_client_leaves() {
    let w = world();
    w.origin.says("/", hang());
    let asked = w.get("/").start();
    pass(31).await;
    assert_eq!(w.origin.under_way(), 1);
    asked.abort();
    settle().await;
    assert_eq!(w.origin.under_way(), 0);
}

async fn pass_ms(milliseconds: u64) {
    support::pass_for(std::time::Duration::from_millis(milliseconds)).await;
}
