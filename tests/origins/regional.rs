//! A regional tier between edges and the origin.
use crate::{
    support::{
        Answer, Client, Origin, Reply, RequestBody, answer, fail, ok, pass, seconds, settle,
    },
    told::attempts,
};
use http::{HeaderName, Request};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_cdn::{
    Behaviour, BoxError, CachePolicy, CdnCache, CdnCacheLayer, Changed, Clock, Distribution,
    Handles, MemoryStore,
    origins::{FailoverPolicy, OriginGroup, Regional},
};

type Tier = Regional<CdnCache<Origin>, Origin>;

/// Edges in front of one region. Who asks the origin is seen by where the request arrives.
struct Tiers {
    region: CdnCacheLayer,
    edges: Vec<CdnCacheLayer>,
    clients: Vec<Client<CdnCache<Tier>>>,
    /// The origin, asked by the region.
    far: Origin,
    /// The origin, asked by an edge.
    direct: Origin,
}

fn layer(policy: CachePolicy, clock: &Clock) -> CdnCacheLayer {
    CdnCacheLayer::builder(MemoryStore::new(1 << 26)).policy(policy).clock(clock.clone()).build()
}

fn policy(name: &str) -> CachePolicy {
    CachePolicy::default().cache_status(Some(name)).via(name).cdn_loop(name)
}

fn tiers(edges: usize) -> Tiers {
    tiers_with(edges, |_, policy| policy)
}

fn tiers_with(edges: usize, configure: impl Fn(&str, CachePolicy) -> CachePolicy) -> Tiers {
    let clock = Clock::tokio();
    let of = |name: &str| layer(configure(name, policy(name)), &clock);
    let region = of("region");
    let edges: Vec<_> = (0..edges).map(|n| of(&format!("edge-{n}"))).collect();
    let (far, direct) = (Origin::new(), Origin::new());
    let tier = Regional::new(region.layer(far.clone()), direct.clone()).tells(region.handle());
    let clients = edges.iter().map(|edge| Client::new(edge.layer(tier.clone()))).collect();
    Tiers { region, edges, clients, far, direct }
}

impl Tiers {
    /// How often the origin was asked, by the region and by edges.
    fn asked(&self) -> (usize, usize) {
        (self.far.count(), self.direct.count())
    }

    fn always(&self, path: &str, says: impl Fn() -> Answer + Clone + Send + 'static) {
        for origin in [&self.far, &self.direct] {
            let says = says.clone();
            origin.always(path, move |_| says());
        }
    }

    async fn told(&self, edge: usize, path: &str) -> String {
        self.clients[edge].get(path).told().await
    }

