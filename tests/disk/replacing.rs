//! What lies under a key when a put has come to nothing: what was there, where the disk is not to blame; else nothing that the put was to replace.
use crate::support::{Heads, ROOM, content, key, read, response, version_of};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    join,
    sync::{
        Semaphore,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::sleep,
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_cdn::{
    CacheBody, CacheKey, CachePolicy, CdnCache, CdnCacheLayer, Clock, Content, Store, StoreError,
    StoredHead, StoredResponse, store::DiskStore,
};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body as the test goes on with it; it ends when the sender is dropped.
fn fed() -> (Body, UnboundedSender<io::Result<Bytes>>) {
    let (sender, mut receiver) = unbounded_channel::<io::Result<Bytes>>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|next| next.map(|next| next.map(Frame::data)))
    });
    (UnsyncBoxBody::new(StreamBody::new(frames)), sender)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

fn answer(status: u16, cache_control: &str, body: Body) -> Response<Body> {
    let answer = Response::builder().status(status).header("cache-control", cache_control);
    answer.body(body).expect("an answer")
}

/// A cache in virtual time, in front of an origin that gives one answer after the other.
struct World {
    layer: CdnCacheLayer,
    service: CdnCache<BoxCloneService<Request<Full<Bytes>>, Response<Body>, Infallible>>,
}

impl World {
    fn new(
        store: impl Store,
        policy: CachePolicy,
        answers: impl IntoIterator<Item = Response<Body>>,
    ) -> Self {
        let layer = CdnCacheLayer::builder(store).clock(Clock::tokio()).policy(policy).build();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let origin = service_fn(move |_request| {
            let answer = answers.lock().expect("not poisoned").pop_front();
            async move { Ok(answer.expect("it is not asked again")) }
        });
        let service = layer.layer(BoxCloneService::new(origin));
        Self { layer, service }
    }

    async fn ask(&self) -> Response<CacheBody<Body>> {
        let request = Request::get("http://example.com/").body(Full::default());
        self.service.clone().oneshot(request.expect("a request")).await.expect("never fails")
    }

    async fn get(&self) -> (u16, Bytes) {
        let (head, body) = self.ask().await.into_parts();
        (head.status.as_u16(), body.collect().await.expect("a body").to_bytes())
    }

    /// Until no more than so many fetches are under way.
    async fn until(&self, fetches: u64) {
        while self.layer.handle().stats().fetches > fetches {
            tokio::task::yield_now().await;
        }
    }
}

fn open(directory: &TempDir) -> DiskStore {
    DiskStore::open(directory.path(), ROOM).expect("a store")
}

