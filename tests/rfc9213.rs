//! Requirements of RFC 9213 that no other story shows; `docs/conformance.md` lists all of them.
mod support;

use support::{Answer, World, answer, ok, pass, seconds, settle, world, world_of};
use tower_cdn::CachePolicy;

fn cdn(value: &str) -> Answer {
    ok("a").header("cdn-cache-control", value)
}

/// Is the answer reused?
async fn is_reused(w: &World, first: Answer) -> bool {
    w.origin.says("/", first);
    w.origin.says("/", ok("b"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    w.get("/").told().await == "200 a (hit)"
}

async fn reused(answer: Answer) -> bool {
    is_reused(&world(), answer).await
}

#[tokio::test(start_paused = true)]
async fn s2_1_all_lines_are_one_dictionary_and_parameters_mean_nothing() {
    assert!(reused(cdn("max-age=60;x=1;y, must-revalidate;z=\"no-store\"").says("no-store")).await);
    let two = cdn("max-age=60").header("cdn-cache-control", "no-store");
    assert!(!reused(two).await, "the second line counts");
    let broken = cdn("max-age=60").header("cdn-cache-control", "&&&");
    assert!(!reused(broken).await, "a broken line breaks the field");
}

#[tokio::test(start_paused = true)]
async fn s2_1_values_of_another_type_are_not_consumed() {
    for value in [
        "max-age=60.5",
        "max-age=\"60\"",
        "max-age=?1",
        "max-age=(60)",
        "max-age=:AA==:",
        "max-age=sixty",
    ] {
        assert!(!reused(cdn(value)).await, "{value}: it is no integer");
    }
    assert!(reused(cdn("max-age=60, public=1, no-store=?0")).await);
}

#[tokio::test(start_paused = true)]
async fn s2_1_an_empty_or_broken_field_is_as_if_absent() {
    for broken in ["", " ", "max-age=60,", "max-age=60 public", "Max-Age=60", "=60", "public,,"] {
        assert!(reused(cdn(broken).max_age(60)).await, "[{broken}]: Cache-Control counts");
        assert!(!reused(cdn(broken).says("no-store, max-age=60")).await, "[{broken}]");
        assert!(!reused(cdn(broken)).await, "[{broken}]: nothing else is there");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_1_a_broken_field_that_seems_to_forbid_storing_forbids_it() {
    for broken in
        ["PRIVATE", "No-Store", "no-store,", "max-age=60 x, private=\"a\",,", "&, no-store"]
    {
        assert!(!reused(cdn(broken).max_age(60)).await, "[{broken}]");
    }
    assert!(reused(cdn("no-cache,").max_age(60)).await, "as if absent in all else");
    let second = cdn("PRIVATE").header("cdn-cache-control", "max-age=60");
    assert!(!reused(second).await, "also in one of several lines");
}

#[tokio::test(start_paused = true)]
async fn s2_2_the_first_valid_field_of_the_list_counts() {
    let policy = CachePolicy::default()
        .target_list(vec!["a-cache-control".parse().unwrap(), "b-cache-control".parse().unwrap()]);
    for (a, b, cache_control, expected) in [
        ("max-age=60", "no-store", "no-store", true),
        ("no-store", "max-age=60", "max-age=60", false),
        ("&&&", "max-age=60", "no-store", true),
        ("", "max-age=60", "no-store", true),
        ("&&&", "no-store", "max-age=60", false),
        ("&&&", "", "max-age=60", true),
    ] {
        let w = world_of(policy.clone());
        let answer = ok("a").header("a-cache-control", a).header("b-cache-control", b);
        let is = is_reused(&w, answer.says(cache_control)).await;
        assert_eq!(is, expected, "{a} | {b} | {cache_control}");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_2_cache_control_and_expires_are_ignored_beside_it() {
    let w = world();
    let expires = w.date(1_000);
    for forbids in ["no-store", "private", "no-cache", "max-age=0", "s-maxage=0"] {
        assert!(reused(cdn("max-age=60").says(forbids)).await, "{forbids}");
    }
    assert!(reused(cdn("max-age=60").header("expires", "0")).await);
    assert!(!reused(cdn("must-revalidate").header("expires", &expires)).await);
    assert!(!reused(cdn("must-revalidate").max_age(60)).await);
    let w = world_of(CachePolicy::default().stale_if_error(seconds(1_000)));
    w.origin.says("/", cdn("max-age=10").says("must-revalidate"));
    w.get("/").told().await;
    pass(10).await;
    w.origin.says("/", answer(503));
    assert_eq!(w.get("/").told().await, "200 a (stale)", "must-revalidate is not for this cache");
}

#[tokio::test(start_paused = true)]
async fn s2_2_fields_that_are_not_on_the_list_change_nothing_and_are_passed_on() {
    let w = world();
    let others = [
        ("other-cache-control", "no-store"),
        ("surrogate-control", "no-store"),
        ("cdn-cache", "x"),
    ];
    let response =
        others.iter().fold(ok("a").max_age(60), |a, (name, value)| a.header(name, value));
    w.origin.says("/", response);
    for how in ["uri-miss", "hit"] {
        let reply = w.get("/").await;
        assert_eq!(reply.how(), how);
        for (name, value) in others {
            assert_eq!(reply.field(name), Some(value), "{how}");
        }
        drop(reply.told().await);
        settle().await;
    }
    assert!(
        !reused(ok("a").header("other-cache-control", "max-age=60")).await,
        "nor do they permit"
    );
}

#[tokio::test(start_paused = true)]
async fn s2_2_max_age() {
    let w = world();
    w.origin.says("/", cdn("max-age=10"));
    w.origin.says("/", ok("b"));
    w.get("/").told().await;
    pass(9).await;
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    pass(1).await;
    assert_eq!(w.get("/").told().await, "200 b (stale)");
}

#[tokio::test(start_paused = true)]
async fn s2_2_must_revalidate() {
    let policy = CachePolicy::default()
        .stale_if_error(seconds(1_000))
        .stale_while_revalidate(seconds(1_000));
    for (says, expected) in
        [("max-age=10", "200 a (stale-hit)"), ("max-age=10, must-revalidate", "503  (stale)")]
    {
        let w = world_of(policy.clone());
        w.origin.says("/", cdn(says));
        w.get("/").told().await;
        pass(10).await;
        w.origin.says("/", answer(503));
        assert_eq!(w.get("/").told().await, expected, "{says}");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_2_no_store_and_private() {
    for says in ["no-store, max-age=60", "private, max-age=60", "max-age=60, no-store;x"] {
        let w = world();
        assert!(!is_reused(&w, cdn(says).says("public, max-age=60")).await, "{says}");
        assert!(w.store.is_empty(), "{says}");
    }
    let w = world();
    assert!(is_reused(&w, cdn("max-age=60, private=\"x-mine\"").header("x-mine", "1")).await);
    w.origin.says("/two", cdn("max-age=60, private=\"x-mine\"").header("x-mine", "1"));
    w.get("/two").told().await;
    assert_eq!(w.get("/two").await.field("x-mine"), None);
}

#[tokio::test(start_paused = true)]
async fn s2_2_no_cache() {
    let w = world();
    w.origin.says("/", cdn("no-cache, max-age=60").etag("\"a\"").max_age(60));
    w.origin.says("/", answer(304).etag("\"a\""));
    w.get("/").told().await;
    assert_eq!(w.get("/").told().await, "200 a (stale)");
    assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""));
}

#[tokio::test(start_paused = true)]
async fn s2_2_other_directives_that_are_known_and_those_that_are_not() {
    let w = world();
    w.origin
        .says("/", cdn("max-age=10, stale-while-revalidate=10, x-unknown=(1 2), y=\"no-store\""));
    w.get("/").told().await;
    pass(15).await;
    w.origin.says("/", ok("b"));
    assert_eq!(w.get("/").told().await, "200 a (stale-hit)");
    assert!(reused(cdn("s-maxage=60, max-age=0")).await);
    assert!(reused(cdn("max-age=60, public").header("set-cookie", "a=b")).await);
}
