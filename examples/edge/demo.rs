//! An origin to play with, when none is given: each of its pages shows one thing a cache does.

use std::convert::Infallible;
use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::url::OriginUrl;

#[path = "demo_file.rs"]
mod file;

/// A day in the past, on which everything here was last changed.
const MODIFIED: HeaderValue = HeaderValue::from_static("Mon, 01 Jan 2024 00:00:00 GMT");

const PAGE: &str = "<!doctype html>\n<title>tower-cdn</title>\n\
<h1><img src=\"/logo.svg\" alt=\"\"> It works</h1>\n\
<p>Try <a href=\"/slow\">a slow page</a>, <a href=\"/large.bin\">a large file</a>,\n\
<a href=\"/events\">events</a> and <a href=\"/private\">a private page</a>.\n";

const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"32\" height=\"32\">\
<circle cx=\"16\" cy=\"16\" r=\"15\" fill=\"#0a7\"/></svg>\n";

/// The origin on a free port of the loopback interface, before it runs.
#[derive(Debug)]
pub(crate) struct Demo {
    listener: net::TcpListener,
}

impl Demo {
    pub(crate) fn new() -> io::Result<(Self, OriginUrl)> {
        let listener = net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let authority = listener.local_addr()?.to_string().parse().map_err(io::Error::other)?;
        Ok((Self { listener }, OriginUrl { scheme: uri::Scheme::HTTP, authority }))
    }

    /// It ends with the runtime, after all that is asked of it.
    pub(crate) fn start(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        tokio::spawn(axum::serve(listener, router()).into_future());
        Ok(())
    }
}

/// What to try, with the address to try it on.
pub(crate) fn guide(edge: SocketAddr) -> String {
    format!(
        "\
no --origin: before a demonstration origin. Try, and look for Age and Cache-Status:

  curl -i http://{edge}/                        a page, fresh for a minute: ask twice
  curl -i http://{edge}/logo.svg                an image, fresh for a year
  curl -i http://{edge}/slow                    takes two seconds, but only once
  curl -i -r 100-199 http://{edge}/large.bin -o -    a part of a large file, out of the whole
  curl -N http://{edge}/events                  events, each as it happens
  curl -i http://{edge}/private                 not for a shared cache
  curl -i --http2-prior-knowledge http://{edge}/     the same by HTTP/2

"
    )
}

fn router() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/logo.svg", get(logo))
        .route("/slow", get(slow))
        .route("/large.bin", get(file::large))
        .route("/events", get(events))
        .route("/private", get(private))
}

async fn page(request: Request) -> Response {
    document(request.headers(), "text/html; charset=utf-8", "public, max-age=60", PAGE)
}

async fn logo(request: Request) -> Response {
    document(request.headers(), "image/svg+xml", "public, max-age=31536000, immutable", LOGO)
}

async fn slow(request: Request) -> Response {
    sleep(Duration::from_secs(2)).await;
    let cache_control = "public, max-age=10, stale-while-revalidate=60";
    document(request.headers(), "text/plain; charset=utf-8", cache_control, "That took a while.\n")
}

async fn private() -> Response {
    let fields = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "private, max-age=60"),
        (header::SET_COOKIE, "visited=1; HttpOnly"),
    ];
    (fields, "This is for you alone.\n").into_response()
}

/// One event each second, for as long as someone listens.
async fn events() -> Response {
    let events = stream::unfold(1_u64, |number| async move {
        if number > 1 {
            sleep(Duration::from_secs(1)).await;
        }
        let event = Bytes::from(format!("id: {number}\ndata: event {number}\n\n"));
        Some((Ok::<_, Infallible>(event), number + 1))
    });
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (fields, Body::from_stream(events)).into_response()
}

/// A text with validators, or a 304 to who has it (RFC 9110 §13.1).
fn document(
    request: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
    text: &'static str,
) -> Response {
    // No two texts here have one length.
    let etag = format!("\"{:x}\"", text.len());
    let mut response = if is_current(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type)], text).into_response()
    };
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    fields.insert(header::LAST_MODIFIED, MODIFIED);
    if let Ok(etag) = HeaderValue::try_from(etag) {
        fields.insert(header::ETAG, etag);
    }
    response
}

/// Whether the client has what bears `etag`: `If-None-Match`, or else `If-Modified-Since`.
fn is_current(request: &HeaderMap, etag: &str) -> bool {
    match request.get(header::IF_NONE_MATCH) {
        Some(tags) => tags
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()),
        None => request.get(header::IF_MODIFIED_SINCE) == Some(&MODIFIED),
    }
}
