//! Answers that the proxy makes itself.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use tower_cdn::DoNotStore;

/// What went wrong, in the words of the libraries. In the response's extensions, for the log only:
/// the client is not told of addresses and the like.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

/// A short text under `status`, which no cache is to keep: the fault is this moment's.
///
/// For the cache inside this program that is said by an extension and not by `Cache-Control`, so
/// that it can still answer from what it has (RFC 5861 §4, `stale-if-error`).
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(DoNotStore);
    response
}
