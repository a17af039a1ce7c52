//! Invalidation by operators: by URI, path and tag, hard and soft.
mod support;

use support::{World, answer, fail, ok, pass, settle, world, world_of, world_with};
use tower_cdn::{CachePolicy, Detail, Forward, Handle, KeyPolicy, Parameters, RangeFetch};

const TAG_FIELDS: [&str; 2] = ["surrogate-key", "cache-tag"];

fn with_tags() -> CachePolicy {
    CachePolicy::default().tag_fields(TAG_FIELDS.map(http::HeaderName::from_static))
}

/// A stored response under each of these targets; each path says what it is.
async fn stored(targets: &[&str]) -> World {
    let w = world();
    store(&w, targets).await;
    w
}

async fn store(w: &World, targets: &[&str]) {
    for target in targets {
        let path = target.rsplit_once(".com").map_or(*target, |(_, path)| path);
        let path = path.split('?').next().unwrap_or_default();
        w.origin.always(path, |_| ok("a").max_age(1_000).etag("\"a\""));
        assert_eq!(w.get(target).told().await, "200 a (uri-miss)");
    }
}

fn handle(w: &World) -> Handle {
    w.layer.handle()
}

/// `hit`, or why not, and what is said of it.
async fn how(w: &World, target: &str) -> String {
    let reply = w.get(target).await;
    let detail = reply.cache().detail().map(|detail| format!(" {}", detail.as_str()));
    let how = reply.how() + &detail.unwrap_or_default();
    assert_eq!(reply.text().await, "a");
    settle().await;
    how
}

