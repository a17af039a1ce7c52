//! Cache groups (RFC 9875): what belongs together goes together.
mod support;
use support::*;

#[tokio::test(start_paused = true)]
async fn rfc9875_s3_the_answer_to_an_unsafe_request_invalidates_groups() {
    let w = world();
    for path in ["/scripts/a", "/scripts/b", "/other"] {
        let group = if path == "/other" { "\"others\"" } else { "\"x\", \"scripts\"" };
        for _ in 0..2 {
            w.origin.says(path, ok(path).max_age(60).header("cache-groups", group));
        }
        w.get(path).await.text().await;
    }
    settle().await;
    w.origin.says("/edit", ok("done").header("cache-group-invalidation", "\"scripts\""));
    w.post("/edit").await.text().await;
    for path in ["/scripts/a", "/scripts/b"] {
        assert!(!w.get(path).await.cache().is_hit(), "{path} belongs to the group");
    }
    assert!(w.get("/other").await.cache().is_hit(), "it belongs to another one");
    settle().await;
    assert!(w.get("/scripts/a").await.cache().is_hit(), "what came after the rule stays");
}

#[tokio::test(start_paused = true)]
async fn rfc9875_s3_on_the_answer_to_a_safe_request_it_is_ignored() {
    let w = world();
    w.origin.says("/a", ok("a").max_age(60).header("cache-groups", "\"g\""));
    w.get("/a").await.text().await;
    settle().await;
    w.origin.says("/safe", ok("").header("cache-group-invalidation", "\"g\""));
    w.get("/safe").await.text().await;
    assert!(w.get("/a").await.cache().is_hit());
}

#[tokio::test(start_paused = true)]
async fn rfc9875_s2_1_groups_belong_to_an_origin() {
    let w = world();
    w.origin.says("/a", ok("a").max_age(60).header("cache-groups", "\"g\""));
    w.get("/a").await.text().await;
    settle().await;
    w.origin.says("/edit", ok("").header("cache-group-invalidation", "\"g\""));
    w.post("http://other.example/edit").await.text().await;
    assert!(w.get("/a").await.cache().is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_is_not_reused_once_its_group_is_invalid() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("cache-groups", "\"g\"").fed();
    w.origin.says("/a", response);
    let first = w.get("/a").await;
    feed.chunk("old");
    w.origin.says("/edit", ok("").header("cache-group-invalidation", "\"g\""));
    w.post("/edit").await.text().await;
    feed.end();
    assert_eq!(first.text().await, "old", "who asked before gets it");
    settle().await;
    w.origin.says("/a", ok("new").max_age(60));
    assert_eq!(w.get("/a").await.text().await, "new");
}
