//! How each case is set, and what one run of it is.
use super::{
    floor::{Floor, Map},
    frames::{FRAME, Long, LongOrigin, Pace},
    origin::{Far, Never, Origin},
    pace::{read, send_all},
    request::{Ask, browser, browser_with},
};
use bytes::Bytes;
use futures_util::future::{FutureExt, LocalBoxFuture};
use http::{HeaderName, Response, header};
use http_body::Body;
use http_body_util::{Either, Empty, Full};
use std::{convert::Infallible, fmt::Debug};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_cdn::{
    Behaviour, CachePolicy, CdnCache, CdnCacheLayer, Distribution, Handle, MemoryStore,
};

/// Makes a run of so many requests.
pub(crate) type Scene = Box<dyn FnMut(usize) -> Run>;

/// Gives back the requests, which are made before it starts and dropped after it has ended.
pub(crate) type Run = LocalBoxFuture<'static, Vec<Ask>>;

/// Far more than is stored, so that nothing is evicted.
const STORE: u64 = 64 << 30;

/// What a run is made of: requests for one service, and what there is to say when they are through.
pub(crate) fn scene<S, B>(
    service: S,
    mut ask: impl FnMut() -> Ask + 'static,
    check: impl Fn(usize, usize) + Clone + 'static,
) -> Scene
where
    S: Service<Ask, Response = Response<B>, Error: Debug> + Clone + 'static,
    B: Body<Data = Bytes, Error: Debug>,
{
    Box::new(move |rounds| {
        let requests: Vec<_> = (0..rounds).map(|_| ask()).collect();
        let (mut service, check) = (service.clone(), check.clone());
        async move {
            check(rounds, send_all(&mut service, &requests).await);
            requests
        }
        .boxed_local()
    })
}

/// A service by itself.
pub(crate) async fn alone<S, B>(service: S, request: Ask) -> Scene
where
    S: Service<Ask, Response = Response<B>, Error: Debug> + Clone + 'static,
    B: Body<Data = Bytes, Error: Debug>,
{
    scene(service, move || request.clone(), |_, bytes| assert!(bytes > 0))
}

/// One layer with its store, everything by default.
struct Edge {
    service: CdnCache<Origin>,
    handle: Handle,
    store: MemoryStore,
}

impl Edge {
    fn new(origin: Origin) -> Self {
        Self::with(origin, CachePolicy::default())
    }

    fn with(origin: Origin, policy: CachePolicy) -> Self {
        let store = MemoryStore::new(STORE);
        let layer = CdnCacheLayer::builder(store.clone()).policy(policy).build();
        Self { service: layer.layer(origin), handle: layer.handle(), store }
    }

    /// Requests that are all hits, after `fill` was asked.
    async fn hits(
        mut self,
        fill: impl Iterator<Item = Ask>,
        ask: impl FnMut() -> Ask + 'static,
        length: usize,
    ) -> Scene {
        for request in fill {
            send_all(&mut self.service, &[request]).await;
            settled(&self.handle).await;
        }
        assert!(self.store.weight() > 0);
        let Self { service, handle, .. } = self;
        let forwarded = handle.stats().forwarded;
        scene(service, ask, move |rounds, bytes| {
            assert_eq!((handle.stats().forwarded, bytes), (forwarded, rounds * length));
        })
    }
}

/// Waits for the store to have what is arriving.
async fn settled(handle: &Handle) {
    while handle.stats().fetches > 0 {
        tokio::task::yield_now().await;
    }
}

/// Hits on one stored response.
pub(crate) async fn hit(origin: Origin, request: Ask, length: usize) -> Scene {
    let fill = browser(request.uri().path_and_query().expect("a path").as_str());
    let ask = move || request.clone();
    Edge::new(origin).hits([fill].into_iter(), ask, length).await
}

