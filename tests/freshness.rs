//! Freshness and age (RFC 9111 section 4.2), targeted fields (RFC 9213), the policy's clamp.
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use support::{
    Answer, Reply, World, answer, ok, pass, pass_for, seconds, world, world_of, world_with,
};
use tower_cdn::{CachePolicy, Clock};

/// How long the answer is fresh, found out by asking: in seconds, with a resolution of one.
async fn lifetime(policy: CachePolicy, answer: impl FnOnce(&World) -> Answer) -> i64 {
    let w = world_of(policy);
    let answer = answer(&w);
    w.origin.says("/", answer);
    let first = w.get("/").await;
    let ttl = first.cache().ttl();
    drop(first.told().await);
    support::settle().await;
    let Some(ttl) = ttl.filter(|ttl| *ttl > 0) else {
        assert_ne!(w.get("/").await.how(), "hit", "nothing is fresh without a ttl");
        return 0;
    };
    pass_for(seconds(ttl.unsigned_abs()) - std::time::Duration::from_millis(1_500)).await;
    assert_eq!(w.get("/").await.how(), "hit", "fresh until {ttl} s");
    pass(2).await;
    assert_ne!(w.get("/").await.how(), "hit", "stale after {ttl} s");
    ttl
}

#[tokio::test(start_paused = true)]
async fn s4_2_fresh_until_its_lifetime_is_over() {
    let w = world();
    w.origin.says("/", ok("one").max_age(60));
    w.origin.says("/", ok("two").max_age(60));
    assert_eq!(w.get("/").told().await, "200 one (uri-miss)");
    pass(59).await;
    assert_eq!(w.get("/").told().await, "200 one (hit)");
    pass(1).await;
    assert_eq!(w.get("/").told().await, "200 two (stale)");
    assert_eq!(w.get("/").told().await, "200 two (hit)");
    assert_eq!(w.origin.count(), 2);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn s4_2_1_order_of_what_tells_the_lifetime() {
    let default = CachePolicy::default;
    let of = async |policy, answer: Answer| lifetime(policy, |_| answer).await;
    assert_eq!(of(default(), ok("").says("max-age=10, s-maxage=20")).await, 20);
    assert_eq!(of(default(), ok("").says("s-maxage=5, max-age=10")).await, 5);
    assert_eq!(
        of(default(), ok("").says("max-age=10").says("max-age=20")).await,
        10,
        "the shorter"
    );
    assert_eq!(of(default(), ok("").says("MAX-AGE=\"15\"")).await, 15, "any case, quoted");
    let both =
        |w: &World| ok("").max_age(10).header("date", w.date(0)).header("expires", w.date(99));
    assert_eq!(lifetime(default(), both).await, 10, "max-age before Expires");
    let expires = |w: &World| ok("").header("date", w.date(0)).header("expires", w.date(30));
    let ttl = lifetime(default(), expires).await;
    assert!((29..=30).contains(&ttl), "Expires - Date, less the fraction of a second: {ttl}");
}

#[tokio::test(start_paused = true)]
async fn s4_2_1_what_cannot_be_read_is_stale() {
    for says in
        ["max-age=x", "max-age=-1", "max-age=1.5", "max-age", "max-age=", "s-maxage=x, max-age=60"]
    {
        let answer = ok("").says(says).etag("\"a\"");
        assert_eq!(lifetime(CachePolicy::default(), |_| answer).await, 0, "{says}");
    }
    for expires in ["0", "-1", "tomorrow", ""] {
        let answer = ok("").header("expires", expires).etag("\"a\"");
        assert_eq!(lifetime(CachePolicy::default(), |_| answer).await, 0, "Expires: {expires}");
    }
}

#[tokio::test(start_paused = true)]
async fn s1_2_2_huge_numbers_do_not_overflow() {
    let policy = CachePolicy::default().max_ttl(seconds(u64::MAX));
    let w = world_of(policy);
    w.origin.says("/", ok("a").says("max-age=99999999999999999999999999"));
    let ttl = w.get("/").await.cache().ttl();
    assert_eq!(ttl, Some(1 << 31));
    w.origin.says("/old", ok("a").max_age(60).header("age", "99999999999999999999999999"));
    w.origin.says("/old", ok("b").max_age(60));
    assert_eq!(w.get("/old").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/old").told().await, "200 b (stale)");
}

#[tokio::test(start_paused = true)]
async fn s4_2_2_heuristic_only_where_the_policy_says_so() {
    let modified =
        |w: &World| ok("").header("date", w.date(0)).header("last-modified", w.date(-1_000));
    assert_eq!(lifetime(CachePolicy::default(), modified).await, 0);
    assert_eq!(lifetime(CachePolicy::rfc9111(), modified).await, 100);
    let longest = CachePolicy::default().heuristic_freshness(0.5, seconds(20));
    assert_eq!(lifetime(longest, modified).await, 20);
    let teapot =
        |w: &World| answer(418).header("date", w.date(0)).header("last-modified", w.date(-1_000));
    assert_eq!(lifetime(CachePolicy::rfc9111(), teapot).await, 0, "not cacheable by heuristics");
}

#[tokio::test(start_paused = true)]
async fn s4_2_3_age_counts_what_was_before() {
    let w = world();
    w.origin.says("/age", ok("a").max_age(60).header("age", "50"));
    w.origin.says("/date", ok("a").max_age(60).header("date", w.date(-40)));
    let first = w.get("/age").await;
    assert_eq!(first.age(), Some(50), "an Age that was there is kept");
    drop(first.told().await);
    assert_eq!(w.get("/date").told().await, "200 a (uri-miss)");
    pass(5).await;
    assert_eq!(w.get("/age").await.age(), Some(55));
    assert_eq!(w.get("/date").await.age(), Some(45));
    pass(5).await;
    assert_eq!(w.get("/age").await.how(), "stale");
    assert_eq!(w.get("/date").await.how(), "hit");
}

#[tokio::test(start_paused = true)]
async fn s4_2_3_the_delay_of_the_answer_makes_it_older() {
    let w = world();
    let (slow, hold) = ok("a").max_age(60).header("age", "10").held();
    w.origin.says("/", slow);
    let asked = w.get("/").start_told();
    pass(7).await;
    hold.release();
    assert_eq!(asked.await.unwrap(), "200 a (uri-miss)");
    support::settle().await;
    let hit = w.get("/").await;
    assert_eq!((hit.how().as_str(), hit.age()), ("hit", Some(17)));
}

#[tokio::test(start_paused = true)]
async fn s5_1_age_on_stored_responses_only() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60));
    let first = w.get("/").await;
    assert_eq!(first.age(), None, "the origin has just generated it");
    assert_eq!(first.told().await, "200 a (uri-miss)");
    support::settle().await;
    assert_eq!(w.get("/").await.age(), Some(0));
    pass(3).await;
    assert_eq!(w.get("/").await.age(), Some(3));
    assert_eq!(
        w.get("/").header("age", "1000").await.age(),
        Some(3),
        "a client's Age means nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn s5_1_an_age_that_is_no_number_adds_no_life() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60).header("age", "old"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(59).await;
    assert_eq!(w.get("/").await.how(), "hit");
    pass(1).await;
    assert_eq!(w.get("/").await.how(), "stale");
}