#[tokio::test(start_paused = true)]
async fn an_older_response_that_is_refused_leaves_the_newer_one() {
    let directory = TempDir::new().expect("a directory");
    let store = open(&directory);
    let (older, feed) = fed();
    let answers = [answer(200, "max-age=1000", older), answer(200, "max-age=1000", full("newer"))];
    let w = World::new(store.clone(), CachePolicy::default().collapse(false), answers);
    let older = w.ask().await;
    assert_eq!(w.get().await, (200, "newer".into()));
    w.until(1).await;
    assert_eq!(store.stats().stored, 1);
    feed.send(Ok("older".into())).expect("it is read");
    drop(feed);
    assert_eq!(older.into_body().collect().await.expect("a body").to_bytes(), "older");
    w.until(0).await;
    assert_eq!(w.get().await, (200, "newer".into()), "it is stored");
    assert_eq!((store.stats().stored, store.stats().dropped), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_for_long_leaves_the_stale_response_for_errors() {
    let directory = TempDir::new().expect("a directory");
    let store = open(&directory);
    let (paused, feed) = fed();
    let answers = [
        answer(200, "max-age=10, stale-if-error=1000", full("stale")),
        answer(200, "max-age=10", paused),
        answer(503, "no-store", full("")),
    ];
    let policy = CachePolicy::default().body_timeout(Duration::from_secs(1));
    let w = World::new(store.clone(), policy, answers);
    assert_eq!(w.get().await, (200, "stale".into()));
    w.until(0).await;
    sleep(Duration::from_secs(100)).await;
    let ((status, bytes), ()) = join!(w.get(), async {
        sleep(Duration::from_secs(10)).await;
        feed.send(Ok("new".into())).expect("it is read");
        drop(feed);
    });
    assert_eq!((status, bytes), (200, "new".into()));
    w.until(0).await;
    assert_eq!(w.get().await, (200, "stale".into()), "the origin fails");
    assert_eq!((store.stats().stored, store.stats().dropped), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn content_that_fails_leaves_what_was_there() {
    let directory = TempDir::new().expect("a directory");
    let store = open(&directory);
    let heads = Heads::make(1).await.remove(0);
    store.put(&key(1), response(&heads.first, content(1, 1, 1_000))).await.expect("stored");
    for is_error in [true, false] {
        // An error that a store of somebody else made, and an end that comes early.
        let failing = Content::from_fn(2_000, move |_| {
            let (body, feed) = fed();
            _ = feed.send(Ok(content(1, 2, 500)));
            _ = is_error.then(|| feed.send(Err(io::Error::other("it broke"))));
            body
        });
        let failing = StoredResponse::new(heads.first.clone(), failing);
        store.put(&key(1), failing).await.expect_err("the content fails");
        let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
        assert_eq!(read(&got.content).await, Some(content(1, 1, 1_000)));
    }
    assert_eq!(store.stats().dropped, 0, "the disk could have taken it");
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_cannot_take_leaves_what_came_meanwhile() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::builder(directory.path(), ROOM).queue(200_000).open().expect("a store");
    for comes_meanwhile in [true, false] {
        store.put(&key(1), response(&heads.first, content(1, 1, 1_000))).await.expect("stored");
        let (body, feed) = fed();
        let body = Mutex::new(Some(body));
        let arriving = Content::from_fn(250_000, move |_| {
            body.lock().expect("not poisoned").take().expect("it is read once")
        });
        let arriving = StoredResponse::new(heads.first.clone(), arriving);
        let key = key(1);
        let (put, ()) = join!(biased; store.put(&key, arriving), async {
            if comes_meanwhile {
                let newer = response(&heads.first, content(1, 2, 1_000));
                store.put(&key, newer).await.expect("stored");
            }
            feed.send(Ok(content(1, 3, 250_000))).expect("it is read");
        });
        put.expect_err("the queue is too short");
        let bytes = match store.get(&key).await.expect("get must not fail") {
            Some(got) => read(&got.content).await,
            None => None,
        };
        let version = bytes.and_then(|bytes| version_of(1, &bytes));
        assert_eq!(version, comes_meanwhile.then_some(2));
    }
    assert_eq!(store.stats().dropped, 2);
}

/// A disk that does not begin before it may.
struct Late(DiskStore, Arc<Semaphore>);

impl Store for Late {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.0.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.1.acquire().await.map_err(StoreError::new)?.forget();
        self.0.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.0.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_is_too_slow_for_leaves_a_miss() {
    let directory = TempDir::new().expect("a directory");
    let (store, turns) = (open(&directory), Arc::new(Semaphore::new(1)));
    let (large, feed) = fed();
    for n in 0..100 {
        feed.send(Ok(content(1, n, 16 << 10))).expect("it is read");
    }
    drop(feed);
    let answers = [
        answer(200, "max-age=10, stale-if-error=1000", full("stale")),
        answer(200, "max-age=10", large),
        answer(503, "no-store", full("")),
    ];
    let policy = CachePolicy::default().window(64 << 10);
    let w = World::new(Late(store.clone(), Arc::clone(&turns)), policy, answers);
    assert_eq!(w.get().await, (200, "stale".into()));
    w.until(0).await;
    sleep(Duration::from_secs(100)).await;
    let (status, bytes) = w.get().await;
    assert_eq!((status, bytes.len()), (200, 100 << 14), "the client does not wait for the disk");
    turns.add_permits(1);
    w.until(0).await;
    assert_eq!(w.get().await, (503, Bytes::new()), "what is superseded is gone");
    assert_eq!((store.stats().stored, store.stats().dropped), (1, 1));
}
