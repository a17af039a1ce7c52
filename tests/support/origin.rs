//! An origin that says what its script says.
use super::{Feed, OriginBody, body::Piece};
use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tower::Service;

/// The error of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginError(pub(crate) &'static str);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for OriginError {}

/// A request that the origin got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
}

impl Seen {
    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the value is text"))
    }

    pub(crate) fn target(&self) -> String {
        self.uri.to_string()
    }
}

/// What the origin does with one request.
pub(crate) struct Answer {
    act: Act,
    /// Waited for before the act.
    held: Option<oneshot::Receiver<()>>,
}

enum Act {
    Respond(Box<Response<OriginBody>>),
    Fail,
    Panic,
    Hang,
}

/// Lets an answer go that was held back. Dropping it lets it go as well.
pub(crate) struct Hold(oneshot::Sender<()>);

impl Hold {
    pub(crate) fn release(self) {
        _ = self.0.send(());
    }

    /// True if nobody waits for the answer any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.is_closed()
    }
}

/// A 200 with this body, whose length is known.
pub(crate) fn ok(body: impl Into<Bytes>) -> Answer {
    answer(200).body(body)
}

/// An answer with this status and no body.
pub(crate) fn answer(status: u16) -> Answer {
    let mut response = Response::new(OriginBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Answer { act: Act::Respond(Box::new(response)), held: None }
}

/// What a refresh brings: that it is unchanged, or the same body as a response of its own.
pub(crate) fn refreshed(body: &'static str, unchanged: bool) -> Answer {
    if unchanged { answer(304).max_age(1_000).etag("\"a\"") } else { ok(body).max_age(1_000) }
}

/// The service fails.
pub(crate) fn fail() -> Answer {
    Answer { act: Act::Fail, held: None }
}

/// The service panics.
pub(crate) fn panics() -> Answer {
    Answer { act: Act::Panic, held: None }
}

/// The service never answers.
pub(crate) fn hang() -> Answer {
    Answer { act: Act::Hang, held: None }
}

impl Answer {
    fn response(&mut self) -> &mut Response<OriginBody> {
        match &mut self.act {
            Act::Respond(response) => response,
            Act::Fail | Act::Panic | Act::Hang => panic!("only a response has fields and a body"),
        }
    }

    /// One more line of a field.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = HeaderValue::from_str(value.as_ref()).expect("a value");
        self.response().headers_mut().append(name, value);
        self
    }

    /// One line of `Cache-Control`.
    pub(crate) fn says(self, cache_control: &str) -> Self {
        self.header("cache-control", cache_control)
    }

    pub(crate) fn max_age(self, seconds: u64) -> Self {
        self.says(&format!("max-age={seconds}"))
    }

    /// An entity tag, quotes included.
    pub(crate) fn etag(self, tag: &str) -> Self {
        self.header("etag", tag)
    }

    pub(crate) fn vary(self, names: &str) -> Self {
        self.header("vary", names)
    }

    pub(crate) fn extension(mut self, extension: impl Clone + Send + Sync + 'static) -> Self {
        self.response().extensions_mut().insert(extension);
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        self.with(OriginBody::full(body))
    }

    /// These chunks, then the end; the length is not known before.
    pub(crate) fn chunks(self, chunks: &[&'static str]) -> Self {
        let data = |chunk: &&'static str| Piece::Data(Bytes::from_static(chunk.as_bytes()));
        self.with(OriginBody::pieces(chunks.iter().map(data)))
    }

    /// The test feeds the body, whose length is not known.
    pub(crate) fn fed(self) -> (Self, Feed) {
        let (body, feed) = OriginBody::fed();
        (self.with(body), feed)
    }

    /// So many chunks of that size, made on demand; the length is not known. The counter tells how many were taken.
    pub(crate) fn made(self, count: u64, size: usize) -> (Self, Arc<AtomicU64>) {
        let (body, pulled) = OriginBody::made(count, size);
        (self.with(body), pulled)
    }

    fn with(mut self, body: OriginBody) -> Self {
        *self.response().body_mut() = body;
        self
    }

    /// Not before the test lets it go.
    pub(crate) fn held(mut self) -> (Self, Hold) {
        let (sender, receiver) = oneshot::channel();
        self.held = Some(receiver);
        (self, Hold(sender))
    }

    async fn act(self) -> Result<Response<OriginBody>, OriginError> {
        if let Some(held) = self.held {
            _ = held.await;
        }
        match self.act {
            Act::Respond(response) => Ok(*response),
            Act::Fail => Err(OriginError("origin failed")),
            // As a panic, but without the message on the terminal.
            Act::Panic => std::panic::resume_unwind(Box::new("the origin panics")),
            Act::Hang => std::future::pending().await,
        }
    }
}

type Script = Box<dyn FnMut(&Seen) -> Answer + Send>;

/// The scripted service. Clones share script and log.
#[derive(Clone)]
pub(crate) struct Origin {
    state: Arc<Mutex<State>>,
    under_way: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    queues: HashMap<String, VecDeque<Answer>>,
    scripts: HashMap<String, Script>,
    log: Vec<Seen>,
}

impl Origin {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), under_way: Arc::default() }
    }

    /// The answer to the next request for this path, after those that were said before.
    pub(crate) fn says(&self, path: &str, answer: Answer) {
        self.lock().queues.entry(path.to_owned()).or_default().push_back(answer);
    }

    /// The answers to all requests for this path for which nothing else was said.
    pub(crate) fn always(&self, path: &str, script: impl FnMut(&Seen) -> Answer + Send + 'static) {
        self.lock().scripts.insert(path.to_owned(), Box::new(script));
    }

    /// How many requests it got.
    pub(crate) fn count(&self) -> usize {
        self.lock().log.len()
    }

    /// The last request that it got.
    pub(crate) fn last(&self) -> Seen {
        self.lock().log.last().cloned().expect("the origin got a request")
    }

    pub(crate) fn log(&self) -> Vec<Seen> {
        self.lock().log.clone()
    }

    /// How many requests it has not answered yet.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::SeqCst)
    }

    fn take(&self, seen: Seen) -> Answer {
        let mut state = self.lock();
        let path = seen.uri.path().to_owned();
        state.log.push(seen.clone());
        if let Some(answer) = state.queues.get_mut(&path).and_then(VecDeque::pop_front) {
            return answer;
        }
        match state.scripts.get_mut(&path) {
            Some(script) => script(&seen),
            None => answer(418).body("nobody told the origin what to say"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Send + 'static> Service<Request<Q>> for Origin {
    type Response = Response<OriginBody>;
    type Error = OriginError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<OriginBody>, OriginError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (head, _) = request.into_parts();
        let answer = self.take(Seen {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            extensions: head.extensions,
        });
        let under_way = UnderWay::new(&self.under_way);
        Box::pin(async move {
            let _under_way = under_way;
            answer.act().await
        })
    }
}

/// Counts one request as long as it lives.
struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
