//! Invalidation by unsafe methods (RFC 9111 section 4.4).
mod support;

use support::{World, answer, fail, ok, pass, settle, world, world_with};
use tower_cdn::{KeyPolicy, Parameters};

/// A stored response under each of these targets.
async fn stored(targets: &[&'static str]) -> World {
    let w = world();
    for target in targets {
        let path = target.rsplit_once(".com").map_or(*target, |(_, path)| path);
        let path = path.split('?').next().unwrap_or_default();
        w.origin.always(path, |_| ok("a").max_age(1_000));
        assert_eq!(w.get(target).told().await, "200 a (uri-miss)");
    }
    w
}

async fn how(w: &World, target: &str) -> String {
    let how = w.get(target).await.how();
    settle().await;
    how
}

#[tokio::test(start_paused = true)]
async fn s4_4_unsafe_methods_invalidate_their_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "MKCOL", "UNKNOWN"] {
        let w = stored(&["/a", "/a?x", "/b"]).await;
        w.origin.says("/a", answer(204));
        let reply = w.client.ask(method, "/a").await;
        assert_eq!(reply.told().await, "204  (method)");
        assert_eq!(how(&w, "/a").await, "uri-miss", "{method}");
        assert_eq!(how(&w, "/a?x").await, "hit", "another URI");
        assert_eq!(how(&w, "/b").await, "hit");
    }
}

