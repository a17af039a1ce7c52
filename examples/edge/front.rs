//! The service outside the cache: it checks requests, cleans responses, and writes the access log.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, Uri, Version};
use tower::Service;
use tower_cdn::CacheStatus;

use crate::body::RequestBody;
use crate::last::ErrorLast;
use crate::reply::{self, Cause};
use crate::stream::Peer;
use crate::{check, forwards, hop};

type BoxError = Box<dyn Error + Send + Sync>;

/// The cache's body, or the text of a refusal.
pub(crate) type FrontBody<B> = ErrorLast<Either<B, Full<Bytes>>>;

/// `S` is always ready, as the cache is.
#[derive(Clone)]
pub(crate) struct Front<S> {
    cache: S,
    log: Log,
}

/// Whether each request has its line; that may change.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<AtomicBool>);

impl Log {
    pub(crate) fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    #[cfg(feature = "origins")]
    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S, B> Front<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(crate) fn new(cache: S, log: Log) -> Self {
        Self { cache, log }
    }

    /// The cache is asked at once, so that the future is no larger than what it waits for. Over HTTP/2
    /// that is in the task of the connection, by which all heads go anyway.
    pub(crate) fn answer(
        &self,
        request: Request<Incoming>,
        client: &Arc<Peer>,
    ) -> impl Future<Output = Result<Response<FrontBody<B>>, Infallible>> + use<S, B> {
        let remembered = Remembered::new(&request, &self.log);
        let (mut head, body) = request.into_parts();
        let body = RequestBody::new(body, client);
        let admitted = check::admit(&mut head).and_then(|()| forwards::count(&mut head));
        match admitted {
            Ok(()) => self
                .cache
                .clone()
                .call(Request::from_parts(head, body))
                .map_ok(move |response| remembered.finish(response.map(Either::Left)))
                .left_future(),
            Err((status, text)) => {
                let response = reply::text(status, text).map(Either::Right);
                ready(Ok(remembered.finish(response))).right_future()
            }
        }
    }
}

/// What is to be known of a request when there is an answer.
struct Remembered {
    version: Version,
    is_connect: bool,
    logged: Option<(Method, Uri)>,
}

impl Remembered {
    fn new<Q>(request: &Request<Q>, log: &Log) -> Self {
        Self {
            version: request.version(),
            is_connect: request.method() == Method::CONNECT,
            logged: log.is_on().then(|| (request.method().clone(), request.uri().clone())),
        }
    }

    /// Makes a response fit for the client's connection.
    fn finish<B>(self, mut response: Response<B>) -> Response<ErrorLast<B>>
    where
        B: Body<Data = Bytes>,
    {
        let status = response.status();
        hop::clean_response(response.headers_mut(), status);
        // The version tells what this server speaks, not the origin (RFC 9110 §2.5).
        *response.version_mut() = Version::HTTP_11;
        match self.version {
            // No chunks tell a client where content ends whose length is not known. hyper would keep
            // the connection, and say so, for one who asks for it, but not in a response of HTTP/1.0.
            Version::HTTP_10
                if self.is_connect || response.body().size_hint().exact().is_none() =>
            {
                *response.version_mut() = Version::HTTP_10;
            }
            // What a client sends before it has an answer was for a tunnel: it is no request.
            Version::HTTP_11 if self.is_connect => {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            _ => {}
        }
        if let Some((method, uri)) = self.logged {
            log(&method, &uri, &response);
        }
        response.map(ErrorLast::new)
    }
}

/// One line: method, target, status, cache status, and after a fault its cause.
fn log<B>(method: &Method, uri: &Uri, response: &Response<B>) {
    let status = response.status().as_u16();
    let cache = match response.extensions().get::<CacheStatus>() {
        Some(cache) => cache.to_string(),
        None => "-".to_owned(),
    };
    let cause = match response.extensions().get::<Cause>() {
        Some(Cause(cause)) => format!(" ({})", cause.escape_debug()),
        None => String::new(),
    };
    #[cfg(feature = "origins")]
    let cause = match response.extensions().get::<tower_cdn::origins::Attempts>() {
        Some(attempts) => format!(" ({attempts})"),
        None => cause,
    };
    // A log that cannot be written must not stop the server.
    let _ = writeln!(io::stderr(), "{method} {uri} {status} {cache}{cause}");
}
