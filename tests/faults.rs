//! A store that gives trouble: clients never see it.
mod support;

use support::{
    Answer, Call, Client, Fault, Origin, Troubled, World, answer, ok, pass, seconds, settle,
    world_with,
};
use tower::Layer;
use tower_cdn::{CachePolicy, CdnCache, CdnCacheLayer, Clock};

const CALLS: [Call; 5] = [Call::Get, Call::Peek, Call::Put, Call::Freshen, Call::Delete];
const FAULTS: [Fault; 3] = [Fault::Error, Fault::Hang, Fault::Panic];

struct Trouble {
    origin: Origin,
    store: Troubled,
    layer: CdnCacheLayer,
    client: Client<CdnCache<Origin>>,
}

fn trouble(store: Troubled) -> Trouble {
    let policy = CachePolicy::default().store_timeout(seconds(1));
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).policy(policy).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    Trouble { origin, store, layer, client }
}

/// Fresh for ten seconds, then validated; an unsafe method succeeds; varies at `/vary`.
fn script(t: &Trouble) {
    let answers = |seen: &support::Seen| -> Answer {
        if seen.method == "POST" {
            return answer(204);
        }
        match seen.field("if-none-match") {
            Some(_) => answer(304).etag("\"a\"").max_age(10),
            None => ok("a").etag("\"a\"").max_age(10),
        }
    };
    t.origin.always("/", answers);
    t.origin.always("/vary", move |seen| {
        let answer = answers(seen);
        if seen.method == "POST" { answer } else { answer.vary("x-a") }
    });
}

async fn stories(t: &Trouble, what: &str) {
    for target in ["/", "/vary"] {
        for round in 0..3 {
            for value in ["1", "2"] {
                let reply = t.client.get(target).header("x-a", value).await;
                assert_eq!(reply.status, 200, "{what} {target} {round}");
                assert_eq!(reply.text().await, "a", "{what} {target} {round}");
                settle().await;
            }
            pass(10).await;
        }
        let head = t.client.ask("HEAD", target).await;
        assert_eq!(head.status, 200, "{what} {target}");
        let part = t.client.get(target).header("range", "bytes=0-0").await;
        assert!(matches!(part.status, 200 | 206), "{what} {target}");
        assert_eq!(part.text().await, "a", "{what} {target}");
        let post = t.client.ask("POST", target).await;
        assert_eq!(post.status, 204, "{what} {target}");
        settle().await;
    }
}

