//! The pooled connections to the origin.
//!
//! A request is never sent twice. hyper-util's client tries again in one case only: the request
//! was given to a connection out of the pool, and hyper's connection task ended before it took the
//! request to write it, and so gave it back. A request that hyper took is not given back, whatever
//! became of it. This module adds one case, of a request without a body: see [`wire`].

use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::http::uri::Scheme;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::MapResponse;

use crate::body::RequestBody;
use crate::connector::Connector;
use crate::head;
use crate::plan::{OriginLimits, OriginPlan};
use crate::upload::Upload;
use crate::wire::{self, Wire};

/// TCP connections as [`Wire`]s.
type ToWire = fn(TokioIo<TcpStream>) -> TokioIo<Wire>;

type Client = legacy::Client<Connector, Upload<RequestBody>>;

/// The pools of connections to the origin.
pub(crate) struct Clients {
    requests: Client,
    /// For requests that ask for an upgrade, which HTTP/2 does not have.
    upgrades: Client,
}

impl Clients {
    /// For `http` by HTTP/1.1, and for `https` by HTTP/1.1 or, if `http2`, by what ALPN says.
    pub(crate) fn new(origin: &OriginPlan, http2: bool) -> Self {
        let is_plain = origin.url.scheme == Scheme::HTTP;
        let wire = if is_plain { wire::looking } else { wire::plain };
        let limits = &origin.limits;
        Self { requests: client(limits, http2, wire), upgrades: client(limits, false, wire::plain) }
    }

    pub(crate) async fn send(
        &self,
        request: Request<Upload<RequestBody>>,
        upgrade: bool,
    ) -> Result<Response<Incoming>, legacy::Error> {
        if upgrade {
            self.upgrades.request(request).await
        } else if request.body().is_end_stream() {
            send_bodiless(&self.requests, request).await
        } else {
            self.requests.request(request).await
        }
    }
}

/// Sends a request without a body, over another connection if one is closed before it is used.
async fn send_bodiless(
    client: &Client,
    mut request: Request<Upload<RequestBody>>,
) -> Result<Response<Incoming>, legacy::Error> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let empty = request.body().emptied();
    // Each round takes a dead connection out of the pool, so this ends.
    loop {
        let error = match client.request(request).await {
            Err(error) => error,
            response => return response,
        };
        // The fields come back from the wire: a copy of each request would be made for very few.
        let Some(headers) = wire::unsent(&error).and_then(head::fields) else { return Err(error) };
        request = Request::new(empty.emptied());
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
        *request.headers_mut() = headers;
    }
}

fn client(limits: &OriginLimits, http2: bool, wire: ToWire) -> Client {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let tcp = MapResponse::new(tcp, wire);
    let tls = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
    let connector = if http2 {
        tls.enable_all_versions().wrap_connector(tcp)
    } else {
        tls.enable_http1().wrap_connector(tcp)
    };
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits.idle)
        .pool_max_idle_per_host(limits.max_idle)
        .retry_canceled_requests(true)
        // A gateway replaces a folded line by spaces and removes white space before the colon (RFC
        // 9112 §5.1, §5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .build(Connector::new(Timeout::new(connector, limits.connect)))
}