#[tokio::test(start_paused = true)]
async fn safe_methods_do_not() {
    for method in ["OPTIONS", "TRACE", "QUERY"] {
        let w = stored(&["/a"]).await;
        w.origin.says("/a", answer(200));
        assert_eq!(w.client.ask(method, "/a").told().await, "200  (method)");
        assert_eq!(how(&w, "/a").await, "hit", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn s4_4_only_answers_that_are_no_errors() {
    for (status, expected) in
        [(200, "uri-miss"), (303, "uri-miss"), (400, "hit"), (404, "hit"), (500, "hit")]
    {
        let w = stored(&["/a"]).await;
        w.origin.says("/a", answer(status));
        w.post("/a").told().await;
        assert_eq!(how(&w, "/a").await, expected, "{status}");
    }
    let w = stored(&["/a"]).await;
    w.origin.says("/a", fail());
    assert!(w.post("/a").outcome().await.is_err());
    assert_eq!(how(&w, "/a").await, "hit", "failed");
}

#[tokio::test(start_paused = true)]
async fn s4_4_location_and_content_location_of_the_same_origin() {
    for name in ["location", "content-location"] {
        for (value, expected) in [
            ("/b", "uri-miss"),
            ("http://example.com/b", "uri-miss"),
            ("//example.com/b", "uri-miss"),
            ("http://EXAMPLE.com/b#part", "uri-miss"),
            ("../b", "uri-miss"),
            ("./x/../../b", "uri-miss"),
            ("http://other.com/b", "hit"),
            ("https://example.com/b", "hit"),
            ("http://example.com:8080/b", "hit"),
            ("/b?x", "hit"),
            ("::", "hit"),
        ] {
            let w = stored(&["/b"]).await;
            w.origin.says("/x/a", answer(201).header(name, value));
            w.post("/x/a").told().await;
            assert_eq!(how(&w, "/b").await, expected, "{name}: {value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s4_4_another_origin_is_never_invalidated() {
    let w = stored(&["http://other.com/b"]).await;
    w.origin.says("/a", answer(201).header("location", "http://other.com/b"));
    w.post("/a").told().await;
    assert_eq!(how(&w, "http://other.com/b").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn the_default_port_is_the_same_origin() {
    let w = stored(&["/b"]).await;
    w.origin.says("/a", answer(201).header("location", "http://example.com:80/b"));
    w.post("/a").told().await;
    assert_eq!(how(&w, "/b").await, "uri-miss");
}

#[tokio::test(start_paused = true)]
async fn all_variants_are_invalidated() {
    let w = world();
    w.origin.always("/", |seen| {
        if seen.method == "POST" { answer(204) } else { ok("a").max_age(1_000).vary("x-a") }
    });
    for value in ["1", "2"] {
        w.get("/").header("x-a", value).told().await;
    }
    w.post("/").told().await;
    for value in ["1", "2"] {
        assert_ne!(w.get("/").header("x-a", value).await.how(), "hit", "{value}");
        settle().await;
    }
    for value in ["1", "2"] {
        assert_eq!(w.get("/").header("x-a", value).await.how(), "hit", "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_is_not_reused() {
    let w = world();
    let (old, hold) = ok("old").max_age(1_000).held();
    w.origin.says("/", old);
    w.origin.says("/", answer(204));
    w.origin.says("/", ok("new").max_age(1_000));
    let before = w.get("/").start_told();
    settle().await;
    w.post("/").told().await;
    let after = w.get("/").start_told();
    settle().await;
    assert!(
        after.is_finished(),
        "who asks after the change does not wait for what was asked before"
    );
    assert_eq!(after.await.unwrap(), "200 new (uri-miss)");
    hold.release();
    assert_eq!(before.await.unwrap(), "200 old (uri-miss)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 new (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_arriving_is_not_reused() {
    let w = world();
    let (old, feed) = ok("").max_age(1_000).fed();
    w.origin.says("/", old);
    w.origin.says("/", answer(204));
    w.origin.says("/", ok("new").max_age(1_000));
    let before = w.get("/").start_told();
    settle().await;
    feed.chunk("ol");
    w.post("/").told().await;
    feed.chunk("d");
    feed.end();
    assert_eq!(before.await.unwrap(), "200 old (uri-miss)", "who asked before gets all of it");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 new (uri-miss)", "but it was not stored");
    assert_eq!(w.get("/").told().await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_ends_late_does_not_take_away_what_came_after_it() {
    let w = world();
    let (old, feed) = ok("").max_age(1_000).fed();
    w.origin.says("/", old);
    w.origin.says("/", answer(204));
    w.origin.says("/", ok("new").max_age(1_000));
    let before = w.get("/").start_told();
    settle().await;
    w.post("/").told().await;
    assert_eq!(w.get("/").told().await, "200 new (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 new (hit)");
    feed.chunk("old");
    feed.end();
    assert_eq!(before.await.unwrap(), "200 old (uri-miss)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_does_not_bring_back_what_was_invalidated() {
    for unchanged in [true, false] {
        let w = world();
        w.origin.says("/", ok("old").says("max-age=10, stale-while-revalidate=100").etag("\"a\""));
        assert_eq!(w.get("/").told().await, "200 old (uri-miss)");
        pass(10).await;
        let (slow, hold) = support::refreshed("old", unchanged).held();
        w.origin.says("/", slow);
        w.origin.says("/", answer(204));
        w.origin.says("/", ok("new").max_age(1_000));
        assert_eq!(w.get("/").told().await, "200 old (stale-hit)");
        w.post("/").told().await;
        hold.release();
        settle().await;
        assert_eq!(w.get("/").told().await, "200 new (uri-miss)", "304: {unchanged}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_the_unsafe_answer_came_counts_as_old() {
    // The GET is sent while the POST is under way: nobody knows which state it saw.
    let w = world();
    let (slow_post, post_hold) = answer(204).held();
    w.origin.says("/", slow_post);
    w.origin.says("/", ok("old").max_age(1_000));
    w.origin.says("/", ok("new").max_age(1_000));
    let post = w.post("/").start_told();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 old (uri-miss)");
    post_hold.release();
    post.await.unwrap();
    assert_eq!(w.get("/").told().await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn unsafe_targets_are_keyed_like_others() {
    let w = world_with(|builder| builder.key_policy(KeyPolicy::default().query(Parameters::None)));
    w.origin.always(
        "/a",
        |seen| if seen.method == "GET" { ok("a").max_age(1_000) } else { answer(204) },
    );
    assert_eq!(w.get("/a?one").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/a?two").told().await, "200 a (hit)");
    w.post("/a?three").told().await;
    assert_eq!(w.origin.last().target(), "http://example.com/a?three", "forwarded untouched");
    assert_eq!(w.get("/a").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn many_invalidations_are_forgotten_again() {
    let w = world();
    w.origin.always(
        "/",
        |seen| if seen.method == "GET" { ok("a").max_age(1_000) } else { answer(204) },
    );
    let (pending, feed) = ok("").max_age(1_000).fed();
    w.origin.says("/pending", pending);
    let asked = w.get("/pending").start_told();
    settle().await;
    // More than are remembered one by one while a fetch is under way.
    for n in 0..5_000 {
        drop(w.post(&format!("/?{n}")).await);
    }
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (hit)", "asked for after all of them");
    feed.chunk("p");
    feed.end();
    assert_eq!(asked.await.unwrap(), "200 p (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 a (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_does_not_undo_what_it_has_changed() {
    let w = world();
    w.origin.always("/a", |_| ok("old").max_age(600));
    w.get("/a").told().await;
    let (answer, hold) = answer(204).held();
    w.origin.says("/a", answer);
    let post = w.post("/a").start();
    settle().await;
    post.abort();
    settle().await;
    hold.release();
    settle().await;
    w.origin.always("/a", |_| ok("new").max_age(600));
    assert_eq!(w.get("/a").told().await, "200 new (uri-miss)");
}