#[tokio::test(start_paused = true)]
async fn an_uri_goes() {
    let w = stored(&["/a", "/a?x", "/b", "https://example.com/a", "http://other.com/a"]).await;
    let receipt = handle(&w).invalidate("http://EXAMPLE.com:80/a").await.unwrap();
    assert!(receipt.is_durable());
    assert_eq!(receipt.time(), w.clock.now());
    assert_eq!(w.store.len(), 4, "it is deleted at once");
    assert_eq!(how(&w, "/a").await, "uri-miss invalidated");
    for other in ["/a", "/a?x", "/b", "https://example.com/a", "http://other.com/a"] {
        assert_eq!(how(&w, other).await, "hit", "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_uri_is_keyed_as_a_request_is() {
    let keys = KeyPolicy::default()
        .query(Parameters::AllBut(vec!["utm".into()]))
        .header(http::HeaderName::from_static("x-device"));
    let w = world_with(|builder| builder.key_policy(keys));
    w.origin.always("/a", |_| ok("a").max_age(1_000));
    let ask = |device: &'static str| w.get("/a?b=1&utm=2").header("x-device", device);
    for device in ["tv", "phone"] {
        assert_eq!(ask(device).told().await, "200 a (uri-miss)");
        assert_eq!(ask(device).told().await, "200 a (hit)");
    }
    handle(&w).invalidate("http://example.com/a?utm=3&b=1").await.unwrap();
    for device in ["tv", "phone"] {
        let reply = ask(device).await;
        assert_eq!(reply.cache().detail(), Some(Detail::Invalidated), "{device}");
        assert_eq!(reply.how(), "uri-miss", "whatever the key has beside the URI");
        settle().await;
        assert_eq!(ask(device).told().await, "200 a (hit)");
    }
}

#[tokio::test(start_paused = true)]
async fn paths_go_by_pattern() {
    const ALL: [&str; 6] = ["/", "/a", "/a?x=1", "/a?y", "/a/b", "/about"];
    for (pattern, gone) in [
        ("/a", &["/a"][..]),
        ("/a?x=1", &["/a?x=1"]),
        ("/a?*", &["/a?x=1", "/a?y"]),
        ("/a*", &["/a", "/a?x=1", "/a?y", "/a/b", "/about"]),
        ("/a/*", &["/a/b"]),
        ("/A", &[]),
        ("/*", &ALL),
    ] {
        let w = stored(&ALL).await;
        handle(&w).invalidate_path(pattern).await.unwrap();
        for target in ALL {
            let expected = if gone.contains(&target) { "uri-miss invalidated" } else { "hit" };
            assert_eq!(how(&w, target).await, expected, "{pattern} {target}");
            assert_eq!(how(&w, target).await, "hit", "what came after it stays");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_is_of_all_hosts_or_of_one() {
    const ALL: [&str; 4] =
        ["http://a.com/x", "https://a.com/x", "http://a.com:81/x", "http://b.com/x"];
    for (host, gone) in [(None, 4), (Some("A.com."), 3), (Some("c.com"), 0)] {
        for is_all in [false, true] {
            let w = world();
            w.origin.always("/x", |_| ok("a").max_age(1_000));
            for target in ALL {
                w.get(target).told().await;
            }
            let handle = handle(&w);
            let mut invalidate =
                if is_all { handle.invalidate_all() } else { handle.invalidate_path("/x") };
            if let Some(host) = host {
                invalidate = invalidate.host(host);
            }
            invalidate.await.unwrap();
            for (at, target) in ALL.into_iter().enumerate() {
                let expected = if at < gone { "uri-miss invalidated" } else { "hit" };
                assert_eq!(how(&w, target).await, expected, "{host:?} {target}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tags_of_three_fields() {
    let w = world_of(with_tags());
    for (path, field, value) in [
        ("/groups", "cache-groups", "\"red\", \"blue\""),
        ("/keys", "surrogate-key", "red green"),
        ("/tags", "cache-tag", "red, dark green"),
        ("/none", "x-tag", "red"),
    ] {
        w.origin.always(path, move |_| ok("a").max_age(1_000).header(field, value));
    }
    let all = ["/groups", "/keys", "/tags", "/none", "http://other.com/keys"];
    for target in all {
        w.get(target).told().await;
    }
    for (tags, host, gone) in [
        (&["green"][..], None, &["/keys", "http://other.com/keys"][..]),
        (&["dark green", "blue"], None, &["/tags", "/groups"]),
        (&["Red", "re", "dark"], None, &[]),
        (&["red"], Some("other.com"), &["http://other.com/keys"]),
        (&["red"], None, &["/groups", "/keys", "/tags", "http://other.com/keys"]),
    ] {
        let invalidate = handle(&w).invalidate_tags(tags);
        match host {
            Some(host) => invalidate.host(host).await.unwrap(),
            None => invalidate.await.unwrap(),
        };
        for target in all {
            let expected = if gone.contains(&target) { "uri-miss invalidated" } else { "hit" };
            assert_eq!(how(&w, target).await, expected, "{tags:?} {target}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tag_fields_never_reach_a_client() {
    let policy = with_tags().range_fetch(RangeFetch::AsAsked);
    let w = world_of(policy.stale_if_error(support::seconds(100)));
    w.origin.always("/a", |seen| match (seen.method.as_str(), seen.field("if-none-match")) {
        ("GET", None) => ok("a")
            .says("max-age=10")
            .etag("\"a\"")
            .header("surrogate-key", "k")
            .header("cache-tag", "t"),
        ("GET", Some(_)) => answer(304).header("surrogate-key", "k2").etag("\"a\""),
        _ => ok("a").header("surrogate-key", "k").header("cache-tag", "t"),
    });
    w.origin.always("/private", |_| ok("a").says("private").header("surrogate-key", "k"));
    w.origin.always("/part", |_| {
        let part = answer(206).body("ab").header("content-range", "bytes 0-1/9").etag("\"p\"");
        part.max_age(10).header("cache-tag", "t")
    });
    w.origin.says("/fails", ok("a").says("max-age=10").header("cache-tag", "t"));
    w.get("/fails").told().await;
    w.origin.always("/fails", |_| answer(503).header("cache-tag", "t"));
    let asks = [
        ("GET", "/a", "uri-miss"),
        ("GET", "/a", "hit"),
        ("HEAD", "/a", "hit"),
        ("GET", "/private", "uri-miss"),
        ("GET", "/private", "uri-miss"),
        ("OPTIONS", "/a", "method"),
        ("POST", "/private", "method"),
    ];
    for (method, target, expected) in asks {
        let reply = w.client.ask(method, target).await;
        assert_eq!(reply.how(), expected, "{method} {target}");
        for name in TAG_FIELDS {
            assert!(!reply.headers.contains_key(name), "{name}: {method} {target}");
        }
        reply.text().await;
        settle().await;
    }
    let part = w.get("/part").header("range", "bytes=0-1").await;
    assert_eq!((part.status, part.field("cache-tag")), (206, None));
    part.text().await;
    pass(11).await;
    for (target, expected) in [("/a", "200 a (stale)"), ("/fails", "200 a (stale)")] {
        let reply = w.get(target).await;
        assert!(TAG_FIELDS.iter().all(|name| !reply.headers.contains_key(*name)), "{target}");
        assert_eq!(reply.told().await, expected);
    }
    settle().await;
    let hit = w.get("/a").await;
    assert_eq!((hit.how().as_str(), hit.field("surrogate-key")), ("hit", None));
}

#[tokio::test(start_paused = true)]
async fn tag_fields_that_the_policy_does_not_name_are_the_clients() {
    let w = world();
    w.origin.always("/a", |_| ok("a").max_age(1_000).header("surrogate-key", "k"));
    for expected in ["uri-miss", "hit"] {
        let reply = w.get("/a").await;
        assert_eq!((reply.how().as_str(), reply.field("surrogate-key")), (expected, Some("k")));
        reply.text().await;
        settle().await;
    }
    handle(&w).invalidate_tags(["k"]).await.unwrap();
    assert_eq!(how(&w, "/a").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn a_304_without_tags_keeps_those_that_were_there() {
    let w = world_of(with_tags());
    w.origin.says("/a", ok("a").max_age(10).etag("\"a\"").header("surrogate-key", "k"));
    w.get("/a").told().await;
    for update in [None, Some("other")] {
        let mut unchanged = answer(304).max_age(10).etag("\"a\"");
        if let Some(tag) = update {
            // Which field had which tag is not known: they stay until all fields are there again.
            unchanged = unchanged.header("surrogate-key", tag).header("cache-tag", tag);
        }
        w.origin.says("/a", unchanged);
        pass(11).await;
        assert_eq!(how(&w, "/a").await, "stale");
    }
    handle(&w).invalidate_tags(["k"]).await.unwrap();
    assert_eq!(how(&w, "/a").await, "hit", "the second one has said otherwise");
    handle(&w).invalidate_tags(["other"]).await.unwrap();
    w.origin.always("/a", |_| ok("a").max_age(10));
    assert_eq!(how(&w, "/a").await, "uri-miss invalidated");
}

#[tokio::test(start_paused = true)]
async fn no_tag_beyond_the_limits_escapes() {
    let many: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    let long = "x".repeat(300);
    for keys in [many.join(" "), format!("a {long}")] {
        let w = world_of(with_tags());
        let line = keys.clone();
        w.origin.always("/a", move |_| ok("a").max_age(1_000).header("surrogate-key", &line));
        w.get("/a").told().await;
        assert_eq!(how(&w, "/a").await, "hit");
        handle(&w).invalidate_tags(["59"]).await.unwrap();
        assert_eq!(how(&w, "/a").await, "uri-miss invalidated", "it counts as one with every tag");
    }
}

#[tokio::test(start_paused = true)]
async fn all_variants_go() {
    for mode in ["uri", "path", "soft"] {
        let w = world();
        w.origin.always("/", |_| ok("a").max_age(1_000).vary("x-a").etag("\"a\""));
        for value in ["1", "2"] {
            w.get("/").header("x-a", value).told().await;
            assert_eq!(w.get("/").header("x-a", value).told().await, "200 a (hit)");
        }
        let handle = handle(&w);
        match mode {
            "uri" => handle.invalidate("http://example.com/").await,
            "path" => handle.invalidate_path("/*").await,
            _ => handle.invalidate_all().soft().await,
        }
        .unwrap();
        for value in ["1", "2"] {
            assert_ne!(w.get("/").header("x-a", value).await.how(), "hit", "{mode} {value}");
            settle().await;
            assert_eq!(w.get("/").header("x-a", value).told().await, "200 a (hit)");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn soft_is_validated_and_fresh_again() {
    for by in ["uri", "path", "tag", "all"] {
        let w = world();
        let origin = |body: &'static str| {
            ok(body).max_age(1_000).etag("\"a\"").header("cache-groups", "\"g\"")
        };
        w.origin.says("/a", origin("a"));
        w.get("/a").told().await;
        pass(5).await;
        let handle = handle(&w);
        match by {
            "uri" => handle.invalidate("http://example.com/a"),
            "path" => handle.invalidate_path("/a"),
            "tag" => handle.invalidate_tags(["g"]),
            _ => handle.invalidate_all(),
        }
        .soft()
        .await
        .unwrap();
        w.origin.says("/a", answer(304).etag("\"a\"").max_age(1_000));
        let reply = w.get("/a").await;
        assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""), "{by}");
        let status = reply.cache();
        assert_eq!(status.forward(), Some(Forward::Stale), "{by}");
        assert_eq!(status.forward_status().map(|s| s.as_u16()), Some(304));
        assert_eq!(status.detail(), Some(Detail::Invalidated));
        let field = reply.field("cache-status").unwrap();
        assert_eq!(
            field,
            "tower-cdn; fwd=stale; fwd-status=304; ttl=1000; stored; detail=invalidated"
        );
        assert_eq!(reply.text().await, "a");
        settle().await;
        assert_eq!(how(&w, "/a").await, "hit", "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn hard_asks_without_validators() {
    let w = stored(&["/a"]).await;
    handle(&w).invalidate_path("/a").await.unwrap();
    w.get("/a").told().await;
    assert_eq!(w.origin.last().field("if-none-match"), None, "what is gone is not validated");
}

#[tokio::test(start_paused = true)]
async fn soft_answers_while_the_origin_fails_as_far_as_it_is_permitted() {
    let w = world();
    w.origin.says("/a", ok("a").says("max-age=1000, stale-if-error=50"));
    w.origin.says("/never", ok("a").says("max-age=1000"));
    w.origin.says("/hard", ok("a").says("max-age=1000, stale-if-error=50"));
    for path in ["/a", "/never", "/hard"] {
        w.get(path).told().await;
        w.origin.always(path, |_| answer(503));
    }
    pass(5).await;
    handle(&w).invalidate_path("/hard").await.unwrap();
    for path in ["/a", "/never"] {
        handle(&w).invalidate_path(path).soft().await.unwrap();
    }
    for seconds in [0, 49] {
        pass(seconds).await;
        let reply = w.get("/a").await;
        assert_eq!(reply.cache().detail(), Some(Detail::StaleIfError));
        assert_eq!(reply.cache().ttl(), Some(-(seconds as i64)), "stale since the invalidation");
        assert_eq!(reply.told().await, "200 a (stale)");
    }
    assert_eq!(w.get("/never").told().await, "503  (stale)");
    assert_eq!(w.get("/hard").told().await, "503  (uri-miss)");
    pass(1).await;
    assert_eq!(w.get("/a").told().await, "503  (stale)", "fifty seconds after it");
    w.origin.always("/a", |_| fail());
    assert!(w.get("/a").outcome().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn soft_is_not_used_while_it_is_validated() {
    let w = world();
    w.origin.says("/a", ok("old").says("max-age=1000, stale-while-revalidate=1000"));
    w.get("/a").told().await;
    handle(&w).invalidate_all().soft().await.unwrap();
    w.origin.says("/a", ok("new").max_age(1_000));
    assert_eq!(w.get("/a").told().await, "200 new (stale)");
}

#[tokio::test(start_paused = true)]
async fn soft_is_not_for_clients_that_take_what_is_stale() {
    let w = world_with(|b| b.policy(CachePolicy::default().honor_request_directives(true)));
    w.origin.says("/a", ok("old").max_age(1_000));
    w.get("/a").told().await;
    pass(5).await;
    handle(&w).invalidate_all().soft().await.unwrap();
    for seconds in [0, 10] {
        pass(seconds).await;
        w.origin.says("/a", ok("new").max_age(0));
        let ask = w.get("/a").header("cache-control", "max-stale");
        assert_eq!(ask.told().await, "200 new (stale)", "after {seconds} s");
        handle(&w).invalidate_all().soft().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_failing_origin_share_what_is_stale() {
    let w = world();
    w.origin.says("/a", ok("a").says("max-age=1000, stale-if-error=50"));
    w.get("/a").told().await;
    handle(&w).invalidate_all().soft().await.unwrap();
    let (failing, hold) = answer(503).held();
    w.origin.says("/a", failing);
    let asks: Vec<_> = (0..5).map(|_| w.get("/a").start_told()).collect();
    settle().await;
    hold.release();
    for (n, ask) in asks.into_iter().enumerate() {
        let expected = if n == 0 { "200 a (stale)" } else { "200 a (stale+)" };
        assert_eq!(ask.await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_is_delivered_to_those_who_wait_and_not_reused() {
    for by in ["uri", "path", "tag", "all", "soft"] {
        let w = world();
        let groups =
            |answer: support::Answer| answer.max_age(1_000).header("cache-groups", "\"g\"");
        let (old, hold) = groups(ok("old")).held();
        w.origin.says("/", old);
        let leader = w.get("/").start_told();
        settle().await;
        let follower = w.get("/").start_told();
        settle().await;
        let handle = handle(&w);
        match by {
            "uri" => handle.invalidate("http://example.com/"),
            "path" => handle.invalidate_path("/*"),
            "tag" => handle.invalidate_tags(["g"]),
            "all" => handle.invalidate_all(),
            _ => handle.invalidate_all().soft(),
        }
        .await
        .unwrap();
        w.origin.always("/", move |_| groups(ok("new")));
        let later = w.get("/").start_told();
        settle().await;
        hold.release();
        assert_eq!(leader.await.unwrap(), "200 old (uri-miss)", "{by}");
        assert_eq!(follower.await.unwrap(), "200 old (uri-miss+)", "{by}");
        assert!(later.await.unwrap().starts_with("200 new"), "{by}");
        settle().await;
        assert!(w.get("/").told().await.starts_with("200 new"), "{by}");
        assert_eq!(w.get("/").told().await, "200 new (hit)", "{by}");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_arriving_is_not_reused() {
    for by_tag in [true, false] {
        let w = world();
        let (old, feed) = ok("").max_age(1_000).header("cache-groups", "\"g\"").fed();
        w.origin.says("/", old);
        let before = w.get("/").start_told();
        settle().await;
        feed.chunk("ol");
        settle().await;
        let handle = handle(&w);
        let invalidate =
            if by_tag { handle.invalidate_tags(["g"]) } else { handle.invalidate_path("/") };
        invalidate.await.unwrap();
        w.origin.says("/", ok("new").max_age(1_000));
        assert_eq!(w.get("/").told().await, "200 new (uri-miss)");
        feed.chunk("d");
        feed.end();
        assert_eq!(before.await.unwrap(), "200 old (uri-miss)");
        settle().await;
        assert_eq!(w.get("/").told().await, "200 new (hit)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_behind_does_not_bring_the_old_response_back() {
    for unchanged in [true, false] {
        for soft in [true, false] {
            let w = world();
            w.origin
                .says("/", ok("old").says("max-age=10, stale-while-revalidate=100").etag("\"a\""));
            w.get("/").told().await;
            pass(10).await;
            let (slow, hold) = support::refreshed("old", unchanged).held();
            w.origin.says("/", slow);
            w.origin.says("/", ok("new").max_age(1_000));
            assert_eq!(w.get("/").told().await, "200 old (stale-hit)");
            let invalidate = handle(&w).invalidate_path("/*");
            if soft { invalidate.soft().await } else { invalidate.await }.unwrap();
            hold.release();
            settle().await;
            let expected = if soft { "200 new (stale)" } else { "200 new (uri-miss)" };
            assert_eq!(w.get("/").told().await, expected, "304: {unchanged}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_has_its_number_and_time() {
    let w = world();
    let handle = handle(&w);
    let first = handle.invalidate_all().await.unwrap();
    pass(3).await;
    let second = handle.invalidate_tags(["a", "b"]).soft().await.unwrap();
    assert!(first.number() < second.number());
    assert_eq!(second.time().duration_since(first.time()).unwrap(), support::seconds(3));
}

#[tokio::test(start_paused = true)]
async fn err_nothing_is_half_done() {
    let w = stored(&["/a"]).await;
    let handle = handle(&w);
    let long = format!("/{}", "x".repeat(4_000));
    for pattern in ["", "a", "/*a", "*", "/a**", &long] {
        let error = handle.invalidate_path(pattern).await.unwrap_err();
        assert!(error.is_pattern() && error.to_string().starts_with("path pattern: "), "{error}");
    }
    for uri in ["/a", "", "example.com", "http://exa mple.com/", "http://a@example.com/a"] {
        assert!(handle.invalidate(uri).await.unwrap_err().is_uri(), "{uri}");
    }
    let long = "x".repeat(257);
    assert!(handle.invalidate_tags(["a", &long]).await.unwrap_err().is_tag());
    assert!(handle.invalidate_tags(["a", ""]).await.unwrap_err().is_tag());
    assert!(handle.invalidate_tags([""; 0]).await.unwrap_err().is_tag());
    assert!(handle.invalidate_all().host("a:80").await.unwrap_err().is_host());
    let twice = handle.invalidate("http://example.com/a").host("example.com").await;
    assert!(twice.unwrap_err().is_host());
    let stats = w.stats();
    assert_eq!((stats.invalidations, stats.rules), (0, 0));
    assert_eq!(how(&w, "/a").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_that_is_not_awaited() {
    let w = stored(&["/a"]).await;
    drop(handle(&w).invalidate_all());
    assert_eq!(how(&w, "/a").await, "hit");
    let mut invalidating = std::pin::pin!(IntoFuture::into_future(handle(&w).invalidate_all()));
    _ = futures_util::future::poll_immediate(&mut invalidating).await;
    assert_eq!(how(&w, "/a").await, "uri-miss invalidated", "from the first poll on");
}

#[tokio::test(start_paused = true)]
async fn it_shows_in_the_statistics() {
    let w = stored(&["/a", "/b", "/c"]).await;
    w.origin.says("/d", answer(204));
    w.post("/d").told().await;
    handle(&w).invalidate("http://example.com/a").await.unwrap();
    handle(&w).invalidate_path("/b").await.unwrap();
    handle(&w).invalidate_path("/c").soft().await.unwrap();
    let before = w.stats();
    assert_eq!((before.invalidations, before.invalidated), (4, 0));
    assert_eq!(before.rules, 4);
    for target in ["/a", "/b", "/c", "/a", "/b", "/c"] {
        w.get(target).told().await;
    }
    assert_eq!(w.stats().invalidated, 3, "each of them once");
}

#[tokio::test(start_paused = true)]
async fn rules_that_nothing_needs_any_more_are_forgotten() {
    let w = world_of(CachePolicy::default().max_ttl(support::seconds(60)));
    for n in 0..10 {
        handle(&w).invalidate_path(format!("/{n}")).await.unwrap();
    }
    assert_eq!(w.stats().rules, 10);
    pass(2 * 24 * 60 * 60).await;
    handle(&w).invalidate_path("/again").await.unwrap();
    assert_eq!(w.stats().rules, 1);
    store(&w, &["/0"]).await;
    assert_eq!(how(&w, "/0").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn the_first_of_two_layers_on_one_store_does_not_speak_for_the_other() {
    let w = stored(&["/a"]).await;
    let other = tower_cdn::CdnCacheLayer::builder(w.store.clone()).clock(w.clock.clone()).build();
    other.handle().invalidate_path("/none").await.unwrap();
    handle(&w).invalidate_path("/a").await.unwrap();
    let client = support::Client::new(tower::Layer::layer(&other, w.origin.clone()));
    assert_eq!(client.get("/a").told().await, "200 a (hit)", "its rules know nothing of it");
    assert_eq!(how(&w, "/a").await, "uri-miss invalidated");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unsafe_requests_takes_nothing_with_it() {
    let w = stored(&["/a", "/b"]).await;
    handle(&w).invalidate_path("/b").await.unwrap();
    w.origin.always("/x", |_| answer(204));
    for n in 0..17_000 {
        drop(w.post(&format!("/x?{n}")).await);
        if n % 1_000 == 0 {
            settle().await;
        }
    }
    assert!(w.stats().rules <= 16_385, "{}", w.stats().rules);
    assert_eq!(how(&w, "/a").await, "hit");
    assert_eq!(how(&w, "/b").await, "uri-miss invalidated", "what operators say stays");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_names_nothing_is_no_rule() {
    let w = world();
    w.origin.always("/x", |_| answer(204));
    let target = format!("/x?{}", "y".repeat(9_000));
    assert_eq!(w.post(&target).told().await, "204  (method)", "too long to be a key");
    assert_eq!(w.stats().rules, 0);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_is_not_stored_if_it_became_invalid_on_its_way() {
    for (what, hit) in [
        ("nothing", true),
        ("another tag", true),
        ("another uri", true),
        ("a post to another uri", true),
        ("its tag", false),
        ("its uri", false),
        ("its path, softly", false),
        ("everything", false),
        ("another post", false),
    ] {
        let w = world_of(with_tags().store_post(true));
        let field = TAG_FIELDS[0];
        let about = ok("a").max_age(1_000).header(field, "red").header("content-location", "/");
        let (slow, hold) = about.held();
        w.origin.says("/", slow);
        w.origin.always("/", |_| ok("b").max_age(1_000));
        w.origin.always("/other", |_| answer(204));
        let post = w.post("/").start_told();
        settle().await;
        match what {
            "another tag" => drop(handle(&w).invalidate_tags(["blue"]).await.unwrap()),
            "another uri" => drop(handle(&w).invalidate("http://example.com/c").await.unwrap()),
            "a post to another uri" => drop(w.post("/other").told().await),
            "its tag" => drop(handle(&w).invalidate_tags(["red"]).await.unwrap()),
            "its uri" => drop(handle(&w).invalidate("http://example.com/").await.unwrap()),
            "its path, softly" => drop(handle(&w).invalidate_path("/*").soft().await.unwrap()),
            "everything" => drop(handle(&w).invalidate_all().await.unwrap()),
            "another post" => drop(w.post("/").told().await),
            _ => {}
        }
        hold.release();
        assert_eq!(post.await.unwrap(), "200 a (method)", "{what}");
        settle().await;
        let expected = if hit { "200 a (hit)" } else { "200 b (uri-miss)" };
        assert_eq!(w.get("/").told().await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_is_not_stored_if_nobody_knows_what_became_invalid_on_its_way() {
    let w = world_of(CachePolicy::default().store_post(true));
    let (slow, hold) = ok("a").max_age(1_000).header("content-location", "/").held();
    w.origin.says("/", slow);
    w.origin.always("/", |_| ok("b").max_age(1_000));
    w.origin.always("/x", |_| answer(204));
    let post = w.post("/").start_told();
    settle().await;
    assert_eq!(w.post("/").told().await, "200 b (method)");
    // So many that the rule of the other POST is forgotten.
    for n in 0..33_000 {
        drop(w.post(&format!("/x?{n}")).await);
        if n % 1_000 == 0 {
            settle().await;
        }
    }
    hold.release();
    assert_eq!(post.await.unwrap(), "200 a (method)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 b (uri-miss)");
}