#[tokio::test(start_paused = true)]
async fn s4_2_3_a_clock_that_steps_makes_nothing_younger() {
    let step = Arc::new(AtomicI64::new(0));
    let (clock, stepped) = (Clock::tokio(), Arc::clone(&step));
    let w = world_with(|builder| {
        builder.clock(Clock::from_fn(move || {
            let by = stepped.load(Ordering::SeqCst);
            let distance = seconds(by.unsigned_abs());
            if by < 0 { clock.now() - distance } else { clock.now() + distance }
        }))
    });
    w.origin.always("/", |_| ok("a").max_age(60));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(30).await;
    step.store(-1_000_000, Ordering::SeqCst);
    let hit = w.get("/").await;
    assert_eq!(
        (hit.how().as_str(), hit.age()),
        ("hit", Some(30)),
        "set back: the steady clock counts"
    );
    pass(31).await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    step.store(1_000_000, Ordering::SeqCst);
    assert_eq!(w.get("/").told().await, "200 a (stale)", "set forth: the wall clock counts");
}

#[tokio::test(start_paused = true)]
async fn policy_clamps_lifetimes() {
    let policy = CachePolicy::default;
    assert_eq!(lifetime(policy().min_ttl(seconds(30)), |_| ok("").max_age(5)).await, 30);
    assert_eq!(lifetime(policy().max_ttl(seconds(30)), |_| ok("").max_age(500)).await, 30);
    assert_eq!(lifetime(policy().default_ttl(seconds(30)), |_| ok("")).await, 30);
    assert_eq!(lifetime(policy().default_ttl(seconds(30)), |_| ok("").max_age(5)).await, 5);
    assert_eq!(lifetime(CachePolicy::cloudfront(), |_| ok("")).await, 24 * 60 * 60);
    for forbidden in ["no-store", "private"] {
        let answer = ok("").says(forbidden);
        assert_eq!(lifetime(policy().min_ttl(seconds(30)), |_| answer).await, 0, "{forbidden}");
    }
    let cookie = ok("").max_age(5).header("set-cookie", "a=b");
    assert_eq!(lifetime(policy().min_ttl(seconds(30)), |_| cookie).await, 0);
}

#[tokio::test(start_paused = true)]
async fn default_ttl_never_applies_to_what_blames_the_request() {
    for status in [400, 401, 403, 405, 411, 413, 414, 418, 421, 429, 431, 451, 501] {
        let policy = CachePolicy::cloudfront();
        let ttl = lifetime(policy, |_| answer(status).etag("\"a\"")).await;
        assert_eq!(ttl, 0, "{status}");
    }
    let day = seconds(24 * 60 * 60);
    let ttl = lifetime(CachePolicy::default().default_ttl(day), |_| answer(404)).await;
    assert_eq!(ttl, 24 * 60 * 60, "404 is about the resource");
    let ttl = lifetime(CachePolicy::cloudfront(), |_| answer(404)).await;
    assert_eq!(ttl, 10, "and an error");
    let ttl = lifetime(CachePolicy::default(), |_| answer(400).max_age(60)).await;
    assert_eq!(ttl, 60, "explicit freshness counts");
}

