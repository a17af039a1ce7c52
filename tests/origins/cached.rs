//! Inside the cache.
use crate::{
    support::{Client, Origin, answer, fail, ok, pass, settle, world_with},
    told::{attempts, counts, named, origins},
};
use http::{Request, request::Parts};
use tower::{Layer, ServiceExt};
use tower_cdn::{
    CdnCache, CdnCacheLayer, Clock, MemoryStore,
    origins::{ByExtension, OriginGroup, OriginName, Origins, Sharded},
};

fn cache<S>(inner: S) -> Client<CdnCache<S>>
where
    S: Clone,
{
    let builder = CdnCacheLayer::builder(MemoryStore::new(1 << 26)).clock(Clock::tokio());
    Client::new(builder.build().layer(inner))
}

#[tokio::test(start_paused = true)]
async fn a_hit_touches_no_origin() {
    let o @ [a, b] = &origins();
    a.always("/", |_| answer(503));
    b.always("/", |_| ok("second").max_age(60));
    let client = cache(OriginGroup::new(named(o)));
    let miss = client.get("/").await;
    assert_eq!((attempts(&miss).as_str(), miss.how().as_str()), ("a=503, b=200", "uri-miss"));
    assert_eq!(miss.text().await, "second");
    settle().await;
    for _ in 0..10 {
        let hit = client.get("/").await;
        assert_eq!((attempts(&hit).as_str(), hit.how().as_str()), ("", "hit"));
    }
    assert_eq!(counts(o), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_fail_over_once() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    let (slow, hold) = ok("second").max_age(60).held();
    b.says("/", slow);
    let client = cache(OriginGroup::new(named(o)));
    let asked: Vec<_> = (0..100).map(|_| client.get("/").start()).collect();
    settle().await;
    hold.release();
    for reply in asked {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    assert_eq!(counts(o), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn stale_only_after_all_have_failed() {
    let o @ [a, b] = &origins();
    a.says("/", ok("old").says("max-age=10, stale-if-error=1000"));
    let client = cache(OriginGroup::new(named(o)));
    assert_eq!(client.get("/").told().await, "200 old (uri-miss)");
    pass(20).await;
    a.always("/", |_| fail());
    b.says("/", ok("new").says("max-age=10, stale-if-error=1000"));
    assert_eq!(client.get("/").told().await, "200 new (stale)", "the second one answers");
    pass(20).await;
    b.says("/", answer(503));
    assert_eq!(client.get("/").told().await, "200 new (stale)", "a status that is an error");
    b.says("/", fail());
    assert_eq!(client.get("/").told().await, "200 new (stale)", "an error");
    assert_eq!(counts(o), [4, 3], "both were asked each time");
}

#[tokio::test(start_paused = true)]
async fn validators_reach_the_one_that_answers() {
    let o @ [a, b] = &origins();
    a.says("/", ok("same").max_age(10).etag("\"1\""));
    let client = cache(OriginGroup::new(named(o)));
    assert_eq!(client.get("/").told().await, "200 same (uri-miss)");
    pass(20).await;
    a.says("/", answer(502));
    b.says("/", answer(304).max_age(10).etag("\"1\""));
    assert_eq!(client.get("/").told().await, "200 same (stale)");
    assert_eq!(b.last().field("if-none-match"), Some("\"1\""));
    assert_eq!(client.get("/").told().await, "200 same (hit)");
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_request_is_sent_once_and_invalidates() {
    let o @ [a, b] = &origins();
    a.always("/", |_| ok("page").max_age(60));
    let client = cache(OriginGroup::new(named(o)));
    assert_eq!(client.get("/").told().await, "200 page (uri-miss)");
    a.says("/", answer(503));
    assert_eq!(client.ask("POST", "/").await.status, 503);
    assert_eq!(client.get("/").await.how(), "hit", "nothing has changed");
    a.says("/", answer(204));
    assert_eq!(client.ask("POST", "/").await.status, 204);
    assert_eq!(client.get("/").told().await, "200 page (uri-miss)");
    assert_eq!((a.count(), b.count()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn selection_and_groups_behind_one_cache() {
    let o @ [api, a, b] = &origins();
    api.always("/api/x", |_| ok("api").says("no-store"));
    a.always("/x", |_| answer(500));
    b.always("/x", |_| ok("file").max_age(60));
    let by_path = |head: &Parts| if head.uri.path().starts_with("/api") { "api" } else { "files" };
    let origins = Origins::new(by_path)
        .origin("api", OriginGroup::new([("api", api.clone())]))
        .origin("files", OriginGroup::new(named(&o[1..])));
    let client = cache(origins);
    for _ in 0..2 {
        assert_eq!(client.get("/api/x").told().await, "200 api (uri-miss)");
    }
    assert_eq!(client.get("/x").told().await, "200 file (uri-miss)");
    assert_eq!(client.get("/x").told().await, "200 file (hit)");
    assert_eq!(counts(o), [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_name_among_the_extensions_passes_the_cache() {
    let [a, b]: [Origin; 2] = origins();
    a.always("/", |_| ok("a").max_age(60));
    b.always("/", |_| ok("b").max_age(60));
    let w = world_with(|builder| builder);
    let service = w.layer.layer(Origins::new(ByExtension).origin("a", a).origin("b", b.clone()));
    let mut request =
        Request::get("http://example.com/").body(crate::support::RequestBody::default()).unwrap();
    request.extensions_mut().insert(OriginName::from("b"));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), b.count()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn shards_behind_a_cache_go_by_its_key() {
    let o = &origins::<4>();
    for origin in o {
        origin.always("/x", |_| ok("x").vary("accept-language").max_age(60));
    }
    let client = cache(Sharded::new(named(o)));
    for language in ["de", "en", "fr", "it", "nl"] {
        let reply = client.get("/x").header("accept-language", language).await;
        assert_eq!(reply.text().await, "x");
        settle().await;
    }
    assert_eq!(o.iter().filter(|origin| origin.count() > 0).count(), 1, "variants share a place");
}
