//! The floor: the same service written by hand, with nothing but a map, a shared head and a clock. It knows one rule, `max-age`.
use bytes::Bytes;
use futures_util::future::{Either, FutureExt};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::Service;

/// Host, and path with query; owned, or borrowed from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<T> {
    pub(crate) host: T,
    pub(crate) target: T,
}

impl Key<Box<str>> {
    pub(crate) fn is(&self, other: &Key<&str>) -> bool {
        *self.target == *other.target && *self.host == *other.host
    }
}

impl<'a> Key<&'a str> {
    pub(crate) fn of<Q>(request: &'a Request<Q>) -> Self {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        Self { host: host.unwrap_or_default(), target }
    }

    fn to_owned(self) -> Key<Box<str>> {
        Key { host: self.host.into(), target: self.target.into() }
    }
}

/// What the map holds, shared.
pub(crate) struct Stored {
    /// With a slot for `Age`.
    headers: HeaderMap,
    body: Bytes,
    received: Instant,
    lifetime: Duration,
}

pub(crate) trait Map: Clone + Send + Sync + 'static {
    fn get(&self, key: &Key<&str>) -> Option<Arc<Stored>>;
    fn put(&self, key: Key<Box<str>>, stored: Arc<Stored>);

    /// Does now what it has put off.
    fn settle(&self) {}
}

#[derive(Clone)]
pub(crate) struct Floor<M, S> {
    pub(crate) map: M,
    pub(crate) inner: S,
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

impl<M, S, Q, B> Service<Request<Q>> for Floor<M, S>
where
    M: Map,
    S: Service<Request<Q>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    Q: Send + 'static,
    B: Body<Data = Bytes, Error: Debug> + Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Pin<Box<dyn Future<Output = Answer> + Send>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let key = Key::of(&request);
        let now = now();
        if let Some(stored) = self.map.get(&key) {
            let age = now.saturating_duration_since(stored.received);
            if age < stored.lifetime {
                return Either::Left(ready(Ok(stored.answer(age))));
            }
        }
        let (key, map, mut inner) = (key.to_owned(), self.map.clone(), self.inner.clone());
        Either::Right(
            async move {
                let response = inner.call(request).await?;
                let stored = Arc::new(Stored::of(response).await);
                map.put(key, Arc::clone(&stored));
                Ok(stored.answer(Duration::ZERO))
            }
            .boxed(),
        )
    }
}

impl Stored {
    /// Copies all values and the body into one buffer each, since what came keeps larger ones alive.
    async fn of(response: Response<impl Body<Data = Bytes, Error: Debug>>) -> Self {
        let (head, body) = response.into_parts();
        let mut values = Vec::with_capacity(head.headers.values().map(HeaderValue::len).sum());
        head.headers.values().for_each(|value| values.extend_from_slice(value.as_bytes()));
        let mut values = Bytes::from(values);
        let mut headers = HeaderMap::with_capacity(head.headers.len() + 1);
        for (name, value) in &head.headers {
            let copy = HeaderValue::from_maybe_shared(values.split_to(value.len()));
            headers.append(name, copy.expect("it was a value"));
        }
        headers.insert(header::AGE, AGES[0].clone());
        let body = body.collect().await.expect("a whole body");
        let control = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let lifetime = control
            .and_then(|value| value.split(", ").find_map(|part| part.strip_prefix("max-age=")))
            .and_then(|seconds| seconds.parse().ok());
        let body = Bytes::copy_from_slice(&body.to_bytes());
        let lifetime = lifetime.map_or(Duration::ZERO, Duration::from_secs);
        Self { headers, body, received: now(), lifetime }
    }

    fn answer(&self, age: Duration) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        let seconds = age.as_secs();
        let small = usize::try_from(seconds).ok().and_then(|seconds| AGES.get(seconds).cloned());
        response.headers_mut().insert(header::AGE, small.unwrap_or_else(|| seconds.into()));
        response
    }
}

/// Small ages, made once.
static AGES: LazyLock<Vec<HeaderValue>> =
    LazyLock::new(|| (0_u64..3_600).map(HeaderValue::from).collect());

#[expect(clippy::disallowed_methods, reason = "the clock that a hit cannot do without")]
fn now() -> Instant {
    Instant::now()
}
