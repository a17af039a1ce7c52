//! The contract of a store, checked on several, and stories over a store that is written plainly.
mod support;

use std::sync::Arc;
use support::{Client, Origin, PlainStore, Troubled, answer, ok, pass};
use tower::Layer;
#[cfg(feature = "tiered")]
use tower_cdn::Tiered;
use tower_cdn::{CdnCacheLayer, Clock, MemoryStore, Store, store::conformance};

const ROOM: u64 = 64 * 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn memory_store_conforms() {
    conformance::check(async || MemoryStore::new(ROOM)).await;
}

#[tokio::test(start_paused = true)]
async fn memory_store_behind_arc_conforms() {
    conformance::check(async || Arc::new(MemoryStore::new(ROOM))).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_in_plain_async_fn_conforms() {
    conformance::check(async || PlainStore::default()).await;
    conformance::check(async || Arc::new(PlainStore::default())).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrapper_conforms() {
    conformance::check(async || Troubled::new()).await;
    conformance::check(async || Troubled::without_peek()).await;
}

#[cfg(feature = "tiered")]
#[tokio::test(start_paused = true)]
async fn tiers_conform() {
    let near = || MemoryStore::new(ROOM);
    conformance::check(async || Tiered::new(near(), PlainStore::default())).await;
    conformance::check(async || Arc::new(Tiered::new(near(), Troubled::without_peek()))).await;
    conformance::check(async || Tiered::new(PlainStore::default(), near()).promote_after(2)).await;
    // What is large goes to far only, with a length that is known and without.
    for limit in [0, 5, 600, 60_000] {
        let tiers = || Tiered::new(near(), PlainStore::default()).near_limit(limit);
        conformance::check(async || tiers()).await;
        conformance::check(async || tiers().promote_after(3)).await;
    }
    // Near refuses, or forgets.
    conformance::check(async || Tiered::new(MemoryStore::new(1), PlainStore::default())).await;
    conformance::check(async || Tiered::new(MemoryStore::new(10_000), near())).await;
}

#[cfg(feature = "tiered")]
#[tokio::test(start_paused = true)]
async fn nested_tiers_conform() {
    let near = || MemoryStore::new(ROOM);
    for (outer, inner) in [(1 << 20, 1 << 20), (600, 60_000), (60_000, 600), (0, 0)] {
        let tiers = || Tiered::new(near(), PlainStore::default()).near_limit(inner);
        conformance::check(async || Tiered::new(near(), tiers()).near_limit(outer)).await;
        conformance::check(async || Tiered::new(tiers(), near()).near_limit(outer)).await;
    }
}

#[cfg(all(feature = "tiered", feature = "disk", unix))]
#[tokio::test(start_paused = true)]
async fn memory_in_front_of_a_disk_conforms() {
    let mut directories = Vec::new();
    let mut disk = || {
        let directory = tempfile::tempdir().expect("a directory");
        let store = tower_cdn::store::DiskStore::open(directory.path(), ROOM).expect("a store");
        directories.push(directory);
        store
    };
    let near = || MemoryStore::new(ROOM);
    for limit in [0, 600, 60_000, 1 << 20] {
        let mut tiers = || Tiered::new(near(), disk()).near_limit(limit);
        conformance::check(async || tiers()).await;
        conformance::check(async || Tiered::new(near(), tiers()).near_limit(600)).await;
    }
    conformance::check(async || Tiered::new(near(), disk()).promote_after(3)).await;
    conformance::check(async || Arc::new(Tiered::new(MemoryStore::new(10_000), disk()))).await;
}

/// Hits, parts, variants, validation and invalidation, as on any other store.
async fn story(store: impl Store) {
    let layer = CdnCacheLayer::builder(store).clock(Clock::tokio()).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));

    origin.says("/", ok("0123456789").max_age(10).etag("\"a\"").header("x-any", "any"));
    origin.says("/", answer(304).max_age(10).etag("\"a\""));
    assert_eq!(client.get("/").told().await, "200 0123456789 (uri-miss)");
    let hit = client.get("/").await;
    assert_eq!(hit.field("x-any"), Some("any"));
    assert_eq!(hit.told().await, "200 0123456789 (hit)");
    assert_eq!(client.get("/").header("range", "bytes=3-5").told().await, "206 345 (hit)");
    assert_eq!(client.ask("HEAD", "/").told().await, "200  (hit)");
    pass(10).await;
    assert_eq!(client.get("/").told().await, "200 0123456789 (stale)");
    assert_eq!(client.get("/").told().await, "200 0123456789 (hit)");
    origin.says("/", answer(204));
    client.ask("POST", "/").told().await;
    origin.says("/", ok("new").max_age(10));
    assert_eq!(client.get("/").told().await, "200 new (uri-miss)");

    origin.always("/vary", |seen| {
        ok(seen.field("x-a").unwrap_or("-").to_owned()).max_age(60).vary("x-a")
    });
    for how in ["miss", "hit"] {
        for value in ["1", "2"] {
            let told = client.get("/vary").header("x-a", value).told().await;
            assert!(told.starts_with(&format!("200 {value} (")) && told.contains(how), "{told}");
        }
    }

    let (response, feed) = ok("").max_age(60).fed();
    origin.says("/trailers", response);
    feed.chunk("a");
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    assert_eq!(client.get("/trailers").told().await, "200 a (uri-miss)");
    assert!(client.get("/trailers").await.trailers().await.is_some());
    assert_eq!(layer.handle().stats().store_faults, 0);
    assert_eq!(layer.handle().stats().fetches, 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_story_on_each_store() {
    story(MemoryStore::new(ROOM)).await;
    story(Arc::new(MemoryStore::new(ROOM))).await;
    story(PlainStore::default()).await;
    story(Troubled::without_peek()).await;
    #[cfg(feature = "tiered")]
    for limit in [0, 5, 1 << 20] {
        let tiers = || Tiered::new(MemoryStore::new(ROOM), PlainStore::default()).near_limit(limit);
        story(tiers()).await;
        story(Tiered::new(MemoryStore::new(ROOM), tiers()).near_limit(3).promote_after(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_outlives_its_layer() {
    let store = Arc::new(PlainStore::default());
    let origin = Origin::new();
    origin.says("/", ok("a").max_age(60));
    let clock = Clock::tokio();
    for how in ["uri-miss", "hit", "hit"] {
        let layer = CdnCacheLayer::builder(Arc::clone(&store)).clock(clock.clone()).build();
        let client = Client::new(layer.layer(origin.clone()));
        assert_eq!(client.get("/").told().await, format!("200 a ({how})"));
        pass(10).await;
    }
    pass(40).await;
    let layer = CdnCacheLayer::builder(store).clock(clock).build();
    let client = Client::new(layer.layer(origin));
    assert_eq!(client.get("/").await.how(), "stale", "it is as old as it is");
}

#[tokio::test(start_paused = true)]
async fn a_new_layer_invalidates_what_an_old_one_has_stored() {
    let store = Arc::new(PlainStore::default());
    let origin = Origin::new();
    origin
        .always("/", |seen| if seen.method == "POST" { answer(204) } else { ok("a").max_age(60) });
    let client = || {
        let layer = CdnCacheLayer::builder(Arc::clone(&store)).clock(Clock::tokio()).build();
        Client::new(layer.layer(origin.clone()))
    };
    let old = client();
    for _ in 0..5 {
        old.get("/").told().await;
    }
    let new = client();
    assert_eq!(new.get("/").told().await, "200 a (hit)");
    new.ask("POST", "/").told().await;
    assert_eq!(new.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(new.get("/").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn memory_store_stays_within_its_bounds() {
    let store = MemoryStore::new(1024 * 1024);
    let layer = CdnCacheLayer::builder(store.clone()).clock(Clock::tokio()).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    origin.always("/", |_| ok(vec![b'x'; 50_000]).max_age(60));
    for n in 0..100 {
        assert_eq!(client.get(&format!("/?{n}")).await.text().await.len(), 50_000);
        support::settle().await;
    }
    assert!(store.weight() <= 1024 * 1024 && store.len() >= 10);
}