/// All timeouts that follow one another pass.
async fn give_up() {
    for _ in 0..10 {
        pass(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_does_clients_get_their_answers() {
    for peeks in [true, false] {
        for call in CALLS {
            for fault in FAULTS {
                let what = format!("{call:?} {fault:?} peeks {peeks}");
                let t = trouble(if peeks { Troubled::new() } else { Troubled::without_peek() });
                script(&t);
                t.store.trouble(call, fault);
                stories(&t, &what).await;
                // It may also begin in the middle, and it may end.
                t.store.heal();
                stories(&t, &what).await;
                t.store.trouble(call, fault);
                stories(&t, &what).await;
                give_up().await;
                assert_eq!(t.layer.handle().stats().fetches, 0, "{what}: nothing is left behind");
                // `peek` may always say nothing.
                if call != Call::Peek || fault == Fault::Panic {
                    assert!(t.layer.handle().stats().store_faults > 0, "{what}: it is counted");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_broken_at_once_is_as_without_a_cache() {
    for fault in FAULTS {
        let t = trouble(Troubled::new());
        script(&t);
        CALLS.iter().for_each(|call| t.store.trouble(*call, fault));
        for _ in 0..3 {
            assert_eq!(t.client.get("/").await.text().await, "a");
            give_up().await;
        }
        assert_eq!(t.origin.count(), 3);
        assert_eq!(t.layer.handle().stats().fetches, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_no_more_than_its_timeout() {
    let t = trouble(Troubled::without_peek());
    t.origin.always("/", |_| ok("a").max_age(60));
    t.store.trouble(Call::Get, Fault::Hang);
    let asked = t.client.get("/").start();
    // Look-up, and the second look of the one who leads.
    pass(1).await;
    pass(1).await;
    assert!(asked.is_finished());
    assert_eq!(asked.await.unwrap().text().await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_hangs_holds_up_no_client_and_is_dropped() {
    let t = trouble(Troubled::new());
    let (response, feed) = ok("").max_age(60).fed();
    t.origin.says("/", response);
    t.origin.says("/", ok("b").max_age(60));
    t.store.trouble(Call::Put, Fault::Hang);
    let mut reply = t.client.get("/").await;
    for chunk in ["a", "b", "c"] {
        feed.chunk(chunk);
        settle().await;
        assert_eq!(reply.chunk_now().await.as_deref(), Some(chunk));
        pass(100).await;
    }
    feed.end();
    assert_eq!(reply.text().await, "");
    settle().await;
    assert_eq!(t.layer.handle().stats().fetches, 1, "as long as the origin takes, and a second");
    pass(1).await;
    assert_eq!(t.layer.handle().stats().fetches, 0);
    assert_eq!(t.layer.handle().stats().store_faults, 1);
    t.store.heal();
    assert_eq!(t.client.get("/").told().await, "200 b (uri-miss)");
    assert_eq!(t.client.get("/").told().await, "200 b (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_read_never_holds_up_more_than_the_window() {
    let policy = CachePolicy::default().window(64 * 1024);
    let store = Troubled::new();
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).policy(policy).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    store.trouble(Call::Put, Fault::Hang);
    let (response, _) = ok("").max_age(60).made(1_000, 16 * 1024);
    origin.says("/", response);
    // No time passes: the reader that is never there is not waited for.
    let start = tokio::time::Instant::now();
    assert_eq!(client.get("/").await.text().await.len(), 1_000 * 16 * 1024);
    assert_eq!(start.elapsed(), seconds(0));
    pass(2).await;
    assert_eq!(layer.handle().stats().fetches, 0);
}

#[tokio::test(start_paused = true)]
async fn stale_responses_answer_also_when_the_store_cannot_freshen_them() {
    for fault in FAULTS {
        let t = trouble(Troubled::new());
        script(&t);
        assert_eq!(t.client.get("/").told().await, "200 a (uri-miss)");
        pass(10).await;
        t.store.trouble(Call::Freshen, fault);
        for _ in 0..3 {
            assert_eq!(t.client.get("/").told().await, "200 a (stale)");
            give_up().await;
        }
        t.store.heal();
        assert_eq!(t.client.get("/").told().await, "200 a (stale)");
        assert_eq!(t.client.get("/").told().await, "200 a (hit)", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_is_not_reused_although_it_could_not_be_deleted() {
    for fault in FAULTS {
        for target in ["/", "/vary"] {
            let t = trouble(Troubled::new());
            script(&t);
            t.client.get(target).told().await;
            assert_eq!(t.client.get(target).told().await, "200 a (hit)");
            t.store.trouble(Call::Delete, fault);
            assert_eq!(t.client.ask("POST", target).await.status, 204);
            settle().await;
            assert_ne!(t.client.get(target).told().await, "200 a (hit)", "{fault:?} {target}");
            assert_eq!(
                t.client.get(target).told().await,
                "200 a (hit)",
                "{fault:?} {target}: the new one"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_is_a_miss() {
    let w: World = world_with(|builder| builder);
    w.origin.always("/", |_| ok("a").max_age(60).vary("x-a"));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    let forgotten = tower_cdn::MemoryStore::new(1);
    let layer = CdnCacheLayer::builder(forgotten).build();
    let client = Client::new(layer.layer(w.origin.clone()));
    for _ in 0..3 {
        assert_eq!(client.get("/").told().await, "200 a (uri-miss)");
    }
    assert_eq!(layer.handle().stats().fetches, 0);
}
