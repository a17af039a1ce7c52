//! The pooled connections to the origin.
//!
//! A request is never sent twice. hyper-util's client tries again in one case only: the request
//! was given to a connection out of the pool, and hyper's connection task ended before it took the
//! request to write it, and so gave it back. A request that hyper took is not given back, whatever
//! became of it. This module adds one case, of a request without a body: see [`wire`].

use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::MapResponse;

use crate::body::RequestBody;
use crate::connector::{self, Connector};
use crate::head;
use crate::plan::{OriginLimits, OriginPlan};
use crate::upload::Upload;
use crate::wire::{self, Wire};

/// TCP connections as [`Wire`]s.
type ToWire = fn(TokioIo<TcpStream>) -> TokioIo<Wire>;

/// A connection of HTTP/2 on which somebody waits, and nothing comes for so long, is asked whether it is
/// alive, and has as long to say so.
const PING: Duration = Duration::from_secs(10);

/// What may arrive of one response over HTTP/2 that nobody takes.
const STREAM_WINDOW: u32 = 512 << 10;

/// And of all on one connection: so much that it never ends before the windows of thousands of responses
/// do. With less, a few clients that do not read would stop the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

type Client = legacy::Client<Connector, Upload<RequestBody>>;

/// The pools of connections to the origin. They know no other, by whatever name it is asked for.
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
        let requests = client(origin, http2, wire);
        Self { requests, upgrades: client(origin, false, wire::plain) }
    }

    /// Hands a request to its pool, which sends it when the response is waited for. Nobody is to wait
    /// with a request in hand: it is large.
    pub(crate) fn send(&self, request: Request<Upload<RequestBody>>, upgrade: bool) -> Sent {
        if upgrade {
            return Sent { head: self.upgrades.request(request), again: None };
        }
        let again = request.body().emptied().map(|body| Again {
            method: request.method().clone(),
            uri: request.uri().clone(),
            body,
        });
        Sent { head: self.requests.request(request), again }
    }

    /// Waits for the head of the response, over another connection if one is closed before it is used.
    pub(crate) async fn response(&self, sent: Sent) -> Result<Response<Incoming>, legacy::Error> {
        let Sent { mut head, again } = sent;
        // Each round takes a dead connection out of the pool, so this ends.
        loop {
            let error = match (&mut head).await {
                Err(error) => error,
                response => return response,
            };
            let request = again.as_ref().and_then(|again| again.request(wire::unsent(&error)?));
            let Some(request) = request else { return Err(error) };
            head = self.requests.request(request);
        }
    }
}

/// A request that its pool has.
pub(crate) struct Sent {
    head: ResponseFuture,
    /// If it has no body.
    again: Option<Again>,
}

/// What makes a request once more, with the fields that come back from the wire: a copy of them would
/// be made for very few.
struct Again {
    method: Method,
    uri: Uri,
    body: Upload<RequestBody>,
}

impl Again {
    fn request(&self, unsent: &[u8]) -> Option<Request<Upload<RequestBody>>> {
        let mut request = Request::new(self.body.emptied()?);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        // As hyper writes it: with a path also where there is only a query.
        let target = self.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let request_line = format!("{} {target} HTTP/1.1", self.method);
        *request.headers_mut() = head::fields(unsent, &request_line)?;
        Some(request)
    }
}

fn client(origin: &OriginPlan, http2: bool, wire: ToWire) -> Client {
    let limits = &origin.limits;
    let tcp = MapResponse::new(connector::tcp(GaiResolver::new(), limits.connect), wire);
    let tls = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
    let connector = if http2 {
        tls.enable_all_versions().wrap_connector(tcp)
    } else {
        tls.enable_http1().wrap_connector(tcp)
    };
    let connector = Timeout::new(connector, limits.connect);
    pool(limits, PING).build(Connector::new(connector, origin.url.uri()))
}