/// The same, and nobody reads the typed extension.
pub(crate) async fn hit_without_extension(origin: Origin, request: Ask, length: usize) -> Scene {
    let fill = request.clone();
    let edge = Edge::with(origin, CachePolicy::default().status_extension(false));
    edge.hits([fill].into_iter(), move || request.clone(), length).await
}

/// The same, where so many behaviours are asked first and none matches.
pub(crate) async fn hit_behind_behaviours(count: usize, request: Ask, length: usize) -> Scene {
    let behaviour = || Behaviour::new(CachePolicy::default());
    let patterns = (0..count).map(|n| match n % 3 {
        0 => format!("/section-{n}/*"),
        1 => format!("*.type{n}"),
        _ => format!("/a*/{n}/?.html"),
    });
    let distribution = patterns
        .fold(Distribution::builder(behaviour()), |all, pattern| {
            all.behaviour(pattern, behaviour())
        })
        .build()
        .expect("patterns");
    let store = MemoryStore::new(STORE);
    let layer = CdnCacheLayer::builder(store.clone()).distribution(distribution).build();
    let (service, handle) = (layer.layer(Origin::new(length)), layer.handle());
    let fill = request.clone();
    Edge { service, handle, store }.hits([fill].into_iter(), move || request.clone(), length).await
}

/// Hits on each of so many variants of one URI in turn.
pub(crate) async fn hit_variants(count: usize) -> Scene {
    const DEVICE: HeaderName = HeaderName::from_static("x-device");
    let of = |number: usize| browser_with("/a.js?v=3", DEVICE, &format!("device-{number}"));
    let origin = Origin::new(1024).without(header::SERVER).with(header::VARY, "x-device");
    let asks: Vec<_> = (0..count).map(of).collect();
    let mut cycle = asks.clone().into_iter().cycle();
    let ask = move || cycle.next().expect("one at least");
    Edge::new(origin).hits(asks.into_iter(), ask, 1024).await
}

/// Hits on what nearly all that is compressed says it varies by.
pub(crate) async fn hit_encoded() -> Scene {
    let origin = Origin::new(1024).without(header::SERVER).with(header::VARY, "accept-encoding");
    let of = || browser("/a.js?v=3");
    Edge::new(origin).hits([of()].into_iter(), of, 1024).await
}

/// Hits among many stored responses, spread over all of them.
pub(crate) async fn hit_among(count: usize) -> Scene {
    let mut step = Spread::new(count);
    let ask = move || browser(&stored(step.next()));
    let fill = (0..count).map(|number| browser(&stored(number)));
    Edge::new(Origin::new(1024)).hits(fill, ask, 1024).await
}

/// Hits among a thousand stored responses with three groups, under so many rules of all kinds that concern none of them. Asked anew: one more rule is made in each run,
/// so that each response is asked whether one concerns it; else they remember that none does.
pub(crate) async fn hit_under(rules: usize, is_asked: bool) -> Scene {
    const STORED: usize = 1_000;
    let groups = HeaderName::from_static("cache-groups");
    let edge = Edge::new(Origin::new(1024).with(groups, "\"article-1\", \"author-2\", \"all\""));
    let handle = edge.handle.clone();
    let mut numbers = (0..STORED).cycle();
    let ask = move || browser(&stored(numbers.next().expect("it has no end")));
    let fill = (0..STORED).map(|number| browser(&stored(number)));
    let mut hits = edge.hits(fill, ask, 1024).await;
    make_rules(&handle, rules).await;
    Box::new(move |rounds| {
        let (run, handle) = (hits(rounds), handle.clone());
        async move {
            if is_asked {
                handle.invalidate_path("/nothing").await.expect("a path");
            }
            run.await
        }
        .boxed_local()
    })
}