#[tokio::test(start_paused = true)]
async fn rfc9213_targeted_field_replaces_cache_control_and_expires() {
    let of = async |answer: Answer| lifetime(CachePolicy::default(), |_| answer).await;
    let cdn = |value: &str| ok("").header("cdn-cache-control", value);
    assert_eq!(of(cdn("max-age=20").says("no-store")).await, 20);
    assert_eq!(of(cdn("no-store").max_age(20)).await, 0);
    assert_eq!(of(cdn("max-age=\"").max_age(20)).await, 20, "an invalid one is ignored");
    assert_eq!(of(cdn("").max_age(20)).await, 20, "an empty one is ignored");
    let expires = |w: &World| {
        ok("").header("cdn-cache-control", "must-revalidate").header("expires", w.date(99))
    };
    assert_eq!(
        lifetime(CachePolicy::default(), expires).await,
        0,
        "Expires does not count beside it"
    );

    let w = world();
    w.origin.says("/", ok("").header("cdn-cache-control", "max-age=60").says("no-cache"));
    let both = |reply: &Reply| {
        let field = |name| reply.field(name).map(str::to_owned);
        (field("cdn-cache-control"), field("cache-control"))
    };
    let expected = (Some("max-age=60".to_owned()), Some("no-cache".to_owned()));
    let first = w.get("/").await;
    assert_eq!(both(&first), expected);
    drop(first.told().await);
    support::settle().await;
    let hit = w.get("/").await;
    assert_eq!((hit.how().as_str(), both(&hit)), ("hit", expected), "both are passed on");
}

#[tokio::test(start_paused = true)]
async fn rfc9213_target_list_is_the_operators() {
    let policy = CachePolicy::default().target_list(vec![
        "example-cache-control".parse().unwrap(),
        "cdn-cache-control".parse().unwrap(),
    ]);
    let answer = || {
        ok("")
            .header("cdn-cache-control", "max-age=10")
            .header("example-cache-control", "max-age=20")
    };
    assert_eq!(lifetime(policy, |_| answer()).await, 20);
    assert_eq!(
        lifetime(CachePolicy::default().target_list(vec![]), |_| answer().max_age(5)).await,
        5
    );
}

#[tokio::test(start_paused = true)]
async fn s5_2_1_request_directives_are_ignored_by_default() {
    let w = world();
    w.origin.says("/", ok("a").max_age(60));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    for directive in ["no-cache", "no-store", "max-age=0", "min-fresh=1000"] {
        assert_eq!(
            w.get("/").header("cache-control", directive).told().await,
            "200 a (hit)",
            "{directive}"
        );
    }
    assert_eq!(w.get("/").header("pragma", "no-cache").told().await, "200 a (hit)");
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn s5_2_1_request_directives_where_honoured() {
    let w = world_of(CachePolicy::default().honor_request_directives(true));
    w.origin.always("/", |_| ok("a").max_age(60));
    let ask = async |name, value| w.get("/").header(name, value).told().await;
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    pass(10).await;
    assert_eq!(ask("cache-control", "max-age=10").await, "200 a (hit)");
    assert_eq!(ask("cache-control", "min-fresh=50").await, "200 a (hit)");
    assert_eq!(ask("cache-control", "min-fresh=51").await, "200 a (request)");
    pass(10).await;
    assert_eq!(ask("cache-control", "max-age=9").await, "200 a (request)");
    assert_eq!(ask("cache-control", "no-cache").await, "200 a (request)");
    assert_eq!(ask("pragma", "no-cache").await, "200 a (request)");
    pass(65).await;
    assert_eq!(ask("cache-control", "max-stale=5").await, "200 a (stale-hit)");
    assert_eq!(ask("cache-control", "max-stale=4").await, "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn s5_2_1_5_no_store_of_a_request_where_honoured() {
    let w = world_of(CachePolicy::default().honor_request_directives(true));
    w.origin.always("/", |_| ok("a").max_age(60));
    assert_eq!(w.get("/").header("cache-control", "no-store").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn s5_2_1_7_only_if_cached() {
    for policy in [CachePolicy::default(), CachePolicy::rfc9111()] {
        let w = world_of(policy);
        let only = || w.get("/").header("cache-control", "only-if-cached");
        w.origin.always("/", |_| ok("a").max_age(60));
        assert_eq!(only().told().await, "504  (-)");
        assert_eq!(w.origin.count(), 0);
        assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
        assert_eq!(only().told().await, "200 a (hit)");
        pass(60).await;
        assert_eq!(only().told().await, "504  (-)", "stale is not usable");
        assert_eq!(w.origin.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s5_2_2_4_no_cache_is_validated_each_time() {
    let w = world();
    w.origin.says("/", ok("a").says("no-cache, max-age=60").etag("\"a\""));
    w.origin.always("/", |_| answer(304).etag("\"a\""));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""));
    assert_eq!(w.origin.count(), 3);
}
