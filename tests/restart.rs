//! A store that outlives the process keeps responses and what was said of them: no restart brings back what was invalidated.
mod support;

use std::sync::{Arc, atomic::Ordering};
use support::{Client, Origin, PlainStore, answer, ok, pass, seconds, settle};
use tower::Layer;
use tower_cdn::{CachePolicy, CdnCache, CdnCacheLayer, Clock, Detail, Handle};

/// A store, and an origin, which go on while processes come and go.
struct Machine {
    store: Arc<PlainStore>,
    origin: Origin,
    clock: Clock,
}

/// What lives until the restart.
struct Process {
    layer: CdnCacheLayer,
    client: Client<CdnCache<Origin>>,
}

impl Machine {
    fn new() -> Self {
        Self { store: Arc::default(), origin: Origin::new(), clock: Clock::tokio() }
    }

    fn start(&self) -> Process {
        let policy =
            CachePolicy::default().tag_fields([http::HeaderName::from_static("cache-tag")]);
        let builder = CdnCacheLayer::builder(Arc::clone(&self.store));
        let layer = builder.policy(policy).clock(self.clock.clone()).build();
        let client = Client::new(layer.layer(self.origin.clone()));
        Process { layer, client }
    }

    /// Responses under these targets, of the origin of that time.
    async fn store(&self, process: &Process, targets: &[&str], body: &'static str) {
        for target in targets {
            let path = target.split('?').next().expect("a path");
            self.origin.always(path, move |_| {
                ok(body)
                    .says("max-age=1000, stale-if-error=1000")
                    .etag("\"a\"")
                    .header("cache-tag", "t")
            });
            assert_eq!(process.get(target).await, format!("200 {body} (uri-miss)"));
            assert_eq!(process.get(target).await, format!("200 {body} (hit)"));
        }
    }
}

impl Process {
    fn handle(&self) -> Handle {
        self.layer.handle()
    }

