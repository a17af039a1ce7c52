//! A disk of which can be told whether it is at work.
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, pending},
    io::ErrorKind,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower_cdn::{
    BoxError, CacheKey, Content, ContentBody, Store, StoreError, StoredHead, StoredResponse,
    store::DiskStore,
};

/// More than any story stores.
const CAPACITY: u64 = 256 << 20;

/// A store in a directory of its own, which goes with it.
pub(crate) struct Watched {
    inner: DiskStore,
    work: Arc<Work>,
    _directory: Directory,
}

struct Directory(TempDir);

impl Drop for Directory {
    /// The store closes in the background, and may come with a last file while its directory is removed.
    fn drop(&mut self) {
        for _ in 0..1000 {
            match std::fs::remove_dir_all(self.0.path()) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                    std::thread::yield_now();
                }
                _ => return,
            }
        }
    }
}

#[derive(Default)]
struct Work {
    begun: AtomicU64,
    ended: AtomicU64,
}

thread_local! {
    /// Of the stores that were made by this test.
    static WORKS: RefCell<Vec<Weak<Work>>> = const { RefCell::new(Vec::new()) };
}

/// What has begun and what has ended.
pub(crate) fn work() -> (u64, u64) {
    WORKS.with_borrow(|works| {
        works.iter().filter_map(Weak::upgrade).fold((0, 0), |(begun, ended), work| {
            let ended = ended + work.ended.load(Ordering::SeqCst);
            (begun + work.begun.load(Ordering::SeqCst), ended)
        })
    })
}

/// Something is under way until this is dropped.
struct UnderWay(Arc<Work>);

impl UnderWay {
    fn new(work: &Arc<Work>) -> Self {
        work.begun.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(work))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Watched {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let inner = DiskStore::open(directory.path(), CAPACITY).expect("a store");
        // Until then it asks the disk also for what is not there.
        while inner.loaded().now_or_never().is_none() {
            std::thread::yield_now();
        }
        let work = Arc::default();
        WORKS.with_borrow_mut(|works| {
            works.retain(|work| work.strong_count() > 0);
            works.push(Arc::downgrade(&work));
        });
        Self { inner, work, _directory: Directory(directory) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.inner.stats().objects
    }

    async fn at_work<T>(&self, operation: impl Future<Output = T>) -> T {
        let _under_way = UnderWay::new(&self.work);
        operation.await
    }

    /// Its readers wait for the disk.
    fn watch(&self, content: Content) -> Content {
        let Some(len) = content.len() else { return content };
        if content.as_bytes().is_some() {
            return content;
        }
        let (work, trailers) = (Arc::clone(&self.work), content.trailers().cloned());
        let open = move |range| Reading {
            body: content.read_range(range),
            work: Arc::clone(&work),
            under_way: None,
        };
        Content::from_fn(len, open).with_trailers(trailers)
    }
}

struct Reading {
    body: ContentBody,
    work: Arc<Work>,
    under_way: Option<UnderWay>,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.under_way = polled.is_pending().then(|| UnderWay::new(&self.work));
        polled
    }
}

/// Content on its way to the disk, which is at work unless it waits for more.
struct Arriving {
    receiver: UnboundedReceiver<Result<Frame<Bytes>, BoxError>>,
    work: Arc<Work>,
    under_way: Arc<Mutex<Option<UnderWay>>>,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.receiver.poll_recv(cx);
        let under_way = polled.is_ready().then(|| UnderWay::new(&self.work));
        *self.under_way.lock().expect("not poisoned") = under_way;
        polled
    }
}

impl Store for Watched {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let found = self.at_work(self.inner.get(key)).await?;
        Ok(found.map(|found| {
            let content = self.watch(found.content.clone());
            found.with_content(content)
        }))
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.inner.peek(key)
    }

    fn peek_tells_all(&self) -> bool {
        self.inner.peek_tells_all()
    }

    /// The time in which content arrives is virtual, that of a disk is not: read at its pace, what arrives at once would be too fast to be stored. So it is read as
    /// it comes, and what the disk has not taken yet waits here.
    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let Some(len) = response.content.len().filter(|_| response.content.as_bytes().is_none())
        else {
            // Nobody can tell a store that something arrives whose length is not known but the cache itself.
            let content = response.content.collect().await?;
            return self.at_work(self.inner.put(key, response.with_content(content))).await;
        };
        let mut body = response.content.read();
        let (sender, receiver) = unbounded_channel();
        let arriving = async move {
            while let Some(frame) = body.frame().await {
                _ = sender.send(frame);
            }
            drop(sender);
            pending::<Infallible>().await
        };
        let under_way = Arc::new(Mutex::new(None));
        let waiting =
            Arriving { receiver, work: Arc::clone(&self.work), under_way: Arc::clone(&under_way) };
        let waiting = Mutex::new(Some(waiting));
        let content = Content::from_fn(len, move |_| {
            waiting.lock().expect("not poisoned").take().expect("it is read once")
        });
        let putting = self.inner.put(key, response.with_content(content));
        match select(pin!(putting), pin!(arriving)).await {
            Either::Left((stored, _)) => stored,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.at_work(self.inner.freshen(key, head)).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.at_work(self.inner.delete(key)).await
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.inner.notes()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.at_work(self.inner.note(number, note)).await
    }
}

/// True if nothing was under way and nothing has begun since `before`. If not, gives the disk a moment.
pub(crate) fn is_idle(before: (u64, u64)) -> bool {
    let (begun, ended) = work();
    if begun != ended {
        std::thread::sleep(Duration::from_micros(100));
    }
    (begun, begun) == before && begun == ended
}