    async fn post(&self, edge: usize, path: &str) -> Reply {
        self.clients[edge].ask("POST", path).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_at_the_edge_is_a_question_for_the_region() {
    let t = tiers(2);
    t.always("/a", || ok("hello").max_age(60));
    assert_eq!(t.told(0, "/a").await, "200 hello (uri-miss)");
    assert_eq!(t.told(0, "/a").await, "200 hello (hit)");
    assert_eq!(t.told(1, "/a").await, "200 hello (uri-miss)", "another edge");
    assert_eq!(t.asked(), (1, 0), "the region had it");
    assert_eq!(t.region.handle().stats().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn methods_that_gain_nothing_skip_the_region() {
    let t = tiers(1);
    t.always("/a", || ok("a"));
    let direct = ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "BREW"];
    for (n, method) in direct.into_iter().enumerate() {
        assert_eq!(t.clients[0].ask(method, "/a").told().await, "200 a (method)");
        assert_eq!(t.asked(), (0, n + 1), "{method}");
    }
    for (n, method) in ["GET", "HEAD"].into_iter().enumerate() {
        assert_eq!(t.clients[0].ask(method, "/a").await.status, 200);
        assert_eq!(t.asked(), (n + 1, direct.len()), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_a_tunnel_skips_the_region() {
    let t = tiers(1);
    t.always("/a", || ok("a"));
    let ask = || t.clients[0].get("/a").header("upgrade", "websocket");
    assert_eq!(ask().header("connection", "Upgrade").told().await, "200 a (bypass)");
    assert_eq!(t.asked(), (0, 1));
    assert_eq!(ask().told().await, "200 a (uri-miss)", "it does not say so to the next one");
    assert_eq!(t.asked(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_dynamic_or_local_skips_the_region() {
    let distribution = Distribution::builder(Behaviour::new(CachePolicy::cloudfront()))
        .behaviour("/api/*", Behaviour::dynamic().origin("api"))
        .behaviour("/near/*", Behaviour::new(CachePolicy::cloudfront()).origin("near"))
        .behaviour("/here/*", Behaviour::new(CachePolicy::cloudfront()).origin("here"))
        .behaviour("/far/*", Behaviour::new(CachePolicy::cloudfront()).origin("far"));
    let edge = CdnCacheLayer::builder(MemoryStore::new(1 << 20))
        .distribution(distribution.build().unwrap())
        .build();
    let (far, direct) = (Origin::new(), Origin::new());
    let tier = Regional::new(far.clone(), direct.clone()).local(["near"]).local(["here"]);
    let client = Client::new(edge.layer(tier));
    for (path, goes_to) in [
        ("/", &far),
        ("/far/a", &far),
        ("/api/a", &direct),
        ("/near/a", &direct),
        ("/here/a", &direct),
    ] {
        for origin in [&far, &direct] {
            origin.always(path, |_| ok("a"));
        }
        let before = goes_to.count();
        assert_eq!(client.get(path).await.status, 200);
        assert_eq!(goes_to.count(), before + 1, "{path}");
    }
    assert_eq!((far.count(), direct.count()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn ages_add_up_and_freshness_counts_once() {
    let t = tiers(2);
    t.always("/a", || ok("a").max_age(100));
    assert_eq!(t.told(0, "/a").await, "200 a (uri-miss)");
    pass(60).await;
    let reply = t.clients[1].get("/a").await;
    assert_eq!((reply.age(), reply.how().as_str()), (Some(60), "uri-miss"), "from the region");
    settle().await;
    pass(30).await;
    let reply = t.clients[1].get("/a").await;
    assert_eq!((reply.age(), reply.how().as_str()), (Some(90), "hit"), "60 there and 30 here");
    assert_eq!(reply.cache().ttl(), Some(10));
    drop(reply);
    assert_eq!(t.asked(), (1, 0));
    pass(10).await;
    // After 100 seconds it is stale everywhere, although this edge has had it for 40.
    assert_eq!(t.told(1, "/a").await, "200 a (stale)");
    assert_eq!(t.asked(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn lifetimes_of_the_operator_count_once_too() {
    let t = tiers_with(2, |_, policy| policy.default_ttl(seconds(100)));
    t.always("/a", || ok("a"));
    assert_eq!(t.told(0, "/a").await, "200 a (uri-miss)");
    pass(60).await;
    assert_eq!(t.told(1, "/a").await, "200 a (uri-miss)");
    pass(39).await;
    assert_eq!(t.told(1, "/a").await, "200 a (hit)");
    pass(1).await;
    assert_eq!(t.told(1, "/a").await, "200 a (stale)", "the hundred seconds are over");
    assert_eq!(t.asked(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn cache_status_lists_both() {
    let t = tiers(2);
    t.always("/a", || ok("a").max_age(100));
    let listed = |reply: &Reply| reply.fields("cache-status").join(", ");
    let reply = t.clients[0].get("/a").await;
    let both = "region; fwd=uri-miss; ttl=100; stored, edge-0; fwd=uri-miss; ttl=100; stored";
    assert_eq!(listed(&reply), both);
    drop(reply);
    settle().await;
    pass(10).await;
    let reply = t.clients[1].get("/a").await;
    assert_eq!(listed(&reply), "region; hit; ttl=90, edge-1; fwd=uri-miss; ttl=90; stored");
    settle().await;
    let reply = t.clients[1].get("/a").await;
    assert_eq!(listed(&reply), "region; hit; ttl=90, edge-1; hit; ttl=90");
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_at_the_edge_is_validated_with_the_region() {
    let t = tiers_with(1, |name, policy| {
        // The region keeps it for longer.
        if name == "region" {
            policy.target_list(vec!["region-control".parse().unwrap()])
        } else {
            policy
        }
    });
    t.always("/a", || ok("a").max_age(10).etag("\"1\"").header("region-control", "max-age=1000"));
    assert_eq!(t.told(0, "/a").await, "200 a (uri-miss)");
    pass(20).await;
    assert_eq!(t.told(0, "/a").await, "200 a (stale)");
    assert_eq!(t.asked(), (1, 0), "the region said 304");
    assert_eq!(t.region.handle().stats().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_goes_on_as_it_comes() {
    let t = tiers(2);
    let (slow, feed) = ok("").max_age(60).fed();
    t.far.says("/a", slow);
    let mut first = t.clients[0].get("/a").await;
    feed.chunk("one");
    settle().await;
    assert_eq!(first.chunk_now().await.as_deref(), Some("one"));
    // So it does to another edge, which takes part in what the region is fetching.
    let mut second = t.clients[1].get("/a").await;
    settle().await;
    assert_eq!(second.chunk_now().await.as_deref(), Some("one"));
    feed.chunk("two");
    settle().await;
    for reply in [&mut first, &mut second] {
        assert_eq!(reply.chunk_now().await.as_deref(), Some("two"));
        assert!(reply.is_waiting().await);
    }
    feed.end();
    settle().await;
    drop((first, second));
    for edge in [0, 1] {
        assert_eq!(t.told(edge, "/a").await, "200 onetwo (hit)");
    }
    assert_eq!(t.asked(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_over_three_edges_reach_the_origin_once() {
    let t = tiers(3);
    let (slow, hold) = ok("hello").max_age(60).held();
    t.far.says("/a", slow);
    let asked: Vec<_> = (0..1000).map(|n| t.clients[n % 3].get("/a").start_told()).collect();
    settle().await;
    assert_eq!(t.asked(), (1, 0));
    hold.release();
    for told in asked {
        assert!(told.await.unwrap().starts_with("200 hello"));
    }
    assert_eq!(t.asked(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_no_loop_but_a_loop_is_one() {
    let t = tiers(1);
    t.always("/a", || ok("a"));
    assert_eq!(t.told(0, "/a").await, "200 a (uri-miss)");
    let seen = t.far.last();
    let lines = |name: &str| {
        let lines = seen.headers.get_all(name).iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines("cdn-loop"), ["edge-0", "region"]);
    assert_eq!(lines("via"), ["1.1 edge-0", "1.1 region"]);
    for tier in ["edge-0", "region"] {
        let again = t.clients[0].get("/a?again").header("cdn-loop", tier).await;
        assert_eq!(again.status, 508, "{tier}");
    }
    assert_eq!(t.asked(), (1, 0));
}

/// An origin whose page has the number of changes so far.
fn counting(t: &Tiers, path: &'static str) {
    let changes = Arc::new(AtomicU64::new(0));
    for origin in [&t.far, &t.direct] {
        let changes = Arc::clone(&changes);
        origin.always(path, move |seen| {
            if seen.method == "POST" {
                changes.fetch_add(1, Ordering::SeqCst);
                return answer(204);
            }
            ok(changes.load(Ordering::SeqCst).to_string()).max_age(1000)
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_unsafe_request_reaches_both_tiers() {
    let t = tiers(1);
    counting(&t, "/a");
    assert_eq!(t.told(0, "/a").await, "200 0 (uri-miss)");
    assert_eq!(t.told(0, "/a").await, "200 0 (hit)");
    assert_eq!(t.post(0, "/a").await.status, 204);
    assert_eq!(t.told(0, "/a").await, "200 1 (uri-miss)", "the region had the older one");
    assert_eq!(t.region.handle().stats().invalidations, 1);
    assert_eq!(t.asked(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn so_it_does_without_a_scheme_in_the_target() {
    for https in [false, true] {
        let clock = Clock::tokio();
        let of = || {
            let keys = tower_cdn::KeyPolicy::default().https(https);
            CdnCacheLayer::builder(MemoryStore::new(1 << 20))
                .key_policy(keys)
                .clock(clock.clone())
                .build()
        };
        let (region, edge, origin) = (of(), of(), Origin::new());
        origin.always("/a", |_| ok("a").max_age(1000));
        let tier =
            Regional::new(region.layer(origin.clone()), origin.clone()).tells(region.handle());
        let client = Client::new(edge.layer(tier));
        let get = || client.get("/a").origin_form("/a").header("host", "example.com");
        assert_eq!(get().told().await, "200 a (uri-miss)");
        let post = client.ask("POST", "/a").origin_form("/a").header("host", "example.com");
        assert_eq!(post.told().await, "200 a (method)");
        assert_eq!(get().told().await, "200 a (uri-miss)");
        assert_eq!(origin.count(), 3, "https={https}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_names_goes_in_both_tiers() {
    let t = tiers(1);
    let paths = ["/list", "/item", "/grouped", "/other"];
    for path in paths {
        let group = if path == "/grouped" { "\"articles\"" } else { "\"others\"" };
        t.always(path, move || ok("a").max_age(1000).header("cache-groups", group));
        t.told(0, path).await;
    }
    let named = answer(201)
        .header("location", "/item")
        .header("content-location", "http://example.com/list")
        .header("cache-group-invalidation", "\"articles\"");
    t.direct.says("/new", named);
    assert_eq!(t.post(0, "/new").await.status, 201);
    let before = t.far.count();
    for path in paths {
        t.told(0, path).await;
    }
    let asked: Vec<_> =
        t.far.log()[before..].iter().map(|seen| seen.uri.path().to_owned()).collect();
    assert_eq!(asked, ["/list", "/item", "/grouped"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_changes_nothing() {
    let t = tiers(1);
    t.always("/a", || ok("a").max_age(1000));
    assert_eq!(t.told(0, "/a").await, "200 a (uri-miss)");
    t.direct.says("/a", answer(500));
    assert_eq!(t.post(0, "/a").await.status, 500);
    t.direct.says("/a", fail());
    assert!(t.clients[0].ask("POST", "/a").outcome().await.is_err());
    assert_eq!(t.told(0, "/a").await, "200 a (hit)");
    assert_eq!(t.region.handle().stats().invalidations, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_from_the_region_what_an_answer_has_changed() {
    let t = tiers(1);
    counting(&t, "/a");
    assert_eq!(t.told(0, "/a").await, "200 0 (uri-miss)");
    // The region is fetching while the change is made: before it has its answer, the origin has changed.
    t.region.handle().invalidate_all().await.unwrap();
    t.edges[0].handle().invalidate_all().await.unwrap();
    let (slow, hold) = ok("0").max_age(1000).held();
    t.far.says("/a", slow);
    let waiting = t.clients[0].get("/a").start_told();
    settle().await;
    assert_eq!(t.post(0, "/a").await.status, 204);
    hold.release();
    assert_eq!(waiting.await.unwrap(), "200 0 (uri-miss)", "who asked before may have it");
    settle().await;
    assert_eq!(t.told(0, "/a").await, "200 1 (uri-miss)");
    assert_eq!(t.told(0, "/a").await, "200 1 (hit)");
}

#[tokio::test(start_paused = true)]
async fn the_region_is_told_before_the_edge_has_the_answer() {
    let (told, release) = (Arc::new(AtomicU64::new(0)), Arc::new(tokio::sync::Notify::new()));
    let tell = {
        let (told, release) = (Arc::clone(&told), Arc::clone(&release));
        move |changed: Changed| {
            assert_eq!(changed.uris()[0], "http://example.com/a");
            told.fetch_add(1, Ordering::SeqCst);
            let release = Arc::clone(&release);
            async move { release.notified().await }
        }
    };
    let origin = Origin::new();
    origin.always("/a", |_| ok("a").max_age(1000));
    let edge = layer(CachePolicy::default(), &Clock::tokio());
    let tier = Regional::new(origin.clone(), origin.clone()).tells(tell);
    let client = Client::new(edge.layer(tier));
    assert_eq!(client.get("/a").told().await, "200 a (uri-miss)");
    let posted = client.ask("POST", "/a").start_told();
    settle().await;
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(!posted.is_finished());
    assert_eq!(client.get("/a").told().await, "200 a (hit)", "the edge follows");
    release.notify_one();
    assert_eq!(posted.await.unwrap(), "200 a (method)");
    assert_eq!(client.get("/a").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn operators_reach_all_tiers_by_one_handle() {
    let t = tiers(2);
    for path in ["/a", "/b"] {
        t.always(path, || ok("x").max_age(1000).etag("\"1\"").header("cache-groups", "\"news\""));
    }
    let all = [&t.region, &t.edges[0], &t.edges[1]].map(CdnCacheLayer::handle);
    let handles = Handles::new(all);
    let fill = async || {
        for (edge, path) in [(0, "/a"), (0, "/b"), (1, "/a"), (1, "/b")] {
            t.told(edge, path).await;
        }
    };
    let how = async |edge: usize, path: &str| {
        let how = t.clients[edge].get(path).await.how();
        settle().await;
        how
    };
    for (invalidate, gone) in [
        (handles.invalidate("http://example.com/a"), ["uri-miss", "hit"]),
        (handles.invalidate_path("/a*"), ["uri-miss", "hit"]),
        (handles.invalidate_path("/a").host("example.com"), ["uri-miss", "hit"]),
        (handles.invalidate_tags(["news"]), ["uri-miss", "uri-miss"]),
        (handles.invalidate_all(), ["uri-miss", "uri-miss"]),
        (handles.invalidate_all().soft(), ["stale", "stale"]),
        (handles.invalidate_all().host("other.example"), ["hit", "hit"]),
    ] {
        fill().await;
        let before = t.far.count();
        let receipts = invalidate.await.unwrap();
        assert_eq!(receipts.len(), 3);
        assert!(receipts.is_sorted_by_key(|receipt| receipt.number()));
        for (path, gone) in ["/a", "/b"].into_iter().zip(gone) {
            assert_eq!([how(0, path).await, how(1, path).await], [gone, gone], "{path}");
        }
        let new = gone.iter().filter(|how| **how != "hit").count();
        assert_eq!(t.far.count() - before, new, "once for both edges");
    }
    assert!(handles.stats().iter().all(|stats| stats.invalidations == 7));
    t.region.handle().changed(&Changed::new("http://example.com/a".parse().unwrap()).group("news"));
    assert_eq!(how(0, "/a").await, "hit", "this handle is the region's");
    handles.changed(&Changed::new("http://example.com/x".parse().unwrap()).group("news"));
    assert_eq!([how(0, "/a").await, how(1, "/b").await], ["uri-miss", "uri-miss"]);
}

#[tokio::test(start_paused = true)]
async fn tags_reach_the_edge_where_the_region_passes_them_on() {
    let tag = HeaderName::from_static("surrogate-key");
    let t =
        tiers_with(1, |name, policy| policy.tag_fields([tag.clone()]).pass_tags(name == "region"));
    t.always("/", || ok("old").max_age(600).header("surrogate-key", "news sport"));
    for _ in 0..2 {
        let reply = t.clients[0].get("/").await;
        assert_eq!(reply.field("surrogate-key"), None, "clients get none");
        reply.text().await;
        settle().await;
    }
    let handles = Handles::new([t.region.handle(), t.edges[0].handle()]);
    handles.invalidate_tags(["news"]).await.unwrap();
    t.always("/", || ok("new").max_age(600).header("surrogate-key", "news"));
    assert_eq!(t.told(0, "/").await, "200 new (uri-miss)");
    // Also what a hit of the region has brought.
    t.edges[0].handle().invalidate_all().await.unwrap();
    assert_eq!(t.told(0, "/").await, "200 new (uri-miss)");
    handles.invalidate_tags(["news"]).await.unwrap();
    t.always("/", || ok("newest").max_age(600));
    assert_eq!(t.told(0, "/").await, "200 newest (uri-miss)");
}

/// What a region is told of when this is the answer to a POST.
async fn told_of(target: &str, says: Answer) -> Vec<String> {
    let (region, origin) = (Origin::new(), Origin::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = {
        let told = Arc::clone(&told);
        move |changed: Changed| {
            told.lock().unwrap().extend(changed.uris().iter().map(ToString::to_string));
            async {}
        }
    };
    let client = Client::new(Regional::new(region, origin.clone()).tells(tells));
    origin.says("/a", says);
    client.ask("POST", target).await;
    let told = told.lock().unwrap();
    told.clone()
}

#[tokio::test(start_paused = true)]
async fn the_region_is_told_of_both_schemes() {
    // On the way there, over a connection, the target loses its own.
    assert_eq!(told_of("https://h/a", answer(204)).await, ["https://h/a", "http://h/a"]);
    assert_eq!(told_of("http://h/a", answer(204)).await, ["http://h/a", "https://h/a"]);
}

#[tokio::test(start_paused = true)]
async fn so_it_is_of_what_the_answer_names_with_its_scheme() {
    let a = ["https://h/a", "http://h/a"];
    for field in ["location", "content-location"] {
        for item in ["https://h/item", "https://h:443/item", "//h/item", "/item", "item"] {
            let told = told_of(a[0], answer(303).header(field, item)).await;
            assert_eq!(told[..2], a);
            for both in ["https://h/item", "http://h/item"] {
                let times = told.iter().filter(|uri| *uri == both).count();
                assert_eq!(times, 1, "{field}: {item}: {told:?}");
            }
        }
        let elsewhere = answer(303).header(field, "https://other/item");
        assert_eq!(told_of(a[0], elsewhere).await, a, "another origin's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_goes_without_saying_is_told_as_none() {
    // The edge's cache leaves it out of what it asks the region for.
    for target in ["https://h:443/a", "http://h:80/a", "http://h:443/a", "https://h:80/a"] {
        let told = told_of(target, answer(204)).await;
        for both in ["https://h/a", "http://h/a"] {
            let times = told.iter().filter(|uri| *uri == both).count();
            assert_eq!(times, 1, "{target}: {told:?}");
        }
    }
    let told = told_of("http://h:443/a", answer(204)).await;
    assert!(told.contains(&"http://h:443/a".to_owned()), "it says something there: {told:?}");
    let told = told_of("https://h:8443/a", answer(204)).await;
    assert_eq!(told, ["https://h:8443/a", "http://h:8443/a"]);
}

#[tokio::test(start_paused = true)]
async fn the_region_forgets_what_it_had_without_the_port_and_the_scheme() {
    let clock = Clock::tokio();
    let (region, origin) = (layer(policy("region"), &clock), Origin::new());
    origin.always("/item", |_| ok("item").max_age(1000));
    let asked_there = Client::new(region.layer(origin.clone()));
    assert_eq!(asked_there.get("http://h/item").told().await, "200 item (uri-miss)");
    origin.says("/new", answer(303).header("location", "https://h/item"));
    let tier = Regional::new(region.layer(origin.clone()), origin.clone()).tells(region.handle());
    assert_eq!(Client::new(tier).ask("POST", "https://h:443/new").await.status, 303);
    assert_eq!(asked_there.get("http://h/item").told().await, "200 item (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_region_is_told_changes_nothing_of_it() {
    let clock = Clock::tokio();
    let (region, edge) = (layer(policy("region"), &clock), layer(policy("edge"), &clock));
    let (far, direct) = (Origin::new(), Origin::new());
    let handle = region.handle();
    let slowly = move |changed: Changed| {
        let handle = handle.clone();
        async move {
            tokio::time::sleep(seconds(2)).await;
            handle.changed(&changed);
        }
    };
    let tier = Regional::new(region.layer(far.clone()), direct.clone()).tells(slowly);
    let client = Client::new(edge.layer(tier));
    far.always("/a", |_| ok("old").max_age(600));
    assert_eq!(client.get("/a").told().await, "200 old (uri-miss)");
    direct.says("/a", answer(204));
    let post = client.ask("POST", "/a").start();
    settle().await;
    assert_eq!(direct.count(), 1, "the answer is there");
    post.abort();
    pass(3).await;
    far.always("/a", |_| ok("new").max_age(600));
    assert_eq!(client.get("/a").told().await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_done_in_no_tier() {
    let t = tiers(1);
    let handles = Handles::new([&t.region, &t.edges[0]].map(CdnCacheLayer::handle));
    for wrong in [
        handles.invalidate("no uri"),
        handles.invalidate("/no-host"),
        handles.invalidate("http://example.com/").host("example.com"),
        handles.invalidate_path("a"),
        handles.invalidate_tags([""]),
        handles.invalidate_tags(Vec::<String>::new()),
        handles.invalidate_all().host("a b"),
    ] {
        let why = wrong.error().expect("it is known before").to_string();
        assert_eq!(wrong.await.unwrap_err().to_string(), why);
    }
    assert!(handles.invalidate_all().error().is_none());
    assert!(handles.stats().iter().all(|stats| stats.invalidations == 0));
}

#[tokio::test(start_paused = true)]
async fn errors_are_handed_on() {
    let t = tiers(1);
    t.far.says("/a", fail());
    let error = t.clients[0].get("/a").outcome().await.err().expect("no answer");
    assert_eq!((error.status().as_u16(), error.to_string().as_str()), (502, "origin failed"));
    t.far.says("/a", answer(503).body("later"));
    assert_eq!(t.told(0, "/a").await, "503 later (uri-miss)", "what the origin says");
    assert_eq!(t.asked(), (2, 0));
    t.far.says("/b", ok("old").says("max-age=10, stale-if-error=1000"));
    assert_eq!(t.told(0, "/b").await, "200 old (uri-miss)");
    pass(20).await;
    t.far.always("/b", |_| fail());
    assert_eq!(t.told(0, "/b").await, "200 old (stale)");
}

#[tokio::test(start_paused = true)]
async fn a_group_asks_the_origin_where_no_region_can_be_reached() {
    let (region, direct) = (Origin::new(), Origin::new());
    let policy = FailoverPolicy::default().statuses([]).unhealthy([]);
    let tier =
        OriginGroup::with_policy(policy, [("region", region.clone()), ("origin", direct.clone())]);
    let edge = layer(CachePolicy::default(), &Clock::tokio());
    let client = Client::new(edge.layer(Regional::new(tier, direct.clone())));
    region.always("/a", |_| answer(503));
    direct.always("/a", |_| ok("a"));
    assert_eq!(client.get("/a").await.status, 503, "the origin may have said so");
    region.always("/a", |_| fail());
    for asked in
        ["region=failed, origin=200"; 3].into_iter().chain(["region=skipped, origin=200"; 3])
    {
        assert_eq!(attempts(&client.get("/a").await), asked);
    }
    pass(5).await;
    region.always("/a", |_| ok("a"));
    for _ in 0..2 {
        assert_eq!(attempts(&client.get("/a").await), "region=200");
    }
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_the_one_that_it_asks() {
    let never = service_fn(|_: Request<RequestBody>| async {
        std::future::pending::<Result<http::Response<RequestBody>, BoxError>>().await
    });
    let busy = tower::limit::ConcurrencyLimit::new(never, 1);
    let origin = Origin::new();
    origin.always("/a", |_| ok("a"));
    let mut tier = Regional::new(busy.clone(), origin);
    let waiting = tokio::spawn(busy.oneshot(Request::new(RequestBody::default())));
    settle().await;
    std::future::poll_fn(|cx| Service::<Request<RequestBody>>::poll_ready(&mut tier, cx))
        .await
        .unwrap();
    let client = Client::new(tier);
    assert_eq!(client.ask("POST", "/a").await.status, 200);
    waiting.abort();
}