/// A quarter each of tags, of what paths begin with, of paths of one host, and of URIs.
async fn make_rules(handle: &Handle, count: usize) {
    for number in 0..count / 4 {
        let path = format!("/stored/{number:07}.css");
        handle.invalidate_path(format!("{path}*")).await.expect("a pattern");
        handle.invalidate_path(&path).host("www.example.com").await.expect("a path");
        let uri = format!("http://www.example.com{path}");
        handle.invalidate(uri).soft().await.expect("an URI");
    }
    if count > 0 {
        let tags = (0..count / 4).map(|number| format!("article-{number:07}"));
        handle.invalidate_tags(tags).await.expect("tags");
    }
    assert_eq!(handle.stats().rules, count as u64);
}

fn stored(number: usize) -> String {
    format!("/stored/{number:07}.js?v=3")
}

/// Numbers below a bound, far from one another.
struct Spread {
    count: usize,
    at: usize,
}

impl Spread {
    fn new(count: usize) -> Self {
        Self { count, at: 0 }
    }

    fn next(&mut self) -> usize {
        self.at = (self.at + 7_919) % self.count;
        self.at
    }
}

/// A look-up that finds nothing, and no more: `only-if-cached`.
pub(crate) async fn nothing() -> Scene {
    let request = browser_with("/a.js?v=3", header::CACHE_CONTROL, "only-if-cached");
    let Edge { service, .. } = Edge::new(Origin::new(1024));
    scene(service, move || request.clone(), |_, bytes| assert_eq!(bytes, 0))
}

/// Misses, until the store has what they brought.
pub(crate) async fn miss(origin: Origin, length: usize) -> Scene {
    let Edge { service, handle, .. } = Edge::new(origin);
    let mut number = 0;
    Box::new(move |rounds| {
        let requests: Vec<_> = (0..rounds).map(|round| browser(&stored(number + round))).collect();
        number += rounds;
        let (mut service, handle) = (service.clone(), handle.clone());
        async move {
            assert_eq!(send_all(&mut service, &requests).await, rounds * length);
            settled(&handle).await;
            assert_eq!(handle.stats().stored, number as u64);
            requests
        }
        .boxed_local()
    })
}

/// Each request makes the origin say that what is stored is still good.
pub(crate) async fn revalidation() -> Scene {
    let origin = Origin::new(1024).with(header::CACHE_CONTROL, "no-cache");
    let Edge { mut service, handle, .. } = Edge::new(origin);
    send_all(&mut service, &[browser("/a.js?v=3")]).await;
    settled(&handle).await;
    let before = handle.stats().stored;
    let mut runs = 0;
    Box::new(move |rounds| {
        let requests: Vec<_> = (0..rounds).map(|_| browser("/a.js?v=3")).collect();
        runs += rounds;
        let (mut service, handle) = (service.clone(), handle.clone());
        async move {
            assert_eq!(send_all(&mut service, &requests).await, rounds * 1024);
            settled(&handle).await;
            assert_eq!(handle.stats().stored, before + runs as u64);
            requests
        }
        .boxed_local()
    })
}

/// The least that a layer with a body of its own does: the inner service's body is wrapped, and nothing is looked at. It waits for readiness on a clone, as a
/// layer has to that is always ready itself.
pub(crate) fn mapped(
    origin: Origin,
) -> impl Service<Ask, Response = Response<Either<Full<Bytes>, Empty<Bytes>>>, Error = Infallible> + Clone
{
    service_fn(move |request| {
        let origin = origin.clone();
        async move { Ok(origin.oneshot(request).await?.map(Either::Left)) }
    })
}

/// A request that the cache takes no part in.
pub(crate) async fn pass(request: Ask) -> Scene {
    pass_with(request, CachePolicy::default())
}

/// The same, and nothing is told of it.
pub(crate) async fn pass_untold(request: Ask) -> Scene {
    pass_with(request, CachePolicy::default().status_extension(false).cache_status(None))
}

fn pass_with(request: Ask, policy: CachePolicy) -> Scene {
    let Edge { service, handle, .. } = Edge::with(Origin::new(1024), policy);
    scene(service, move || request.clone(), move |_, _| assert_eq!(handle.stats().stored, 0))
}

