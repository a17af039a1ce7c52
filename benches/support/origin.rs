//! Who answers: a service that shares what it has, and one that does nothing.
use super::request::Ask;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};
use tower::Service;

const ETAG: &str = "\"5f3c6e2a-400\"";

/// The head of a script as a web server sends it: ten fields.
pub(crate) fn fields(length: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::ETAG, ETAG),
        (header::LAST_MODIFIED, "Wed, 01 Jan 2025 00:00:00 GMT"),
        (header::SERVER, "bench"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, length.into());
    #[expect(clippy::disallowed_methods, reason = "an origin has a clock of its own")]
    let now = httpdate::fmt_http_date(SystemTime::now());
    headers.insert(header::DATE, now.parse().expect("a date"));
    headers
}

/// Answers each request with the same, and one that has its `ETag` with 304.
#[derive(Clone)]
pub(crate) struct Origin(Arc<(HeaderMap, Bytes)>);

impl Origin {
    pub(crate) fn new(length: usize) -> Self {
        Self(Arc::new((fields(length), vec![b'x'; length].into())))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        Arc::make_mut(&mut self.0).0.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(crate) fn without(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.0).0.remove(name);
        self
    }

    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let (headers, body) = &*self.0;
        let not_modified = request.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == ETAG);
        let body = if not_modified { Bytes::new() } else { body.clone() };
        let mut response = Response::new(Full::new(body));
        *response.headers_mut() = headers.clone();
        if not_modified {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

impl Service<Ask> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Ask) -> Self::Future {
        ready(Ok(self.answer(request.headers())))
    }
}

/// The same, but not before all others had their turn: requests of one moment meet while they wait for it.
#[derive(Clone)]
pub(crate) struct Far(pub(crate) Origin);

impl Service<Ask> for Far {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Later;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Ask) -> Later {
        Later { answer: Some(self.0.answer(request.headers())), has_waited: false }
    }
}

/// Ready when it is asked for the second time.
pub(crate) struct Later {
    answer: Option<Response<Full<Bytes>>>,
    has_waited: bool,
}

impl Future for Later {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.has_waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
    }
}

/// Does nothing: what it costs is the harness.
#[derive(Clone)]
pub(crate) struct Constant;

impl Service<Ask> for Constant {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"constant")))))
    }
}

/// Is never asked.
#[derive(Clone)]
pub(crate) struct Never;

impl Service<Ask> for Never {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Ask) -> Self::Future {
        panic!("{} should have been a hit", request.uri())
    }
}
