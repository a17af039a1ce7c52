//! The service inside the cache: it sends a request to the origin, once.
//!
//! It cannot fail: whatever goes wrong before the response head becomes a response with status 502
//! or 504 (RFC 9110 §15.6), which the cache may replace by something stale.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use tower::Service;

use crate::args::OriginUrl;
use crate::client::Clients;
use crate::hop;
use crate::reply::{self, Cause};
use crate::response::{self, Framing, Unusable};
use crate::upgrade::Tunnels;
use crate::upload::Upload;

/// Time the origin has for the head of its response, from the last byte of the request on.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The origin's body, or the text of a fault.
pub(crate) type OriginBody = Either<Incoming, Full<Bytes>>;

/// A client's body, or an empty one of a request that the cache makes by itself.
pub(crate) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// A handle to the origin, cheap to clone.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Shared>);

struct Shared {
    url: OriginUrl,
    rewrite_host: bool,
    /// Whether HTTP/2 may be spoken.
    http2: bool,
    framing: Framing,
    clients: Clients,
    tunnels: Tunnels,
}

enum Fault {
    Unreachable(String),
    Broken(String),
    TimedOut,
    ClientBroke,
}

impl Origin {
    pub(crate) fn new(
        url: OriginUrl,
        rewrite_host: bool,
        framing: Framing,
        tunnels: Tunnels,
    ) -> Self {
        // Over HTTP/2 the name of the host is `:authority`, and the pooled client takes it from the
        // URI, which is also where it connects to. So HTTP/2 is offered (by ALPN) only when that
        // name is the origin's own; over HTTP/1.1 any `Host` can be sent.
        let http2 = rewrite_host && url.scheme == Scheme::HTTPS;
        let clients = Clients::new(&url.scheme, http2);
        Self(Arc::new(Shared { url, rewrite_host, http2, framing, clients, tunnels }))
    }
}

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<OriginBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(match shared.send(request).await {
                Ok(response) => response.map(Either::Left),
                Err(fault) => fault.into_response().map(Either::Right),
            })
        })
    }
}

impl Shared {
    async fn send(&self, mut request: Request<RequestBody>) -> Result<Response<Incoming>, Fault> {
        let method = request.method().clone();
        let client_side = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let upgrade = hop::clean_request(&mut head.headers, head.version);
        self.address(&mut head);
        if self.http2 && !upgrade {
            // HTTP/2 has no such field, and hyper would take `TE` away with it.
            head.headers.remove(header::CONNECTION);
        }
        frame(&mut head, &body);
        let (upload, clock) = Upload::new(body);

        let sent = self.clients.send(Request::from_parts(head, upload), upgrade);
        let response = clock.bound(HEAD_TIMEOUT, sent).await;
        let mut response = match response {
            Ok(Ok(response)) => response,
            _ if clock.is_broken() => return Err(Fault::ClientBroke),
            Ok(Err(error)) if error.is_connect() => return Err(Fault::Unreachable(chain(&error))),
            Ok(Err(error)) => return Err(Fault::Broken(chain(&error))),
            Err(_timed_out) => return Err(Fault::TimedOut),
        };

        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !upgrade {
                return Err(Fault::Broken("101 to a request without Upgrade".to_owned()));
            }
            let origin_side = hyper::upgrade::on(&mut response);
            self.tunnels.open(client_side, origin_side);
        }
        response::settle(&mut response, &method, self.framing)
            .map_err(|Unusable(why)| Fault::Broken(why.to_owned()))?;
        Ok(response)
    }

    /// Points the request at the origin. The name of the host stays the client's, in `Host`.
    fn address(&self, head: &mut request::Parts) {
        let path = head.uri.path_and_query().cloned();
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(self.url.scheme.clone());
        parts.authority = Some(self.url.authority.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // With all three of its parts a URI is whole.
        head.uri = Uri::from_parts(parts).unwrap_or_default();
        head.version = Version::HTTP_11;
        // Nothing that hyper left there for the client's connection is for this one.
        head.extensions.clear();
        if self.rewrite_host {
            // The client puts the URI's authority in its place.
            head.headers.remove(header::HOST);
        }
    }
}

/// Says how a body of unknown length is framed. hyper's client does so by itself, but not for GET
/// and HEAD, whose bodies it would drop.
fn frame(head: &mut request::Parts, body: &RequestBody) {
    let known = head.headers.contains_key(header::CONTENT_LENGTH)
        || body.is_end_stream()
        || body.size_hint().exact().is_some();
    if !known {
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

impl Fault {
    fn into_response(self) -> Response<Full<Bytes>> {
        let (status, text, cause) = match self {
            Self::Unreachable(cause) => {
                (StatusCode::BAD_GATEWAY, "The origin cannot be reached.\n", cause)
            }
            Self::Broken(cause) => (
                StatusCode::BAD_GATEWAY,
                "The origin gave no response that can be understood.\n",
                cause,
            ),
            Self::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "The origin did not respond in time.\n",
                format!("no response head within {HEAD_TIMEOUT:?}"),
            ),
            Self::ClientBroke => (
                StatusCode::BAD_REQUEST,
                "The request body ended early.\n",
                "request body ended early".to_owned(),
            ),
        };
        let mut response = reply::text(status, text);
        response.extensions_mut().insert(Cause(cause));
        response
    }
}

/// An error and what is behind it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
