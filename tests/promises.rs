//! What the cache promises to those who share it; `docs/security.md` tells which threat each story is about.
mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    convert::Infallible,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};
use support::{
    Answer, Client, KILOBYTE, Origin, Reply, RequestBody, Seen, World, answer, ok, panics, pass,
    seconds, settle, world, world_of, world_with,
};
use tower::{Layer, Service, ServiceExt, util::BoxCloneService};
use tower_cdn::{
    BoxError, CachePolicy, CdnCache, CdnCacheLayer, Clock, Detail, Forward, MemoryStore, NotStored,
};

const LONG: usize = 64 * KILOBYTE;
const YEAR: i64 = 365 * 24 * 60 * 60;

/// So much room for heads that long fields reach the parsers.
fn roomy(policy: CachePolicy) -> CachePolicy {
    policy.max_head(1024 * KILOBYTE)
}

fn head_bytes(reply: &Reply) -> usize {
    reply.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

// Never another user's bytes.

/// The key's list of fields that many applications answer by.
const INFLUENTIAL: [&str; 39] = [
    "base-url",
    "forwarded",
    "front-end-https",
    "http-url",
    "proxy-host",
    "request-uri",
    "rsc",
    "x-backend-host",
    "x-forwarded-base",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-invoke-path",
    "x-invoke-status",
    "x-method-override",
    "x-middleware-prefetch",
    "x-middleware-subrequest",
    "x-nextjs-data",
    "x-now-route-matches",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-proxy-url",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// An application that writes what it is told into its page.
fn gullible(name: &'static str) -> impl FnMut(&Seen) -> Answer + Send {
    move |seen| ok(seen.field(name).unwrap_or("clean").to_owned()).max_age(60)
}

#[tokio::test(start_paused = true)]
async fn no_influential_field_of_one_request_reaches_the_answer_to_another() {
    for name in INFLUENTIAL {
        let w = world();
        w.origin.always("/", gullible(name));
        let attack = |value: &str| w.get("/").header(name, value);
        assert_eq!(attack("evil").told().await, "200 evil (uri-miss)", "{name}");
        assert_eq!(attack("").told().await, "200  (uri-miss)", "{name}");
        assert_eq!(w.get("/").told().await, "200 clean (uri-miss)", "{name}");
        assert_eq!(attack("other").told().await, "200 other (uri-miss)", "{name}");
        let two = attack("evil").header(name, "evil");
        assert_eq!(two.told().await, "200 evil (uri-miss)", "{name}: two lines are not one");
        assert_eq!(w.get("/").told().await, "200 clean (hit)", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_fetch_under_way_is_not_joined_by_a_clean_request() {
    for name in INFLUENTIAL {
        let w = world();
        let (poisoned, hold) = ok("evil").max_age(60).held();
        w.origin.says("/", poisoned);
        let attacker = w.get("/").header(name, "evil").start_told();
        settle().await;
        w.origin.says("/", ok("clean").max_age(60));
        assert_eq!(w.get("/").told().await, "200 clean (uri-miss)", "{name}");
        hold.release();
        assert_eq!(attacker.await.unwrap(), "200 evil (uri-miss)", "{name}");
        settle().await;
        assert_eq!(w.get("/").told().await, "200 clean (hit)", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_error_is_for_the_attacker_alone() {
    for status in [400, 403, 404, 405, 413, 414, 431, 501, 301] {
        let w = world_of(CachePolicy::cloudfront());
        w.origin.always("/", move |seen| match seen.field("x-forwarded-host") {
            Some(_) => answer(status).body("evil"),
            None => ok("clean"),
        });
        let attack = w.get("/").header("x-forwarded-host", "evil").told().await;
        assert!(attack.starts_with(&format!("{status} evil")), "{attack}");
        assert_eq!(w.get("/").told().await, "200 clean (uri-miss)", "{status}");
    }
    // What the cache cannot key, as a field too large for the origin, is not kept for a day because nothing says otherwise.
    for status in [400, 403, 405, 408, 411, 413, 414, 417, 431, 501] {
        let w = world_of(CachePolicy::cloudfront());
        w.origin.says("/", answer(status).body("refused"));
        w.origin.always("/", |_| ok("clean"));
        let attack = w.get("/").header("x-large", "x".repeat(8 * KILOBYTE)).told().await;
        assert!(attack.starts_with(&format!("{status} refused")), "{attack}");
        assert_eq!(w.get("/").told().await, "200 clean (uri-miss)", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn conditions_and_ranges_of_an_attacker_change_nothing_for_others() {
    for (name, value) in [
        ("if-none-match", "*"),
        ("if-none-match", "\"a\""),
        ("if-match", "\"b\""),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("if-range", "\"a\""),
        ("range", "bytes=0-0"),
        ("range", "bytes=100-"),
        ("cache-control", "only-if-cached"),
        ("cache-control", "no-store"),
        ("te", "trailers"),
    ] {
        let w = world();
        w.origin.always("/", |_| ok("content").max_age(60).etag("\"a\""));
        w.get("/").header(name, value).told().await;
        let clean = w.get("/").await;
        assert_eq!(
            (clean.status, clean.text().await.as_str()),
            (200, "content"),
            "{name}: {value}"
        );
        settle().await;
        w.get("/").header(name, value).told().await;
        assert_eq!(w.get("/").told().await, "200 content (hit)", "{name}: {value}");
    }
}

/// The paths under which the page of one visitor goes to another, where a lifetime is given to all that says nothing.
async fn deceived(paths: &[&'static str]) -> Vec<&'static str> {
    let mut deceived = Vec::new();
    for path in paths {
        for policy in [CachePolicy::cloudfront(), CachePolicy::default().default_ttl(seconds(60))] {
            let w = world_of(policy);
            w.origin.always(path, |seen| {
                let whose = seen.field("cookie").unwrap_or("nobody").to_owned();
                ok(whose).header("content-type", "text/html; charset=utf-8")
            });
            let victim = w.get(path).header("cookie", "victim").told().await;
            assert!(victim.starts_with("200 victim"), "{path}: {victim}");
            let attacker = w.get(path).told().await;
            if !attacker.starts_with("200 nobody") || !w.store.is_empty() {
                deceived.push(*path);
            }
        }
    }
    deceived.dedup();
    deceived
}

const NOTHING: [&str; 0] = [];

#[tokio::test(start_paused = true)]
async fn deception_gets_no_lifetime_that_the_page_did_not_ask_for() {
    let paths = [
        "/account/x.css",
        "/account/X.CSS",
        "/account/x.js",
        "/account/x.json/y.png",
        "/account/x.css;y",
        "/account/%2e%2e/x.css",
        "/account/.css",
        "/account/x.woff2",
        "/account/x.pdf",
        "/account/x.css%00",
        "/account/x.css%0a.txt",
    ];
    assert_eq!(deceived(&paths).await, NOTHING);
}

#[tokio::test(start_paused = true)]
async fn deception_by_an_extension_behind_a_delimiter_of_the_application() {
    let paths = [
        "/account;x.css",
        "/account;/x.css;y",
        "/account%2fx.css",
        "/account%3bx.css",
        "/account%3fx.css",
        "/account%23x.css",
        "/account%00.css",
        "/account%0a.css",
        "/account,x.css",
        "/account!x.css",
        "/account/x.%63ss",
    ];
    assert_eq!(deceived(&paths).await, NOTHING);
}

/// What one visitor gets of the page of another, which has a validator and no lifetime, or none but zero.
async fn taken(policy: &CachePolicy, says: Option<&'static str>, path: &str) -> Vec<String> {
    let mut taken = Vec::new();
    let w = world_of(policy.clone());
    w.origin.always(path, move |seen| {
        let whose = seen.field("cookie").unwrap_or("nobody").to_owned();
        let page = ok(whose.clone()).etag(&format!("\"{whose}\""));
        let page = page.header("content-type", "text/html");
        if let Some(says) = says { page.says(says) } else { page }
    });
    w.get(path).header("cookie", "victim").told().await;
    let attack = |cache_control: &'static str| {
        w.get(path).header("cookie", "attacker").header("cache-control", cache_control)
    };
    taken.push(attack("max-stale").told().await);
    w.get(path).header("cookie", "victim").told().await;
    pass(1).await;
    taken.push(attack("max-age=0").told().await);
    w.get(path).header("cookie", "victim").told().await;
    w.origin.always(path, |_| answer(503));
    taken.push(attack("").told().await);
    taken.retain(|told| told.contains("victim"));
    taken
}

#[tokio::test(start_paused = true)]
async fn what_has_no_lifetime_and_may_be_for_one_is_never_used_stale() {
    let day = seconds(24 * 60 * 60);
    let policies = [
        CachePolicy::default().stale_while_revalidate(day),
        CachePolicy::default().stale_if_error(day),
        CachePolicy::default().honor_request_directives(true),
        CachePolicy::cloudfront().default_ttl(seconds(0)),
    ];
    for policy in policies {
        for says in [None, Some("max-age=0")] {
            for path in ["/account", "/account/x.css"] {
                assert_eq!(taken(&policy, says, path).await, NOTHING, "{says:?} {policy:?}");
            }
        }
    }
    // What the page says itself holds.
    for says in ["max-age=0, stale-while-revalidate=60", "stale-while-revalidate=60"] {
        let w = world();
        w.origin.says("/", ok("a").says(says).etag("\"a\""));
        w.get("/").header("cookie", "a=1").told().await;
        settle().await;
        assert_eq!(w.get("/").header("cookie", "b=2").told().await, "200 a (stale-hit)");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_updates_what_may_be_for_one_it_is_never_used_stale() {
    for is_head in [true, false] {
        let w = world_of(CachePolicy::default().stale_while_revalidate(seconds(1_000)));
        let modified = "Sun, 01 Jan 2023 00:00:00 GMT";
        w.origin.says("/", ok("victim").header("last-modified", modified));
        w.get("/").header("cookie", "victim").told().await;
        settle().await;
        // Answers that do not tell whose page they speak of.
        if is_head {
            w.origin.says("/", answer(200));
            w.head("/").told().await;
        } else {
            w.origin.says("/", answer(304).header("last-modified", modified));
            w.get("/").told().await;
        }
        settle().await;
        w.origin.says("/", ok("nobody"));
        assert_eq!(w.get("/").told().await, "200 nobody (stale)", "HEAD: {is_head}");
    }
}

#[tokio::test(start_paused = true)]
async fn deception_does_not_work_on_those_who_ask_at_the_same_time() {
    let w = world_of(CachePolicy::cloudfront());
    w.origin.always("/account/x.css", |seen| {
        ok(seen.field("cookie").unwrap_or("nobody").to_owned()).header("content-type", "text/html")
    });
    let victim = w.get("/account/x.css").header("cookie", "victim").start_told();
    let attackers: Vec<_> = (0..20).map(|_| w.get("/account/x.css").start_told()).collect();
    assert!(victim.await.unwrap().starts_with("200 victim"));
    for attacker in attackers {
        assert!(attacker.await.unwrap().starts_with("200 nobody"));
    }
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn no_head_poisons_a_get() {
    let heads: [fn() -> Answer; 8] = [
        || answer(200).max_age(60),
        || answer(200).max_age(60).header("content-length", "0"),
        || answer(200).max_age(60).header("content-length", "99999999999999999999"),
        || answer(200).max_age(60).etag("\"evil\""),
        || answer(404).max_age(60),
        || answer(301).max_age(60).header("location", "http://evil.example/"),
        || answer(200).max_age(60).header("content-encoding", "gzip"),
        || answer(206).max_age(60).header("content-range", "bytes 0-0/1"),
    ];
    for (number, head) in heads.into_iter().enumerate() {
        let w = world();
        w.origin.always("/", move |seen| match seen.method.as_str() {
            "HEAD" => head(),
            _ => ok("content").max_age(60).etag("\"a\""),
        });
        let ask = async || {
            let reply = w.get("/").await;
            assert_eq!(reply.field("content-encoding"), None, "{number}");
            let told = reply.told().await;
            assert!(told.starts_with("200 content "), "{number}: {told}");
            settle().await;
        };
        // Before there is anything, where the response is fresh, and where it is stale.
        w.head("/").told().await;
        ask().await;
        w.head("/").told().await;
        ask().await;
        pass(60).await;
        w.head("/").told().await;
        ask().await;
        // While a GET is under way.
        pass(60).await;
        let (slow, hold) = ok("content").max_age(60).etag("\"b\"").held();
        w.origin.says("/", slow);
        let get = w.get("/").start_told();
        settle().await;
        let during = w.head("/").start_told();
        settle().await;
        hold.release();
        assert!(get.await.unwrap().starts_with("200 content "), "{number}");
        during.await.unwrap();
        ask().await;
        w.assert_idle().await;
    }
}

// Nothing that a client sends controls the cache.

#[tokio::test(start_paused = true)]
async fn purge_and_its_kin_are_methods_that_nobody_knows() {
    for method in ["PURGE", "BAN", "REFRESH", "PURGEKEY", "INVALIDATE", "FLUSH", "DEBUG", "get"] {
        let w = world();
        w.origin.always("/", |_| ok("a").max_age(60));
        w.get("/").told().await;
        for status in [403, 404, 405, 500, 501] {
            w.origin.says("/", answer(status).body("no"));
            let told = w.client.ask(method, "/").told().await;
            assert_eq!(told, format!("{status} no (method)"));
            assert_eq!(w.origin.last().method.as_str(), method, "it is forwarded");
            assert_eq!(w.get("/").told().await, "200 a (hit)", "{method} {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_that_the_origin_accepts_invalidates_its_target_and_no_more() {
    // RFC 9111 section 4.4: a method whose safety is unknown counts as unsafe.
    let w = world();
    for path in ["/", "/a", "/a/b"] {
        w.origin.always(path, |_| ok("a").max_age(60));
        w.get(path).told().await;
    }
    let purge = w.client.ask("PURGE", "/a").header("x-purge-regex", ".*").header("x-purge", "/");
    assert_eq!(purge.told().await, "200 a (method)");
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    assert_eq!(w.get("/a/b").told().await, "200 a (hit)");
    assert_eq!(w.get("/a").told().await, "200 a (uri-miss)");
}

/// Fields of responses, of other caches' control, and names that one might guess of ours.
const MEANINGLESS: [(&str, &str); 26] = [
    ("cache-status", "tower-cdn; hit; ttl=9999"),
    ("age", "999999"),
    ("age", "-1"),
    ("date", "Sat, 01 Jan 2000 00:00:00 GMT"),
    ("expires", "0"),
    ("etag", "\"evil\""),
    ("last-modified", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("vary", "*"),
    ("vary", "x-evil"),
    ("cdn-cache-control", "no-store"),
    ("surrogate-control", "no-store"),
    ("cache-groups", "\"g\""),
    ("cache-group-invalidation", "\"g\""),
    ("surrogate-key", "g"),
    ("cache-tag", "g"),
    ("x-cache", "HIT"),
    ("x-accel-expires", "0"),
    ("x-purge-key", "g"),
    ("bypass", "1"),
    ("x-bypass", "1"),
    ("x-tower-cdn", "bypass"),
    ("x-tower-cdn-bypass", "1"),
    ("do-not-store", "1"),
    ("do-not-collapse", "1"),
    ("set-cookie", "evil=1"),
    ("cache-control", "private, no-store, no-cache, max-age=0, s-maxage=0"),
];

#[tokio::test(start_paused = true)]
async fn fields_that_only_a_response_has_mean_nothing_in_a_request() {
    for (name, value) in MEANINGLESS {
        let w = world();
        w.origin.always("/", |_| ok("a").max_age(60).header("cache-groups", "\"g\""));
        let ask = || w.get("/").header(name, value);
        let miss = ask().await;
        assert_eq!(miss.cache().forward(), Some(Forward::UriMiss), "{name}: {value}");
        assert!(miss.cache().is_stored(), "{name}: {value}");
        assert_eq!((miss.age(), miss.cache().ttl()), (None, Some(60)), "{name}: {value}");
        assert_eq!(miss.text().await, "a");
        pass(10).await;
        for ask in [ask(), w.get("/"), ask()] {
            let hit = ask.await;
            assert_eq!((hit.age(), hit.cache().ttl()), (Some(10), Some(50)), "{name}: {value}");
            assert_eq!(hit.field("cache-status"), Some("tower-cdn; hit; ttl=50"));
            assert_eq!(hit.field("set-cookie"), None);
        }
        assert_eq!(w.origin.count(), 1, "{name}: {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_a_client_names_are_not_invalidated() {
    let w = world();
    w.origin.says("/a", ok("a").max_age(60).header("cache-groups", "\"g\""));
    w.origin.always("/edit", |_| ok("done"));
    w.get("/a").told().await;
    for name in ["cache-group-invalidation", "cache-groups", "surrogate-key", "cache-tag"] {
        w.post("/edit").header(name, "\"g\"").told().await;
        w.get("/edit").header(name, "\"g\"").told().await;
        assert_eq!(w.get("/a").told().await, "200 a (hit)", "{name}");
    }
    // Nor by a location that only the request has.
    for name in ["location", "content-location"] {
        w.post("/edit").header(name, "http://example.com/a").told().await;
        assert_eq!(w.get("/a").told().await, "200 a (hit)", "{name}");
    }
}

// Bounded memory, and no input that is too much.

/// Values that a parser of lists may stumble over.
fn awkward() -> Vec<(&'static str, String)> {
    vec![
        ("commas", ",".repeat(LONG)),
        ("commas and blanks", ", \t".repeat(LONG / 3)),
        ("blanks", format!("a{}z", " ".repeat(LONG))),
        ("quotes", "\"".repeat(LONG)),
        ("an open quote", format!("x=\"{}", "a,".repeat(LONG / 2))),
        ("backslashes", format!("x=\"{}", "\\".repeat(LONG))),
        ("equals", "=".repeat(LONG)),
        ("members", "a,".repeat(LONG / 2)),
        ("parameters", format!("a{}", ";b=1".repeat(LONG / 4))),
        ("parentheses", "(".repeat(LONG)),
        ("digits", "9".repeat(LONG)),
        ("dashes", format!("bytes={}", "-".repeat(LONG))),
        ("ranges", format!("bytes={}", "0-0,".repeat(LONG / 4))),
        ("weak tags", "W/".repeat(LONG / 2)),
    ]
}

#[tokio::test(start_paused = true)]
async fn long_fields_of_a_request_pass_without_harm() {
    for policy in
        [CachePolicy::default(), roomy(CachePolicy::default()), roomy(CachePolicy::rfc9111())]
    {
        let w = world_of(policy.cdn_loop("edge"));
        w.origin.always("/", |_| ok("0123456789").max_age(60).etag("\"a\"").vary("x-list"));
        w.get("/").told().await;
        for name in [
            "cache-control",
            "pragma",
            "range",
            "if-range",
            "if-none-match",
            "if-match",
            "if-modified-since",
            "accept-encoding",
            "accept-language",
            "x-list",
            "cookie",
            "connection",
            "te",
            "cdn-loop",
            "forwarded",
            "authorization",
            "content-type",
        ] {
            for (what, value) in awkward() {
                let told = w.get("/").header(name, value).told().await;
                assert!(told.starts_with("200 0123456789 "), "{name}: {what}: {told}");
            }
        }
        assert_eq!(w.get("/").told().await, "200 0123456789 (hit)");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn fields_above_the_limit_keep_a_request_out_of_the_cache() {
    let w = world();
    w.origin.always("/", |_| ok("a").max_age(60));
    for name in ["cache-control", "range", "if-none-match"] {
        let reply = w.get("/").header(name, ",".repeat(LONG)).await;
        assert_eq!(reply.cache().detail(), Some(Detail::TooLong), "{name}");
        assert_eq!(reply.told().await, "200 a (bypass)", "{name}");
    }
    let lines = (0..2_000).fold(w.get("/"), |ask, n| ask.header("x-line", n.to_string()));
    assert_eq!(lines.told().await, "200 a (bypass)", "many lines count as one long one");
    assert_eq!(w.store.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn long_fields_of_a_response_pass_without_harm() {
    for name in [
        "cache-control",
        "cdn-cache-control",
        "vary",
        "expires",
        "age",
        "date",
        "last-modified",
        "etag",
        "connection",
        "cache-groups",
        "cache-status",
        "content-type",
        "content-language",
        "set-cookie",
        "pragma",
    ] {
        for (what, value) in awkward() {
            for policy in [CachePolicy::default(), roomy(CachePolicy::default())] {
                let w = world_of(policy);
                let sent = value.clone();
                w.origin.always("/", move |_| ok("a").header("x-a", "1").header(name, &sent));
                for _ in 0..3 {
                    let reply = w.get("/").header("range", "bytes=5-").await;
                    assert!(matches!(reply.status, 200 | 416), "{name}: {what}");
                    settle().await;
                    let reply = w.get("/").await;
                    assert_eq!(reply.status, 200, "{name}: {what}");
                    assert_eq!(reply.text().await, "a", "{name}: {what}");
                    settle().await;
                }
                w.assert_idle().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_behind_64_kib_of_commas_still_counts() {
    let commas = ",".repeat(LONG);
    let stored = async |name: &str, value: String| {
        let w = world_of(roomy(CachePolicy::default()));
        w.origin.always("/", |_| ok("b"));
        w.origin.says("/", ok("a").header("cache-control", "max-age=60").header(name, value));
        w.get("/").told().await;
        w.get("/").header("x-one", "1").told().await == "200 a (hit)"
    };
    assert!(stored("cache-control", commas.clone()).await, "nothing stands behind");
    assert!(!stored("cache-control", format!("{commas}private")).await);
    assert!(!stored("cache-control", format!("{commas}No-Store{commas}")).await);
    assert!(!stored("vary", format!("{commas}x-one")).await);
    assert!(!stored("vary", format!("{commas}*")).await);
    assert!(stored("vary", commas.clone()).await, "nothing stands behind");
    let names: Vec<_> = (0..8_000).map(|n| format!("x-{n}")).collect();
    assert!(!stored("vary", names.join(",")).await, "too many fields are as all");

    let w = world_of(roomy(CachePolicy::default()));
    w.origin.always("/", |_| ok("a").max_age(60).etag("\"a\""));
    w.get("/").told().await;
    let tags = format!("{commas}\"a\"");
    assert_eq!(w.get("/").header("if-none-match", &tags).told().await, "304  (hit)");
    let many: Vec<_> = (0..8_000).map(|n| format!("\"{n}\"")).collect();
    let many = many.join(",");
    assert_eq!(w.get("/").header("if-none-match", &many).told().await, "200 a (hit)");
    let many = format!("{many},W/\"a\"");
    assert_eq!(w.get("/").header("if-none-match", &many).told().await, "304  (hit)");
    let only = format!("{commas}only-if-cached");
    assert_eq!(w.get("/?x").header("cache-control", only).await.status, 504);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_ranges_get_the_whole_once() {
    let w = world_of(roomy(CachePolicy::default()));
    let content = "0123456789".repeat(10_000);
    let sent = content.clone();
    w.origin.always("/", move |_| ok(sent.clone()).max_age(60));
    w.get("/").told().await;
    let set = |ranges: &mut dyn Iterator<Item = String>| {
        format!("bytes={}", ranges.collect::<Vec<_>>().join(","))
    };
    for (what, range) in [
        ("disjoint", set(&mut (0..5_000).map(|n| format!("{}-{}", n * 2, n * 2)))),
        ("all of it", set(&mut (0..5_000).map(|_| "0-".to_owned()))),
        ("overlapping", set(&mut (0..5_000).map(|n| format!("0-{n}")))),
        ("descending", set(&mut (0..5_000).rev().map(|n| format!("{n}-")))),
        ("suffixes", set(&mut (1..5_000).map(|n| format!("-{n}")))),
    ] {
        let reply = w.get("/").header("range", range).await;
        assert_eq!(reply.status, 200, "{what}");
        assert_eq!(reply.text().await.len(), content.len(), "{what}");
    }
    let none = set(&mut (0..5_000).map(|n| format!("{}-", 1_000_000 + n)));
    let reply = w.get("/").header("range", none).await;
    assert!(matches!(reply.status, 200 | 416), "none of them can be satisfied");
    assert!(reply.text().await.len() <= content.len());
    assert_eq!(w.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn ranges_with_huge_numbers() {
    let w = world();
    w.origin.always("/", |_| ok("0123456789").max_age(60));
    w.get("/").told().await;
    let (max, more) = (u64::MAX.to_string(), "9".repeat(100));
    for (range, want) in [
        (format!("bytes=8-{max}"), "206 89 (hit)"),
        (format!("bytes=8-{more}"), "206 89 (hit)"),
        (format!("bytes=-{max}"), "206 0123456789 (hit)"),
        (format!("bytes=-{more}"), "206 0123456789 (hit)"),
        (format!("bytes={max}-"), "416  (hit)"),
        (format!("bytes={more}-"), "416  (hit)"),
        (format!("bytes={max}-{max}"), "416  (hit)"),
        (format!("bytes={more}-{more}"), "416  (hit)"),
        ("bytes=-0".to_owned(), "416  (hit)"),
        (format!("bytes=0-0,{max}-"), "206 0 (hit)"),
        (format!("bytes=9-9,-{max}"), "200 0123456789 (hit)"),
    ] {
        assert_eq!(w.get("/").header("range", &range).told().await, want, "{range}");
    }
    let unsatisfiable = w.get("/").header("range", format!("bytes={more}-")).await;
    assert_eq!(unsatisfiable.field("content-range"), Some("bytes */10"));
}

#[tokio::test(start_paused = true)]
async fn huge_numbers_live_no_longer_than_the_policy_permits() {
    let more = "9".repeat(1_000);
    for number in ["2147483648", "4294967296", "9223372036854775807", "18446744073709551616", &more]
    {
        for (name, value) in [
            ("cache-control", format!("max-age={number}")),
            ("cache-control", format!("s-maxage={number}")),
            ("cache-control", format!("max-age={number}, s-maxage={number}, max-age={number}")),
            ("cdn-cache-control", format!("max-age={number}")),
        ] {
            let w = world();
            w.origin.always("/", |_| answer(503));
            w.origin.says("/", ok("a").header(name, &value));
            let ttl = w.get("/").await.cache().ttl();
            settle().await;
            assert!(ttl.is_none_or(|ttl| (0..=YEAR).contains(&ttl)), "{name}: {value}: {ttl:?}");
            pass(YEAR.unsigned_abs()).await;
            let late = w.get("/").await;
            assert!(!late.cache().is_hit(), "{name}: {value}: a year is over");
        }
        // An age that is as large makes everything stale, and nothing negative.
        for value in [number.to_owned(), format!("{number}, 0"), format!("0, {number}")] {
            let w = world();
            w.origin.always("/", |_| ok("b").max_age(60));
            w.origin.says("/", ok("a").max_age(60).header("age", &value));
            drop(w.get("/").await.text().await);
            settle().await;
            let next = w.get("/").await;
            assert!(next.age().is_none_or(|age| age <= 1 << 31), "Age: {value}");
            assert!(next.cache().ttl().is_none_or(|ttl| ttl <= 60), "Age: {value}");
        }
        // Windows of grace saturate as well.
        let w = world();
        let grace = format!("max-age=1, stale-while-revalidate={number}, stale-if-error={number}");
        w.origin.says("/", ok("a").says(&grace));
        w.origin.always("/", |_| answer(503));
        w.get("/").told().await;
        pass(2).await;
        let stale = w.get("/").await;
        assert!(stale.cache().is_hit() && stale.age() == Some(2), "{number}");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_queries_stay_within_the_store_and_what_is_hot_stays() {
    const CAPACITY: u64 = 1024 * 1024;
    let store = MemoryStore::new(CAPACITY);
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    origin.always("/", |_| ok(vec![b'x'; KILOBYTE]).max_age(100_000));
    origin.always("/hot", |_| ok("hot").max_age(100_000));
    for _ in 0..20 {
        client.get("/hot").told().await;
    }
    let mut hot_misses = 0;
    for n in 0..10_000 {
        assert_eq!(client.get(&format!("/?{n}")).await.text().await.len(), KILOBYTE);
        if n % 5 == 0 {
            settle().await;
            hot_misses += u32::from(!client.get("/hot").await.cache().is_hit());
        }
        if n % 500 == 0 {
            assert!(store.weight() <= CAPACITY, "{n}: {}", store.weight());
        }
    }
    settle().await;
    assert!(store.weight() <= CAPACITY, "{}", store.weight());
    assert!(store.len() < 1_100, "what is stored is weighed with its overhead: {}", store.len());
    assert!(hot_misses <= 20, "a sweep does not drive out what is asked for: {hot_misses}");
    assert_eq!(layer.handle().stats().fetches, 0);
}

#[tokio::test(start_paused = true)]
async fn long_keys_are_weighed() {
    const CAPACITY: u64 = 256 * 1024;
    let store = MemoryStore::new(CAPACITY);
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    origin.always("/", |_| ok("").max_age(60));
    for n in 0..500 {
        client.get(&format!("/?{n}={}", "x".repeat(7 * KILOBYTE))).told().await;
    }
    assert!(store.weight() <= CAPACITY);
    assert!(store.len() * 7 * 1024 <= CAPACITY, "{} keys", store.len());
}

#[tokio::test(start_paused = true)]
async fn variants_stay_few_whatever_is_asked_and_nominated() {
    let w = world();
    w.origin.always("/", |seen| {
        ok(seen.field("x-a").unwrap_or("-").to_owned()).max_age(60).vary("x-a")
    });
    for n in 0..1_000 {
        let told = w.get("/").header("x-a", n.to_string()).told().await;
        assert_eq!(told, format!("200 {n} ({})", if n == 0 { "uri-miss" } else { "vary-miss" }));
    }
    assert!(w.store.len() <= 17, "{}", w.store.len());
    let mut n = 0;
    w.origin.always("/each", move |_| {
        n += 1;
        ok("a").max_age(60).vary(&format!("x-{n}"))
    });
    for n in 0..500 {
        w.get("/each").header(&format!("x-{}", n + 1), n.to_string()).told().await;
    }
    assert!(
        w.store.len() <= 34,
        "an origin that nominates another field each time: {}",
        w.store.len()
    );
    assert!(w.store.weight() < 256 * KILOBYTE as u64, "{}", w.store.weight());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_grows_by_each_304_stays_within_its_limit() {
    const LIMIT: usize = 16 * KILOBYTE;
    for policy in [CachePolicy::default(), CachePolicy::rfc9111()] {
        let w = world_of(policy);
        let mut n = 0;
        w.origin.always("/", move |seen| {
            n += 1;
            let head = match seen.field("if-none-match") {
                Some(_) => answer(304),
                None => ok("content"),
            };
            head.max_age(1).etag("\"a\"").header(&format!("x-grow-{n}"), "x".repeat(KILOBYTE))
        });
        for round in 0..100 {
            let reply = w.get("/").await;
            assert_eq!(reply.status, 200, "{round}");
            let bytes = head_bytes(&reply);
            assert_eq!(reply.text().await, "content", "{round}");
            settle().await;
            // Who causes the growth may get it once.
            assert!(bytes <= LIMIT + 2 * KILOBYTE, "{round}: {bytes}");
            let weight = w.store.weight();
            assert!(weight <= (LIMIT + 8 * KILOBYTE) as u64, "{round}: {weight}");
            if let Some(hit) = Some(w.get("/").await).filter(|reply| reply.cache().is_hit()) {
                assert!(head_bytes(&hit) <= LIMIT + KILOBYTE, "{round}: what is stored is within");
            }
            settle().await;
            pass(2).await;
        }
        let whole = w.origin.log().iter().filter(|s| s.field("if-none-match").is_none()).count();
        assert!(whole > 1, "what became too large is fetched again");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_groups_are_no_burden() {
    let w = world_of(roomy(CachePolicy::default()));
    let names = |range: std::ops::Range<usize>| {
        range.map(|n| format!("\"g{n}\"")).collect::<Vec<_>>().join(", ")
    };
    let all = names(0..10_000);
    w.origin.always("/a", move |_| ok("a").max_age(600).header("cache-groups", &all));
    w.get("/a").told().await;
    let field = names(0..10_000).len() as u64;
    assert!(w.store.weight() < field + 16 * KILOBYTE as u64, "{}", w.store.weight());
    assert_eq!(w.get("/a").told().await, "200 a (hit)");
    w.origin.always("/one", |_| ok("one").max_age(600).header("cache-groups", "\"g1\""));
    w.get("/one").told().await;
    // More groups than are told apart: what was invalidated first stays invalid.
    w.origin.always("/edit", {
        let mut n = 0;
        move |_| {
            n += 1;
            let from = (n - 1) * 50;
            ok("").header("cache-group-invalidation", names(from..from + 50))
        }
    });
    for _ in 0..400 {
        drop(w.post("/edit").await);
    }
    assert!(!w.get("/one").await.cache().is_hit());
    settle().await;
    assert!(w.get("/one").await.cache().is_hit(), "what came after all rules stays");
}

// Clock steps.

/// A world whose wall clock is as many seconds off as the number says.
fn world_off() -> (World, Arc<AtomicI64>) {
    let off = Arc::new(AtomicI64::new(0));
    let (steady, shared) = (Clock::tokio(), Arc::clone(&off));
    let w = world_with(|builder| {
        builder.clock(Clock::from_fn(move || {
            let by = shared.load(Ordering::SeqCst);
            let distance = seconds(by.unsigned_abs());
            if by < 0 { steady.now() - distance } else { steady.now() + distance }
        }))
    });
    (w, off)
}

const STEPS: [i64; 9] = [-YEAR, YEAR, -10 * YEAR, 10 * YEAR, -30 * YEAR, 100 * YEAR, -1, 1, 0];

#[tokio::test(start_paused = true)]
async fn no_clock_step_makes_an_age_negative_or_a_life_longer() {
    // Stored while the clock was wrong, too.
    for stored_at in STEPS {
        let (w, off) = world_off();
        off.store(stored_at, Ordering::SeqCst);
        w.origin.says("/", ok("a").max_age(60));
        w.get("/").told().await;
        let usable = || w.get("/").header("cache-control", "only-if-cached");
        for elapsed in 1..=9 {
            pass(6).await;
            for step in STEPS {
                off.store(step, Ordering::SeqCst);
                let reply = usable().await;
                if reply.status == 200 {
                    let (age, ttl) = (reply.age(), reply.cache().ttl());
                    assert!(age >= Some(elapsed * 6), "{stored_at} {step}: {age:?}");
                    assert!(age < Some(60), "{stored_at} {step}: {age:?}");
                    assert!(ttl <= Some(60 - elapsed as i64 * 6), "{stored_at} {step}: {ttl:?}");
                }
            }
        }
        pass(6).await;
        for step in STEPS {
            off.store(step, Ordering::SeqCst);
            assert_eq!(usable().await.status, 504, "{stored_at} {step}: its time is over");
        }
        assert_eq!(w.origin.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_while_the_origin_answers_gives_no_life() {
    for (before, after) in [(0, -YEAR), (0, YEAR), (-10 * YEAR, 10 * YEAR), (10 * YEAR, -10 * YEAR)]
    {
        for dated in [0, before, after] {
            let (w, off) = world_off();
            off.store(dated, Ordering::SeqCst);
            let date = w.date(0);
            let expires = w.date(60);
            off.store(before, Ordering::SeqCst);
            let (slow, hold) = ok("a")
                .header("date", &date)
                .header("expires", &expires)
                .header("last-modified", &date)
                .held();
            w.origin.says("/", slow);
            let asked = w.get("/").start();
            settle().await;
            off.store(after, Ordering::SeqCst);
            hold.release();
            let reply = asked.await.unwrap();
            let ttl = reply.cache().ttl();
            assert!(ttl.is_none_or(|ttl| ttl <= 60), "{before} {after} {dated}: {ttl:?}");
            assert_eq!(reply.text().await, "a");
            settle().await;
            pass(60).await;
            for step in STEPS {
                off.store(step, Ordering::SeqCst);
                let late = w.get("/").header("cache-control", "only-if-cached").await;
                assert_eq!(late.status, 504, "{before} {after} {dated} {step}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_step_shortens_a_window_of_grace_and_never_reopens_it() {
    let (w, off) = world_off();
    w.origin.says("/", ok("a").says("max-age=10, stale-while-revalidate=10, stale-if-error=20"));
    w.origin.always("/", |_| answer(503).body("down"));
    w.get("/").told().await;
    pass(31).await;
    for step in STEPS {
        off.store(step, Ordering::SeqCst);
        let told = w.get("/").told().await;
        assert!(told.starts_with("503 down"), "{step}: {told}");
    }
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_beyond_what_a_date_can_tell_is_no_panic() {
    let early = SystemTime::UNIX_EPOCH - seconds(YEAR.unsigned_abs());
    let late = SystemTime::UNIX_EPOCH + seconds(8_100 * YEAR.unsigned_abs());
    for time in [early, SystemTime::UNIX_EPOCH, late] {
        let w = world_with(|builder| builder.clock(Clock::from_fn(move || time)));
        w.origin.says("/", ok("a").max_age(60));
        let told = w.get("/").start_told().await;
        assert_eq!(told.ok().as_deref(), Some("200 a (uri-miss)"), "{time:?}");
        w.assert_idle().await;
    }
}

// Loops.

type Boxed = UnsyncBoxBody<Bytes, BoxError>;
type Next = BoxCloneService<Request<RequestBody>, Response<Boxed>, Infallible>;

/// Forwards to what is set later, so that two caches can point at each other.
#[derive(Clone, Default)]
struct Ahead {
    next: Arc<Mutex<Option<Next>>>,
    passed: Arc<AtomicI64>,
}

impl Ahead {
    fn set(&self, cache: CdnCache<Self>) {
        let boxed = ServiceExt::<Request<RequestBody>>::map_response(cache, |response| {
            response.map(|body| body.boxed_unsync())
        });
        *self.next.lock().unwrap() = Some(BoxCloneService::new(boxed));
    }
}

impl Service<Request<RequestBody>> for Ahead {
    type Response = Response<Boxed>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Boxed>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert!(self.passed.fetch_add(1, Ordering::SeqCst) < 100, "the loop has an end");
        let next = self.next.lock().unwrap().clone().expect("it is set");
        Box::pin(next.oneshot(request))
    }
}

#[tokio::test(start_paused = true)]
async fn rfc8586_two_layers_that_point_at_each_other_are_detected() {
    for (first, second, hops) in [("edge-a", "edge-b", 2), ("edge", "edge", 1)] {
        let layer = |name| {
            let policy = CachePolicy::default().cdn_loop(name);
            let builder = CdnCacheLayer::builder(MemoryStore::new(1024 * 1024));
            builder.policy(policy).clock(Clock::tokio()).build()
        };
        let (a, b) = (layer(first), layer(second));
        let (ahead_of_a, ahead_of_b) = (Ahead::default(), Ahead::default());
        ahead_of_a.set(b.layer(ahead_of_b.clone()));
        ahead_of_b.set(a.layer(ahead_of_a.clone()));
        let client = Client::new(a.layer(ahead_of_a.clone()));
        let passed = || {
            ahead_of_a.passed.swap(0, Ordering::SeqCst)
                + ahead_of_b.passed.swap(0, Ordering::SeqCst)
        };
        for ask in [
            client.get("/"),
            client.get("/"),
            client.ask("HEAD", "/"),
            client.ask("POST", "/").body("x"),
            client.ask("PURGE", "/"),
            client.get("/").body("fat"),
            client.get("/").header("range", "bytes=0-0"),
            client.get("/").header("connection", "cdn-loop"),
            client.get("/").header("cdn-loop", "another; x=\"edge-a\""),
            client.get("/").header("x-long", "x".repeat(LONG)),
        ] {
            let before = tokio::time::Instant::now();
            let reply = ask.await;
            assert_eq!(reply.status, 508);
            drop(reply);
            settle().await;
            assert_eq!(passed(), hops, "once around and no further");
            assert_eq!(before.elapsed(), seconds(0), "nobody waits for himself");
        }
        assert_eq!((a.handle().stats().fetches, b.handle().stats().fetches), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn rfc8586_a_detected_loop_is_not_stored() {
    let w = world_of(CachePolicy::cloudfront().cdn_loop("edge"));
    w.origin.always("/", |_| ok("a").max_age(60));
    assert_eq!(w.get("/").header("cdn-loop", "edge").await.status, 508);
    assert_eq!(w.origin.count(), 0);
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.origin.last().field("cdn-loop"), Some("edge"));
    assert_eq!(w.get("/").header("cdn-loop", "other").told().await, "200 a (hit)");
}

// Faults stay inside.

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_inner_service_is_for_its_own_request_only() {
    let w = world();
    let (held, hold) = panics().held();
    w.origin.says("/", held);
    w.origin.always("/", |_| ok("a").max_age(60));
    w.origin.always("/other", |_| ok("b").max_age(60));
    let own = w.get("/").start();
    settle().await;
    let others: Vec<_> = (0..10).map(|_| w.get("/").start_told()).collect();
    settle().await;
    hold.release();
    assert!(own.await.is_err_and(|error| error.is_panic()));
    for other in others {
        assert!(other.await.unwrap().starts_with("200 a "), "who waited gets an answer");
    }
    assert_eq!(w.origin.count(), 2, "one of those who waited tries again for all");
    assert_eq!(w.get("/other").told().await, "200 b (uri-miss)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_nothing_behind_wherever_it_happens() {
    for method in ["GET", "HEAD", "POST", "PURGE"] {
        let w = world();
        // While the inner service is called, and while its answer is awaited.
        let mut n = 0;
        w.origin.always("/", move |seen| {
            n += 1;
            match n {
                1 => resume_unwind(Box::new("the call panics")),
                2 => panics(),
                _ if seen.method == "GET" => ok("a").max_age(60),
                _ => answer(204),
            }
        });
        for _ in 0..2 {
            let asked = w.client.ask(method, "/").start();
            assert!(asked.await.is_err_and(|error| error.is_panic()), "{method}");
            w.assert_idle().await;
        }
        assert_eq!(w.get("/").told().await, "200 a (uri-miss)", "{method}");
        assert_eq!(w.get("/").told().await, "200 a (hit)", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_body_is_a_broken_body_and_is_not_stored() {
    let w = world();
    let (panicking, feed) = ok("").max_age(60).fed();
    w.origin.says("/", panicking);
    let mut first = w.get("/").await;
    let mut second = w.get("/").await;
    feed.chunk("a");
    settle().await;
    feed.panics();
    for reply in [&mut first, &mut second] {
        let (text, error) = reply.read().await;
        assert_eq!(text, "a");
        assert!(error.is_some(), "never a clean end");
    }
    w.assert_idle().await;
    w.origin.says("/", ok("whole").max_age(60));
    assert_eq!(w.get("/").told().await, "200 whole (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 whole (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_panic_behind_a_stale_answer_hurts_nobody() {
    let w = world();
    w.origin.says("/", ok("a").says("max-age=10, stale-while-revalidate=100"));
    w.origin.says("/", panics());
    w.origin.says("/", ok("b").max_age(60));
    w.get("/").told().await;
    pass(11).await;
    assert_eq!(w.get("/").told().await, "200 a (stale-hit)");
    w.assert_idle().await;
    assert_eq!(w.get("/").told().await, "200 a (stale-hit)", "and it is tried again");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (hit)");
    w.assert_idle().await;
}

// Never a broken body as a whole one.

/// What an answer without a proven end and with this length left in the store, and why not.
async fn stored_with_length(length: &str) -> (u64, Option<Detail>) {
    let w = world();
    w.origin.says("/", answer(200).chunks(&["a"]).max_age(60).header("content-length", length));
    let mut first = w.get("/").await;
    let detail = first.cache().detail();
    first.read().await;
    settle().await;
    (w.store.len(), detail)
}

#[tokio::test(start_paused = true)]
async fn lengths_that_no_content_has_are_not_stored() {
    for length in ["99999999999999999999999999", "-1", "+1", "0x1", "1, 2", "1 1", "1;", "a"] {
        let framing = Some(Detail::NotStored(NotStored::Framing));
        assert_eq!(stored_with_length(length).await, (0, framing), "{length:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_that_says_nothing_is_not_stored() {
    for length in ["", ",", " , "] {
        let (stored, detail) = stored_with_length(length).await;
        assert_eq!(stored, 0, "{length:?}: {detail:?}");
    }
}