    async fn get(&self, target: &str) -> String {
        self.client.get(target).told().await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_comes_back() {
    let machine = Machine::new();
    machine.store(&machine.start(), &["/a"], "old").await;
    pass(5).await;
    let reply = machine.start().client.get("/a").await;
    assert_eq!((reply.age(), reply.told().await.as_str()), (Some(5), "200 old (hit)"));
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_does_not() {
    for by in ["uri", "path", "prefix", "host", "tag", "all"] {
        let machine = Machine::new();
        let first = machine.start();
        machine.store(&first, &["/a?b"], "old").await;
        let handle = first.handle();
        let receipt = match by {
            "uri" => handle.invalidate("http://example.com/a?b"),
            "path" => handle.invalidate_path("/a?b"),
            "prefix" => handle.invalidate_path("/*"),
            "host" => handle.invalidate_path("/a*").host("example.com"),
            "tag" => handle.invalidate_tags(["t"]),
            _ => handle.invalidate_all(),
        }
        .await
        .unwrap();
        assert!(receipt.is_durable());
        drop((first, handle));

        let second = machine.start();
        machine.origin.says("/a", ok("new").max_age(1_000));
        let reply = second.client.get("/a?b").await;
        if by != "uri" {
            assert_eq!(reply.cache().detail(), Some(Detail::Invalidated), "{by}");
        }
        assert_eq!(reply.told().await, "200 new (uri-miss)", "{by}");
        settle().await;
        assert_eq!(second.get("/a?b").await, "200 new (hit)", "{by}");
        assert_eq!(machine.start().get("/a?b").await, "200 new (hit)", "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_softly_is_stale_since_then() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a", "/b"], "old").await;
    first.handle().invalidate_all().soft().await.unwrap();
    drop(first);
    pass(7).await;
    let second = machine.start();
    machine.origin.says("/a", answer(503));
    let reply = second.client.get("/a").await;
    assert_eq!(reply.cache().ttl(), Some(-7));
    assert_eq!(reply.told().await, "200 old (stale)");
    machine.origin.says("/b", answer(304).etag("\"a\"").max_age(1_000));
    assert_eq!(second.get("/b").await, "200 old (stale)");
    assert_eq!(second.get("/b").await, "200 old (hit)", "validated since");
    assert_eq!(machine.start().get("/b").await, "200 old (hit)");
}

#[tokio::test(start_paused = true)]
async fn what_an_unsafe_answer_has_invalidated_does_not() {
    let machine = Machine::new();
    let first = machine.start();
    machine.origin.always("/a", |_| ok("old").max_age(1_000));
    machine.origin.always("/b", |_| ok("old").max_age(1_000).header("cache-groups", "\"g\""));
    let ask = |process: &Process, target: &str| {
        // Its key has more than its URI: it cannot be deleted, since nobody knows what.
        process.client.get(target).header("x-forwarded-host", "h")
    };
    for target in ["/a", "/b"] {
        assert_eq!(ask(&first, target).told().await, "200 old (uri-miss)");
        assert_eq!(ask(&first, target).told().await, "200 old (hit)");
    }
    machine.origin.says("/a", answer(204).header("cache-group-invalidation", "\"g\""));
    first.client.ask("POST", "/a").told().await;
    drop(first);
    let second = machine.start();
    for target in ["/a", "/b"] {
        machine.origin.always(target, |_| ok("new").max_age(1_000));
        assert_eq!(ask(&second, target).told().await, "200 new (uri-miss)", "{target}");
        assert_eq!(ask(&second, target).told().await, "200 new (hit)", "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_after_a_rule_stays() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a"], "old").await;
    first.handle().invalidate_path("/a").await.unwrap();
    machine.store(&first, &["/a"], "new").await;
    drop(first);
    assert_eq!(machine.start().get("/a").await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a"], "a").await;
    let before = first.handle().invalidate_path("/none").await.unwrap();
    drop(first);
    let after = machine.start().handle().invalidate_path("/none").await.unwrap();
    // All numbers that the first process might have given, as far as the store knows.
    assert!(after.number() > before.number() + 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn without_notes_the_old_response_would_come_back() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a"], "old").await;
    first.handle().invalidate_path("/a").await.unwrap();
    machine.store.all_notes().clear();
    assert_eq!(machine.start().get("/a").await, "200 old (hit)", "the tests above can fail");
}

#[tokio::test(start_paused = true)]
async fn err_notes_that_cannot_be_read_make_everything_invalid() {
    for damage in ["rule", "state", "version"] {
        let machine = Machine::new();
        let first = machine.start();
        machine.store(&first, &["/a"], "old").await;
        first.handle().invalidate_path("/none").await.unwrap();
        for (number, note) in machine.store.all_notes().iter_mut() {
            let is_state = *number == 0;
            *note = match damage {
                "rule" if !is_state => note.slice(..note.len() - 1),
                "state" if is_state => note.slice(1..),
                "version" => [&[9], &note[1..]].concat().into(),
                _ => continue,
            };
        }
        let second = machine.start();
        assert_eq!(second.handle().stats().store_faults, 1);
        machine.store(&second, &["/a"], "new").await;
        assert_eq!(second.get("/a").await, "200 new (hit)", "{damage}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_again() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a", "/b"], "old").await;
    machine.store.is_full.store(true, Ordering::Relaxed);
    let receipt = first.handle().invalidate_path("/a").await.unwrap();
    assert!(!receipt.is_durable());
    machine.origin.always("/a", |_| ok("new").max_age(1_000));
    assert_eq!(first.get("/a").await, "200 new (uri-miss)", "it is in force nevertheless");
    machine.store.is_full.store(false, Ordering::Relaxed);
    support::pass_for(seconds(2)).await;
    machine.store(&first, &["/c"], "c").await;
    first.handle().invalidate_path("/b").await.unwrap();
    let stored = machine.store.all_notes().len();
    assert_eq!(stored, 3, "both rules, and the state");
    drop(first);
    machine.origin.always("/b", |_| ok("new").max_age(1_000));
    assert_eq!(machine.start().get("/b").await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_for_a_minute() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a"], "old").await;
    machine.store.is_full.store(true, Ordering::Relaxed);
    assert!(!first.handle().invalidate_path("/a").await.unwrap().is_durable());
    for _ in 0..15 {
        support::pass_for(seconds(1)).await;
    }
    machine.store.is_full.store(false, Ordering::Relaxed);
    support::pass_for(seconds(60)).await;
    drop(first);
    machine.origin.always("/a", |_| ok("new").max_age(1_000));
    assert_eq!(machine.start().get("/a").await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn notes_are_withdrawn_that_say_nothing_any_more() {
    let machine = Machine::new();
    let first = machine.start();
    for _ in 0..50 {
        first.handle().invalidate_path("/a").soft().await.unwrap();
        first.handle().invalidate_tags(["a", "b"]).await.unwrap();
        machine.origin.says("/p", answer(204));
        first.client.ask("POST", "/p").told().await;
    }
    assert_eq!(machine.store.all_notes().len(), 3, "the last one of each");
    assert_eq!(first.handle().stats().rules, 4);
    drop(first);
    assert_eq!(machine.start().handle().stats().rules, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_holds_after_a_restart_too() {
    let machine = Machine::new();
    let first = machine.start();
    machine.store(&first, &["/a"], "old").await;
    first.handle().invalidate_tags(["t"]).await.unwrap();
    let many = (0..140_000).map(|n| n.to_string());
    first.handle().invalidate_tags(many).await.unwrap();
    assert!(first.handle().stats().rules <= 131_072);
    drop(first);
    let second = machine.start();
    machine.store(&second, &["/a"], "new").await;
    assert_eq!(second.get("/a").await, "200 new (hit)");
}