fn pool(limits: &OriginLimits, ping: Duration) -> legacy::Builder {
    let mut pool = legacy::Client::builder(TokioExecutor::new());
    pool.timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits.idle)
        .pool_max_idle_per_host(limits.max_idle)
        .retry_canceled_requests(true)
        // A gateway replaces a folded line by spaces and removes white space before the colon (RFC
        // 9112 §5.1, §5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        // All requests share one connection of HTTP/2: while it is not known to be dead, all fail.
        .http2_keep_alive_interval(ping)
        .http2_keep_alive_timeout(ping)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Host;
    use crate::response::Framing;
    use bytes::Bytes;
    use futures_util::future::select;
    use futures_util::{TryStreamExt, stream};
    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use hyper::body::Frame;
    use hyper::service::service_fn;
    use hyper_util::client::legacy::connect::HttpConnector;
    use socket2::SockRef;
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::future::ready;
    use std::io::{self, BufRead, BufReader, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::pin::pin;
    use std::sync::mpsc;
    use std::thread;
    use tokio::time::timeout;

    /// Takes one request, answers it, and gives back its head.
    fn answer(connection: &mut TcpStream) -> Vec<String> {
        let lines = BufReader::new(&*connection).lines().map(|line| line.expect("a line"));
        let head = lines.take_while(|line| !line.is_empty()).collect();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it is read");
        head
    }

    fn request(origin: &OriginPlan) -> Request<Upload<RequestBody>> {
        let (body, _) = Upload::new(RequestBody::default(), None);
        let request = Request::get(format!("http://{}/a?b", origin.url.authority));
        let request = request.header("host", "a.example").header("x", "1").header("x", "2");
        request.body(body).expect("a request")
    }

    thread_local! {
        /// The last connection that was made here.
        static CONNECTION: RefCell<Option<TcpStream>> = const { RefCell::new(None) };
    }

    fn looking(tcp: TokioIo<tokio::net::TcpStream>) -> TokioIo<Wire> {
        let connection = SockRef::from(tcp.inner()).try_clone().expect("another handle");
        CONNECTION.set(Some(connection.into()));
        wire::looking(tcp)
    }

    /// What the origin has done may take a while to arrive: waits until it can be read.
    fn wait_for(what: impl Fn(io::Result<usize>) -> bool) {
        let connection = CONNECTION.take().expect("a connection");
        while !what(connection.peek(&mut [0])) {
            thread::yield_now();
        }
    }

    /// Nothing is heard of the sockets between two looks at all of them, and these are rare.
    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().event_interval(100_000).build().expect("a runtime")
    }

    fn plan(address: SocketAddr) -> OriginPlan {
        let url = crate::url::parse(&format!("http://{address}")).expect("a URL");
        let (framing, limits) = (Framing::Proven, OriginLimits::default());
        OriginPlan { url, host: Host::Client, framing, limits }
    }

    /// A request meets a connection that `spoil` was done to, which `is_spoiled` sees.
    fn comes_back_whole(
        spoil: impl FnOnce(&mut TcpStream) + Send + 'static,
        is_spoiled: fn(io::Result<usize>) -> bool,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let plan = plan(listener.local_addr().expect("an address"));
        let (go, gone) = mpsc::channel();
        let origin = thread::spawn(move || {
            let (mut first, _) = listener.accept().expect("a connection");
            answer(&mut first);
            gone.recv().expect("the client has its answer");
            spoil(&mut first);
            let (mut second, _) = listener.accept().expect("another connection");
            answer(&mut second)
        });
        runtime().block_on(async {
            let requests = client(&plan, false, looking);
            let clients = Clients { requests, ..Clients::new(&plan, false) };
            let first = clients.send(request(&plan), false);
            clients.response(first).await.expect("an answer");
            for _ in 0..100 {
                // The connection goes back to its pool.
                tokio::task::yield_now().await;
            }
            go.send(()).expect("the origin waits");
            wait_for(is_spoiled);
            let Sent { head, again } = clients.send(request(&plan), false);
            let error = head.await.expect_err("it has no answer");
            let unsent = wire::unsent(&error).expect("it was not written");
            let again = again.expect("it has no body").request(unsent).expect("a whole head");
            assert_eq!(again.method(), request(&plan).method());
            assert_eq!(again.uri(), request(&plan).uri());
            assert_eq!(again.headers(), request(&plan).headers());
            let sent = clients.send(again, false);
            clients.response(sent).await.expect("an answer");
        });
        let head = origin.join().expect("no panic");
        assert_eq!(head, ["GET /a?b HTTP/1.1", "host: a.example", "x: 1", "x: 2"]);
    }

    #[test]
    fn a_request_that_was_not_written_comes_back_whole() {
        let close = |connection: &mut TcpStream| connection.shutdown(Shutdown::Both).expect("open");
        comes_back_whole(close, |peeked| matches!(peeked, Ok(0)));
    }

    #[test]
    fn what_nobody_has_asked_for_is_no_answer() {
        let evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let speak = |connection: &mut TcpStream| connection.write_all(evil).expect("it is open");
        comes_back_whole(speak, |peeked| matches!(peeked, Ok(1)));
    }

    /// Its rest arrives just before a piece of the body is written.
    #[test]
    fn an_early_answer_is_one_whatever_the_body_looks_like() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (go, gone) = mpsc::channel();
        let origin = thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a connection");
            let lines = BufReader::new(&connection).lines().map(|line| line.expect("a line"));
            assert_eq!(lines.take_while(|line| !line.is_empty()).count(), 2);
            let early = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na";
            connection.write_all(early).expect("it is read");
            gone.recv().expect("the client has the head");
            connection.write_all(b"b").expect("it is read");
            connection
        });
        let piece = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
        runtime().block_on(async {
            let tcp = tokio::net::TcpStream::connect(address).await.expect("a connection");
            let connection = looking(TokioIo::new(tcp));
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(connection).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            let (send, sent) = tokio::sync::oneshot::channel();
            let body = stream::once(sent).map_ok(Frame::data);
            let (body, _) = Upload::new(StreamBody::new(body), None);
            let request = Request::post("/").header("content-length", piece.len());
            let response = sender.send_request(request.body(body).expect("a request")).await;
            let mut response = response.expect("a response").into_body();
            assert_eq!(
                response.frame().await.expect("a part").expect("a part").into_data().ok(),
                Some("a".into())
            );
            go.send(()).expect("the origin waits");
            wait_for(|peeked| matches!(peeked, Ok(1)));
            send.send(piece).expect("the body is waited for");
            let rest = response.collect().await.expect("an answer").to_bytes();
            assert_eq!(rest, "b");
        });
        drop(origin.join().expect("no panic"));
    }

    /// Long enough for everything, on a busy machine as well.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A pool that speaks HTTP/2 without TLS.
    fn http2(ping: Duration) -> legacy::Client<HttpConnector, Empty<Bytes>> {
        let tcp = connector::tcp(GaiResolver::new(), PATIENCE);
        pool(&OriginLimits::default(), ping).http2_only(true).build(tcp)
    }

    #[tokio::test]
    async fn a_dead_connection_of_http_2_is_left() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri: Uri = format!("http://{}/", listener.local_addr().expect("an address"))
            .parse()
            .expect("a URI");
        let client = http2(Duration::from_millis(50));
        let asking = pin!(async {
            loop {
                client.get(uri.clone()).await.expect_err("nobody answers");
            }
        });
        // Open, and silent, and so is the next one.
        let accepting = pin!(async { (listener.accept().await, listener.accept().await) });
        let accepted = timeout(PATIENCE, select(accepting, asking)).await;
        assert!(accepted.is_ok(), "there is no other connection");
    }

    /// Answers `/N` with N bytes.
    async fn serve_http2(listener: tokio::net::TcpListener) {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let service = service_fn(|request: Request<Incoming>| {
            let length = request.uri().path()[1..].parse().expect("a number");
            ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; length])))))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(tcp), service).await.expect("HTTP/2");
    }

    #[tokio::test]
    async fn clients_that_do_not_read_do_not_stop_others_of_http_2() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve_http2(listener));
        let client = http2(PING);
        let get = |length: usize| {
            client.get(format!("http://{address}/{length}").parse().expect("a URI"))
        };
        let mut waiting = Vec::new();
        for _ in 0..12 {
            waiting.push(get(1 << 20).await.expect("a response"));
        }
        let whole = async { get(1 << 20).await.expect("a response").collect().await };
        let whole = timeout(PATIENCE, whole).await.expect("it is not held up").expect("a body");
        assert_eq!(whole.to_bytes().len(), 1 << 20);
    }
}