/// So many requests at once, for so many cold keys; then the next ones.
pub(crate) async fn at_once(count: usize, keys: usize) -> Scene {
    let layer = CdnCacheLayer::new(MemoryStore::new(STORE));
    let (service, handle) = (layer.layer(Far(Origin::new(1024))), layer.handle());
    let mut number = 0;
    Box::new(move |rounds| {
        let key = |round: usize| number + round / count * keys + round % keys;
        let requests: Vec<_> = (0..rounds).map(|round| browser(&stored(key(round)))).collect();
        number += rounds / count * keys;
        let (service, handle) = (service.clone(), handle.clone());
        async move {
            for batch in requests.chunks(count) {
                let start = |request: &Ask| tokio::spawn(answer(service.clone(), request.clone()));
                let tasks: Vec<_> = batch.iter().map(start).collect();
                for task in tasks {
                    assert_eq!(task.await.expect("no panic"), 1024);
                }
                settled(&handle).await;
            }
            assert_eq!(handle.stats().stored, number as u64);
            requests
        }
        .boxed_local()
    })
}

async fn answer(mut service: CdnCache<Far>, ask: Ask) -> usize {
    let Ok(response) = service.call(ask).await;
    read(response.into_body()).await
}

/// One miss of a long body; what is counted is a frame.
pub(crate) async fn long(kind: Long) -> Scene {
    let policy = CachePolicy::default().max_object(kind.max_object());
    let layer = CdnCacheLayer::builder(MemoryStore::new(STORE)).policy(policy).build();
    let handle = layer.handle();
    let mut number = 0;
    Box::new(move |frames| {
        number += 1;
        let mut service = layer.layer(LongOrigin { frames, kind, pace: Pace::AtOnce });
        let (handle, request) = (handle.clone(), browser(&stored(number)));
        async move {
            let requests = vec![request];
            assert_eq!(send_all(&mut service, &requests).await, frames * FRAME);
            settled(&handle).await;
            requests
        }
        .boxed_local()
    })
}

/// The same body without a cache.
pub(crate) async fn long_alone() -> Scene {
    Box::new(|frames| {
        let mut service = LongOrigin { frames, kind: Long::Declined, pace: Pace::AtOnce };
        async move {
            let requests = vec![browser("/long")];
            assert_eq!(send_all(&mut service, &requests).await, frames * FRAME);
            requests
        }
        .boxed_local()
    })
}

/// The floor's hits on one stored response.
pub(crate) async fn floor_hit(map: impl Map, length: usize) -> Scene {
    let mut floor = Floor { map, inner: Origin::new(length) };
    send_all(&mut floor, &[browser("/a.js?v=3")]).await;
    let request = browser("/a.js?v=3");
    floor_hits(floor.map, move || request.clone(), length)
}

/// The floor's hits among many stored responses.
pub(crate) async fn floor_among(map: impl Map, count: usize) -> Scene {
    let mut floor = Floor { map, inner: Origin::new(1024) };
    for number in 0..count {
        send_all(&mut floor, &[browser(&stored(number))]).await;
    }
    floor.map.settle();
    let mut step = Spread::new(count);
    floor_hits(floor.map, move || browser(&stored(step.next())), 1024)
}

fn floor_hits(map: impl Map, ask: impl FnMut() -> Ask + 'static, length: usize) -> Scene {
    scene(Floor { map, inner: Never }, ask, move |rounds, bytes| {
        assert_eq!(bytes, rounds * length);
    })
}

/// The floor's misses.
pub(crate) async fn floor_miss(map: impl Map) -> Scene {
    let mut numbers = 0..;
    let ask = move || browser(&stored(numbers.next().expect("no end")));
    scene(Floor { map, inner: Origin::new(1024) }, ask, |rounds, bytes| {
        assert_eq!(bytes, rounds * 1024);
    })
}
