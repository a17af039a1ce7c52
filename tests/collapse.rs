//! Collapsed requests (RFC 9111 section 4): one fetch for all who ask at once.
mod support;

use std::time::Duration;
use support::{
    World, answer, fail, hang, ok, panics, pass, pass_for, seconds, settle, world, world_of,
};
use tokio::task::JoinHandle;
use tower_cdn::{CachePolicy, Detail};

fn crowd(w: &World, count: usize) -> Vec<JoinHandle<String>> {
    (0..count).map(|_| w.get("/").start_told()).collect()
}

/// What they were told, and how many of them each.
async fn told(crowd: Vec<JoinHandle<String>>) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for one in crowd {
        *counts.entry(one.await.unwrap()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn outcomes(counts: &[(&str, usize)]) -> Vec<(String, usize)> {
    counts.iter().map(|(told, count)| ((*told).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn s4_a_thousand_requests_and_one_fetch() {
    let w = world();
    let (slow, hold) = ok("a").max_age(60).held();
    w.origin.says("/", slow);
    let crowd = crowd(&w, 1_000);
    settle().await;
    assert_eq!(w.stats().fetches, 1);
    hold.release();
    assert_eq!(told(crowd).await, outcomes(&[("200 a (uri-miss)", 1), ("200 a (uri-miss+)", 999)]));
    assert_eq!(w.origin.count(), 1);
    w.assert_idle().await;
    assert_eq!((w.stats().collapsed, w.stats().forwarded, w.stats().stored), (999, 1_000, 1));
}

#[tokio::test(start_paused = true)]
async fn other_keys_do_not_wait() {
    let w = world();
    w.origin.says("/", hang());
    w.origin.says("/other", ok("a").max_age(60));
    let _waiting = w.get("/").start_told();
    settle().await;
    assert_eq!(w.get("/other").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn followers_are_released_at_once_when_it_is_private_and_the_key_is_remembered() {
    let w = world();
    let (slow, hold) = ok("mine").says("private").held();
    w.origin.says("/", slow);
    w.origin.always("/", |_| ok("own").says("private"));
    let first = crowd(&w, 1);
    settle().await;
    let others = crowd(&w, 9);
    settle().await;
    assert_eq!(w.origin.count(), 1);
    hold.release();
    assert_eq!(told(first).await, outcomes(&[("200 mine (uri-miss)", 1)]));
    assert_eq!(told(others).await, outcomes(&[("200 own (uri-miss)", 9)]));
    assert_eq!(w.origin.count(), 10);

    // For ten seconds nobody waits for anybody.
    pass(9).await;
    for _ in 0..3 {
        w.origin.says("/", hang());
    }
    let _apart: Vec<_> = crowd(&w, 3);
    settle().await;
    assert_eq!(w.origin.count(), 13);
    let reply = w.get("/").await;
    assert_eq!(reply.cache().detail(), Some(Detail::Unshareable));

    // Then it is tried again.
    pass(11).await;
    let (slow, hold) = ok("all").max_age(60).held();
    w.origin.says("/", slow);
    let together = crowd(&w, 5);
    settle().await;
    assert_eq!(w.origin.count(), 15);
    hold.release();
    assert_eq!(
        told(together).await,
        outcomes(&[("200 all (uri-miss)", 1), ("200 all (uri-miss+)", 4)])
    );
}

#[tokio::test(start_paused = true)]
async fn what_becomes_shareable_is_shared_at_once() {
    let w = world();
    w.origin.says("/", ok("mine").says("private"));
    w.origin.says("/", ok("all").max_age(60));
    assert_eq!(w.get("/").told().await, "200 mine (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 all (uri-miss)", "remembered, but it may be stored");
    assert_eq!(w.get("/").told().await, "200 all (hit)");
}

#[tokio::test(start_paused = true)]
async fn nothing_private_is_ever_shared() {
    for (says, name, value) in [
        ("private, max-age=60", "x-none", "1"),
        ("no-store", "x-none", "1"),
        ("max-age=60", "set-cookie", "a=b"),
        ("max-age=60", "vary", "*"),
        ("max-age=60", "content-type", "text/event-stream"),
    ] {
        let w = world();
        let mut n = 0;
        w.origin.always("/", move |_| {
            n += 1;
            ok(n.to_string()).says(says).header(name, value)
        });
        let mut all: Vec<_> =
            told(crowd(&w, 20)).await.into_iter().map(|(_, count)| count).collect();
        all.dedup();
        assert_eq!(all, [1], "{says} {name}: everyone has an answer of its own");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn authorization_of_the_leader_is_not_for_the_followers() {
    let w = world();
    let (slow, hold) = ok("secret").max_age(60).held();
    w.origin.says("/", slow);
    w.origin
        .always("/", |seen| ok(seen.field("authorization").unwrap_or("-").to_owned()).max_age(60));
    let leader = w.get("/").header("authorization", "secret").start_told();
    settle().await;
    let followers = crowd(&w, 5);
    settle().await;
    assert_eq!(w.origin.count(), 1, "they wait for the leader");
    hold.release();
    assert_eq!(leader.await.unwrap(), "200 secret (uri-miss)");
    for (told, _) in told(followers).await {
        assert!(told.starts_with("200 - "), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_cancels_nothing() {
    let w = world();
    let (slow, hold) = ok("a").max_age(60).held();
    w.origin.says("/", slow);
    let leader = w.get("/").start();
    settle().await;
    let followers = crowd(&w, 3);
    settle().await;
    leader.abort();
    settle().await;
    assert!(!hold.is_cancelled());
    hold.release();
    assert_eq!(told(followers).await, outcomes(&[("200 a (uri-miss+)", 3)]));
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_alone_still_fills_the_store() {
    let w = world();
    let (slow, hold) = ok("a").max_age(60).held();
    w.origin.says("/", slow);
    let leader = w.get("/").start();
    settle().await;
    leader.abort();
    hold.release();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_fails_one_of_those_who_waited_tries_again() {
    for failure in [fail(), panics()] {
        let w = world();
        let (slow, hold) = failure.held();
        w.origin.says("/", slow);
        let (second, second_hold) = ok("a").max_age(60).held();
        w.origin.says("/", second);
        let leader = w.get("/").start_outcome();
        settle().await;
        let followers = crowd(&w, 10);
        settle().await;
        hold.release();
        settle().await;
        assert_eq!(w.origin.count(), 2, "one of them, not all");
        assert!(!matches!(leader.await, Ok(Ok(_))), "the leader gets the failure");
        second_hold.release();
        assert_eq!(
            told(followers).await,
            outcomes(&[("200 a (uri-miss)", 1), ("200 a (uri-miss+)", 9)])
        );
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_it_fails_again_it_is_each_for_himself() {
    let w = world();
    let (first, hold_first) = fail().held();
    let (second, hold_second) = fail().held();
    w.origin.says("/", first);
    w.origin.says("/", second);
    w.origin.always("/", |_| hang());
    let crowd: Vec<_> = (0..10).map(|_| w.get("/").start_outcome()).collect();
    settle().await;
    assert_eq!(w.origin.count(), 1);
    hold_first.release();
    settle().await;
    assert_eq!(w.origin.count(), 2, "they took their seats again, once");
    hold_second.release();
    settle().await;
    assert_eq!(w.origin.count(), 10, "nobody waits a third time");
    assert_eq!(crowd.iter().filter(|asked| asked.is_finished()).count(), 2);
    crowd.iter().for_each(JoinHandle::abort);
    pass(30).await;
    w.assert_idle().await;
    assert_eq!(w.origin.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn followers_wait_no_longer_than_the_wait_timeout() {
    let w = world();
    w.origin.says("/", hang());
    w.origin.always("/", |_| ok("own").max_age(60));
    let leader = w.get("/").start_told();
    settle().await;
    let follower = w.get("/").start();
    pass_for(Duration::from_millis(2_999)).await;
    assert!(!follower.is_finished());
    pass_for(Duration::from_millis(1)).await;
    let reply = follower.await.unwrap();
    assert_eq!(reply.cache().detail(), Some(Detail::WaitTimeout));
    assert_eq!(reply.told().await, "200 own (uri-miss)");
    settle().await;
    assert!(w.store.is_empty(), "forwarded without storing");
    assert!(!leader.is_finished(), "the leader waits on, as without a cache");
}

#[tokio::test(start_paused = true)]
async fn the_wait_timeout_counts_all_of_the_waiting() {
    let w = world();
    let (first, hold) = fail().held();
    w.origin.says("/", first);
    w.origin.says("/", hang());
    w.origin.always("/", |_| ok("own").max_age(60));
    let _leader = w.get("/").start_outcome();
    settle().await;
    let followers: Vec<_> = (0..2).map(|_| w.get("/").start_told()).collect();
    pass(2).await;
    hold.release();
    settle().await;
    assert_eq!(w.origin.count(), 2, "one of the two leads now, and hangs");
    pass(1).await;
    assert_eq!(
        followers.iter().filter(|asked| asked.is_finished()).count(),
        1,
        "three seconds in all"
    );
}

#[tokio::test(start_paused = true)]
async fn the_conditions_of_who_is_forwarded_alone_are_his_own() {
    let w = world();
    w.origin.says("/", hang());
    w.origin.says("/", answer(304).etag("\"mine\""));
    let _leader = w.get("/").start_told();
    settle().await;
    let follower =
        w.get("/").header("if-none-match", "\"mine\"").header("range", "bytes=0-1").start_told();
    pass(3).await;
    assert_eq!(follower.await.unwrap(), "304  (uri-miss)");
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"mine\""));
    assert_eq!(w.origin.last().field("range"), Some("bytes=0-1"));
}

#[tokio::test(start_paused = true)]
async fn a_hung_leader_does_not_hold_the_seat_for_ever() {
    let w = world();
    w.origin.says("/", hang());
    w.origin.says("/", ok("a").max_age(60));
    let _leader = w.get("/").start_told();
    pass(30).await;
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn followers_get_the_first_byte_while_the_body_is_arriving() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let mut leader = w.get("/").await;
    feed.chunk("one ");
    settle().await;
    assert_eq!(leader.chunk_now().await.as_deref(), Some("one "));
    let mut follower = w.get("/").await;
    assert_eq!(follower.how(), "uri-miss+");
    assert_eq!(follower.chunk_now().await.as_deref(), Some("one "), "from the start");
    assert!(leader.is_waiting().await && follower.is_waiting().await);
    feed.chunk("two");
    settle().await;
    for reply in [&mut leader, &mut follower] {
        assert_eq!(reply.chunk_now().await.as_deref(), Some("two"));
        assert!(reply.is_waiting().await);
    }
    feed.end();
    assert_eq!(leader.text().await, "");
    assert_eq!(follower.text().await, "");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 one two (hit)");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_what_is_stale_while_it_arrives() {
    let w = world();
    let (response, feed) = ok("").max_age(10).fed();
    w.origin.says("/", response);
    w.origin.says("/", ok("b").max_age(60));
    let first = w.get("/").start_told();
    pass(10).await;
    assert_eq!(w.get("/").told().await, "200 b (uri-miss)");
    feed.chunk("a");
    feed.end();
    assert_eq!(first.await.unwrap(), "200 a (uri-miss)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)", "the newer one stays");
}

#[tokio::test(start_paused = true)]
async fn s4_what_may_not_be_reused_without_validation_is_not_shared() {
    for says in ["no-cache", "max-age=0", "max-age=0, must-revalidate"] {
        let w = world();
        let (slow, hold) = ok("a").says(says).etag("\"a\"").held();
        w.origin.says("/", slow);
        w.origin.always("/", move |_| ok("own").says(says).etag("\"own\""));
        let crowd = crowd(&w, 5);
        settle().await;
        assert_eq!(w.origin.count(), 1);
        hold.release();
        let expected = [("200 a (uri-miss)", 1), ("200 own (uri-miss)", 4)];
        assert_eq!(told(crowd).await, outcomes(&expected), "{says}");
        assert_eq!(w.origin.count(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn rfc5861_s3_what_may_be_reused_while_it_is_stale_is_shared() {
    let w = world();
    let (slow, hold) = ok("a").says("max-age=0, stale-while-revalidate=60").held();
    w.origin.says("/", slow);
    let crowd = crowd(&w, 5);
    settle().await;
    hold.release();
    let expected = [("200 a (uri-miss)", 1), ("200 a (uri-miss+)", 4)];
    assert_eq!(told(crowd).await, outcomes(&expected));
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn limits_of_any_size_do_no_harm() {
    for limit in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
        let policy = CachePolicy::default()
            .wait_timeout(limit)
            .stall_timeout(limit)
            .stale_deadline(limit)
            .unshareable_for(limit)
            .min_ttl(limit)
            .max_ttl(limit)
            .stale_if_error(limit)
            .stale_while_revalidate(limit);
        // No time to answer in is no answer in time.
        let policy =
            if limit.is_zero() { policy } else { policy.fetch_timeout(limit).store_timeout(limit) };
        let w = world_of(policy);
        w.origin.always("/", |_| ok("a").max_age(60).etag("\"a\""));
        w.origin.always("/mine", |_| ok("a").says("private"));
        for target in ["/", "/mine"] {
            for _ in 0..3 {
                let all: Vec<_> = (0..3).map(|_| w.get(target).start()).collect();
                for reply in all {
                    let reply = reply.await.unwrap();
                    assert_eq!(
                        (reply.status, reply.text().await.as_str()),
                        (200, "a"),
                        "{limit:?} {target}"
                    );
                }
                pass(100).await;
            }
        }
        w.assert_idle().await;
    }
    let nothing = CachePolicy::default().max_object(0).max_variants(0).max_fetches(0).window(0);
    let w = world_of(nothing.max_head(0));
    w.origin.always("/", |_| ok("a").max_age(60).vary("x-a"));
    for _ in 0..3 {
        assert_eq!(w.get("/").header("x-a", "1").await.text().await, "a");
    }
    let w = world_of(CachePolicy::default().window(0).max_variants(0));
    w.origin.always("/", |_| ok("").max_age(60).vary("x-a").chunks(&["a", "b"]));
    for _ in 0..3 {
        assert_eq!(w.get("/").header("x-a", "1").await.text().await, "ab");
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_of_fetches_requests_are_forwarded_without_the_cache() {
    let w = world_of(CachePolicy::default().max_fetches(2));
    for path in ["/1", "/2"] {
        w.origin.says(path, hang());
    }
    w.origin.always("/3", |_| ok("a").max_age(60));
    let fetching: Vec<_> = ["/1", "/2"].map(|path| w.get(path).start()).into();
    settle().await;
    assert_eq!(w.stats().fetches, 2);
    for _ in 0..2 {
        let reply = w.get("/3").await;
        assert_eq!(reply.cache().detail(), Some(Detail::FetchLimit));
        assert_eq!(reply.told().await, "200 a (uri-miss)");
    }
    fetching.iter().for_each(JoinHandle::abort);
    pass(30).await;
    assert_eq!(w.get("/3").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/3").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn without_collapsing_each_fetches_for_itself_and_stores() {
    let w = world_of(CachePolicy::default().collapse(false));
    let mut holds = Vec::new();
    for _ in 0..3 {
        let (slow, hold) = ok("a").max_age(60).held();
        w.origin.says("/", slow);
        holds.push(hold);
    }
    let crowd = crowd(&w, 3);
    settle().await;
    assert_eq!(w.origin.count(), 3);
    holds.into_iter().for_each(support::Hold::release);
    assert_eq!(told(crowd).await, outcomes(&[("200 a (uri-miss)", 3)]));
    settle().await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn without_collapsing_conditions_of_clients_stay_here_too() {
    let w = world_of(CachePolicy::default().collapse(false));
    w.origin.always("/", |_| ok("a").says("max-age=10, stale-if-error=100").etag("\"a\""));
    assert_eq!(w.get("/").header("if-none-match", "\"mine\"").told().await, "200 a (uri-miss)");
    assert_eq!(w.origin.last().field("if-none-match"), None, "its answer may be stored");
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    pass(10).await;
    w.origin.says("/", answer(503));
    assert_eq!(
        w.get("/").header("if-none-match", "\"a\"").told().await,
        "304  (stale)",
        "stale-if-error"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_timeout_of_the_operators_choice() {
    let w = world_of(CachePolicy::default().wait_timeout(seconds(1)).unshareable_for(seconds(1)));
    w.origin.says("/", hang());
    w.origin.says("/", ok("own").max_age(60));
    let _leader = w.get("/").start();
    settle().await;
    let follower = w.get("/").start_told();
    pass(1).await;
    assert_eq!(follower.await.unwrap(), "200 own (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn what_is_private_is_dropped_when_its_client_has_left() {
    let w = world();
    let (response, feed) = ok("").says("private").fed();
    let (slow, hold) = response.held();
    w.origin.says("/", slow);
    w.origin.always("/", |_| ok("own").says("private"));
    let leader = w.get("/").start();
    settle().await;
    let followers = crowd(&w, 3);
    settle().await;
    leader.abort();
    settle().await;
    hold.release();
    assert_eq!(told(followers).await, outcomes(&[("200 own (uri-miss)", 3)]));
    assert!(feed.is_dropped(), "nobody else may have it");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn one_variant_that_cannot_be_shared_does_not_part_the_others() {
    let w = world();
    w.origin.says("/", ok("en").max_age(1).vary("x-a"));
    w.origin.says("/", ok("mine").says("private").vary("x-a"));
    assert_eq!(w.get("/").header("x-a", "1").told().await, "200 en (uri-miss)");
    assert_eq!(w.get("/").header("x-a", "2").told().await, "200 mine (vary-miss)");
    let (slow, hold) = ok("three").max_age(60).vary("x-a").held();
    w.origin.says("/", slow);
    let together: Vec<_> = (0..5).map(|_| w.get("/").header("x-a", "3").start_told()).collect();
    settle().await;
    assert_eq!(w.origin.count(), 3);
    hold.release();
    let expected = [("200 three (vary-miss)", 1), ("200 three (vary-miss+)", 4)];
    assert_eq!(told(together).await, outcomes(&expected));
}

#[tokio::test(start_paused = true)]
async fn what_arrives_is_joined_while_another_uri_is_invalidated() {
    // The table of flights is asked twice here: it must not wait for itself.
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    w.origin.says("/other", answer(204));
    let first = w.get("/").start_told();
    settle().await;
    let (pending, hold) = ok("p").max_age(60).held();
    w.origin.says("/pending", pending);
    let pending = w.get("/pending").start_told();
    settle().await;
    w.post("/other").told().await;
    let second = w.get("/").start_told();
    settle().await;
    feed.chunk("a");
    feed.end();
    assert_eq!(first.await.unwrap(), "200 a (uri-miss)");
    assert_eq!(second.await.unwrap(), "200 a (uri-miss+)", "another URI was invalidated");
    hold.release();
    assert_eq!(pending.await.unwrap(), "200 p (uri-miss)");
}
