//! The rules of a cache that runs are changed: it stays the same cache.
mod support;

use std::time::Duration;
use support::{Client, Origin, World, ok, pass, settle, world_with};
use tower::Layer;
use tower_cdn::{
    Behaviour, CachePolicy, CdnCache, CdnCacheLayer, Distribution, DistributionBuilder, KeyPolicy,
    Parameters,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The cache of a world under other rules, in front of the same origin.
struct Changed {
    layer: CdnCacheLayer,
    client: Client<CdnCache<Origin>>,
}

fn changed(w: &World, distribution: DistributionBuilder) -> Changed {
    let layer = w.layer.with_distribution(distribution.build().expect("a distribution"));
    let client = Client::new(layer.layer(w.origin.clone()));
    Changed { layer, client }
}

fn world() -> World {
    world_with(|builder| builder.policy(CachePolicy::cloudfront()))
}

fn for_all(policy: CachePolicy) -> DistributionBuilder {
    Distribution::builder(Behaviour::new(policy))
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_stays_and_what_comes_goes_by_the_new_rules() {
    let w = world();
    w.origin.always("/a", |_| ok("a"));
    w.origin.always("/b", |_| ok("b"));
    assert_eq!(w.get("/a").told().await, "200 a (uri-miss)");
    let new = changed(&w, for_all(CachePolicy::default().default_ttl(HOUR)));
    assert_eq!(new.client.get("/a").told().await, "200 a (hit)");
    assert_eq!(new.client.get("/b").told().await, "200 b (uri-miss)");
    assert_eq!(w.get("/b").told().await, "200 b (hit)", "those of before go on, with one store");
    pass(3601).await;
    assert_eq!(new.client.get("/a").told().await, "200 a (hit)", "a day, as when it came");
    assert_eq!(new.client.get("/b").told().await, "200 b (stale)", "an hour");
    assert_eq!(new.layer.handle().stats(), w.stats());
    assert_eq!(w.stats().hits, 3);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_is_for_both() {
    let w = world();
    let new = changed(&w, for_all(CachePolicy::cloudfront()));
    for (first, then) in [(&w.client, &new.client), (&new.client, &w.client)] {
        let before = w.origin.count();
        let path = format!("/{before}");
        let (answer, hold) = ok("a").max_age(60).held();
        w.origin.says(&path, answer);
        let leads = first.get(&path).start_told();
        settle().await;
        let follows = then.get(&path).start_told();
        settle().await;
        hold.release();
        assert_eq!(leads.await.expect("no panic"), "200 a (uri-miss)");
        assert_eq!(follows.await.expect("no panic"), "200 a (uri-miss+)");
        assert_eq!(w.origin.count(), before + 1);
    }
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_before_stays_invalid() {
    let w = world();
    for path in ["/tag", "/path", "/kept"] {
        w.origin.always(path, move |_| ok("new").header("cache-groups", format!("{path:?}")));
        assert_eq!(w.get(path).told().await, "200 new (uri-miss)");
    }
    let handle = w.layer.handle();
    handle.invalidate_tags(["/tag"]).await.expect("a tag");
    handle.invalidate_path("/path*").await.expect("a path");
    let new = changed(&w, for_all(CachePolicy::cloudfront()));
    assert_eq!(new.client.get("/tag").told().await, "200 new (uri-miss)");
    assert_eq!(new.client.get("/path").told().await, "200 new (uri-miss)");
    assert_eq!(new.client.get("/kept").told().await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_stops_fetches_of_before_the_change() {
    let w = world();
    let (answer, hold) = ok("old").max_age(60).held();
    w.origin.says("/a", answer);
    w.origin.always("/a", |_| ok("new").max_age(60));
    let waiting = w.get("/a").start_told();
    settle().await;
    let new = changed(&w, for_all(CachePolicy::cloudfront()));
    new.layer.handle().invalidate_path("/a").await.expect("a path");
    assert_eq!(new.client.get("/a").told().await, "200 new (uri-miss)");
    hold.release();
    assert_eq!(waiting.await.expect("no panic"), "200 old (uri-miss)", "it was asked before");
    settle().await;
    assert_eq!(new.client.get("/a").told().await, "200 new (hit)");
    assert_eq!(w.get("/a").told().await, "200 new (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_either_knows_the_keys_of_both() {
    let w = world();
    w.origin.always("/a", |_| ok("a"));
    let without_query = Behaviour::new(CachePolicy::cloudfront())
        .key_policy(KeyPolicy::default().query(Parameters::None));
    let new = changed(&w, Distribution::builder(without_query));
    // One of before the change, and one that the change has made.
    for handle in [w.layer.handle(), new.layer.handle()] {
        assert_eq!(w.get("/a?v=1").told().await, "200 a (uri-miss)");
        assert_eq!(new.client.get("/a?v=2").told().await, "200 a (uri-miss)");
        assert_eq!(new.client.get("/a?v=1").told().await, "200 a (hit)", "the query is no matter");
        handle.invalidate("http://example.com/a?v=1").await.expect("a URI");
        settle().await;
    }
    assert_eq!(w.get("/a?v=1").told().await, "200 a (uri-miss)");
    assert_eq!(new.client.get("/a").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn rules_are_kept_one_by_one_for_the_longest_lifetime_of_all() {
    let w = world();
    w.origin.always("/other", |_| ok("a").max_age(1_000_000).header("cache-groups", "\"other\""));
    assert_eq!(w.get("/other").told().await, "200 a (uri-miss)");
    w.layer.handle().invalidate_tags(["first"]).await.expect("a tag");
    let new = changed(&w, for_all(CachePolicy::default().max_ttl(HOUR)));
    for _ in 0..3 {
        pass(2 * 24 * 3600).await;
        new.layer.handle().invalidate_tags(["another"]).await.expect("a tag");
    }
    let told = new.client.get("/other").told().await;
    assert_eq!(told, "200 a (hit)", "no rule was forgotten, which would concern all with tags");
    let newer = changed(&w, for_all(CachePolicy::default().max_ttl(HOUR)));
    assert_eq!(newer.client.get("/other").told().await, "200 a (hit)");
}
