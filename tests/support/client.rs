//! A client that asks and looks closely at what it gets.
use bytes::Bytes;
use futures_util::future::poll_immediate;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::task::JoinHandle;
use tower::{Service, ServiceExt};
use tower_cdn::{BoxError, CacheStatus};

pub(crate) type RequestBody = Full<Bytes>;

/// So long that no limit of the cache is longer: whatever waits for this has been forgotten by the cache.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks a service.
#[derive(Clone)]
pub(crate) struct Client<S> {
    service: S,
}

impl<S: Clone> Client<S> {
    pub(crate) fn new(service: S) -> Self {
        Self { service }
    }

    pub(crate) fn get(&self, target: &str) -> Ask<S> {
        self.ask("GET", target)
    }

    /// For a target without a host it is `example.com`.
    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask<S> {
        let uri = if target.starts_with('/') {
            format!("http://example.com{target}")
        } else {
            target.to_owned()
        };
        let request = Request::builder().method(method).uri(uri).body(RequestBody::default());
        Ask { service: self.service.clone(), request: request.expect("a request") }
    }
}

/// A question, to be awaited, or [started](Self::start).
#[must_use]
pub(crate) struct Ask<S> {
    service: S,
    request: Request<RequestBody>,
}

impl<S> Ask<S> {
    /// One more line of a field.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = HeaderValue::from_str(value.as_ref()).expect("a value");
        self.request.headers_mut().append(name, value);
        self
    }

    pub(crate) fn body(mut self, body: &'static str) -> Self {
        *self.request.body_mut() = Full::from(body);
        self
    }

    pub(crate) fn version(mut self, version: Version) -> Self {
        *self.request.version_mut() = version;
        self
    }

    /// What stands outside of the cache has put this into the request.
    pub(crate) fn extension(mut self, extension: impl Clone + Send + Sync + 'static) -> Self {
        self.request.extensions_mut().insert(extension);
        self
    }

    /// In origin form: the target without scheme and host.
    pub(crate) fn origin_form(mut self, target: &str) -> Self {
        *self.request.uri_mut() = target.parse().expect("a target");
        self
    }
}

impl<S, B, E> Ask<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = E> + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    /// What comes of it, an error of the service included.
    pub(crate) async fn outcome(self) -> Result<Reply, E> {
        let answered = tokio::time::timeout(FOR_EVER, self.service.oneshot(self.request)).await;
        answered.expect("an answer comes at some time").map(Reply::new)
    }

    /// Asks in a task of its own.
    pub(crate) fn start(self) -> JoinHandle<Reply> {
        tokio::spawn(self.into_future())
    }

    pub(crate) fn start_outcome(self) -> JoinHandle<Result<Reply, E>> {
        tokio::spawn(self.outcome())
    }

    /// Asks, reads all and tells it, see [`Reply::told`]; then lets the cache finish what it does behind.
    pub(crate) async fn told(self) -> String {
        let told = self.await.told().await;
        super::settle().await;
        told
    }

    /// Asks, reads all and tells it, in a task of its own.
    pub(crate) fn start_told(self) -> JoinHandle<String> {
        tokio::spawn(async { self.await.told().await })
    }
}

impl<S, B, E> IntoFuture for Ask<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = E> + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.outcome().await.expect("the service does not fail") })
    }
}

/// What the client got: the head, and a body that it has not read yet.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: http::Extensions,
    pub(crate) body: UnsyncBoxBody<Bytes, BoxError>,
}

impl Reply {
    pub(crate) fn new<B>(response: Response<B>) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (head, body) = response.into_parts();
        for name in ["age", "cache-status"] {
            assert!(
                head.headers.get(name).is_none_or(|value| !value.is_empty()),
                "{name} is empty"
            );
        }
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            extensions: head.extensions,
            body: body.map_err(Into::into).boxed_unsync(),
        }
    }

    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the value is text"))
    }

    /// All values of a field.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|v| v.to_str().expect("the value is text")).collect()
    }

    pub(crate) fn age(&self) -> Option<u64> {
        self.field("age").map(|age| age.parse().expect("Age is a number"))
    }

    /// The typed extension.
    pub(crate) fn cache(&self) -> CacheStatus {
        *self.extensions.get::<CacheStatus>().expect("each response has the extension")
    }

    /// `hit`, `stale-hit`, or why it went forward; `+` if another request's fetch answered; `-` if the cache made it itself.
    pub(crate) fn how(&self) -> String {
        let cache = self.cache();
        let forward = cache.forward().map_or("-", |forward| forward.as_str());
        let how = match (cache.is_hit(), cache.ttl()) {
            (true, Some(ttl)) if ttl <= 0 => "stale-hit",
            (true, _) => "hit",
            (false, _) => forward,
        };
        if cache.is_collapsed() { format!("{how}+") } else { how.to_owned() }
    }

    /// Status, content, and how it came: `200 hello (hit)`. Content that breaks off ends with `#`.
    pub(crate) async fn told(mut self) -> String {
        let how = self.how();
        let (text, error) = self.read().await;
        let broken = if error.is_some() { "#" } else { "" };
        format!("{} {text}{broken} ({how})", self.status)
    }

    /// The content, which is complete.
    pub(crate) async fn text(mut self) -> String {
        let (text, error) = self.read().await;
        assert!(error.is_none(), "the content is complete: {error:?}");
        text
    }

    /// Reads what is left: what came, and what broke it.
    pub(crate) async fn read(&mut self) -> (String, Option<BoxError>) {
        let mut text = Vec::new();
        loop {
            match self.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        text.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return (lossy(&text), Some(error)),
                None => return (lossy(&text), None),
            }
        }
    }

    /// The error that breaks the content, which has one.
    pub(crate) async fn body_error(mut self) -> BoxError {
        self.read().await.1.expect("the content is not complete")
    }

    pub(crate) async fn trailers(mut self) -> Option<HeaderMap> {
        while let Some(frame) = self.frame().await {
            if let Ok(trailers) = frame.expect("the content is complete").into_trailers() {
                return Some(trailers);
            }
        }
        None
    }

    async fn frame(&mut self) -> Option<Result<http_body::Frame<Bytes>, BoxError>> {
        let frame = tokio::time::timeout(FOR_EVER, self.body.frame()).await;
        frame.expect("the body goes on at some time")
    }

    /// The next chunk, if it is there now.
    pub(crate) async fn chunk_now(&mut self) -> Option<String> {
        let frame = poll_immediate(self.body.frame()).await??;
        let data = frame.expect("the body has not failed").into_data().ok()?;
        Some(lossy(&data))
    }

    /// True if the body is neither over nor has anything now.
    pub(crate) async fn is_waiting(&mut self) -> bool {
        poll_immediate(self.body.frame()).await.is_none()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
