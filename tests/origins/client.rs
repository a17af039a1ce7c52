//! Connections to an origin. The network is pipes in memory, so that its time is virtual.
use crate::{
    support::{Client, Feed, OriginBody, Reply, RequestBody, pass, pass_for, seconds, settle},
    told::told,
};
use http::{Request, Uri};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use tower::{Service, ServiceExt, service_fn};
use tower_cdn::{
    DoNotStore,
    origins::{Attempts, HttpBody, HttpOrigin, HttpOriginBuilder, OriginError, OriginGroup},
};

/// The client's end of a pipe.
struct Wire(DuplexStream);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The origin's side of the network: it accepts connections.
struct Server(UnboundedReceiver<DuplexStream>);

fn origin_of<Q>(builder: HttpOriginBuilder) -> (HttpOrigin<Q>, Server)
where
    Q: http_body::Body<Data = bytes::Bytes, Error: Into<tower_cdn::BoxError>> + Send + 'static,
{
    let (sender, receiver) = unbounded_channel();
    let connector = service_fn(move |_: Uri| {
        let (near, far) = duplex(1 << 16);
        let refused = sender.send(far).is_err();
        async move {
            if refused {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            Ok(TokioIo::new(Wire(near)))
        }
    });
    let origin = builder.build_with("http://origin".parse().unwrap(), connector).unwrap();
    (origin, Server(receiver))
}

fn origin() -> (Client<HttpOrigin<RequestBody>>, Server) {
    let (origin, server) = origin_of(HttpOrigin::builder());
    (Client::new(origin), server)
}

impl Server {
    /// The next connection, which has been made already.
    async fn accept(&mut self) -> DuplexStream {
        settle().await;
        self.0.try_recv().expect("a connection")
    }

    async fn is_idle(&mut self) -> bool {
        settle().await;
        self.0.try_recv().is_err()
    }
}

/// What has been sent so far.
async fn sent(pipe: &mut DuplexStream) -> String {
    settle().await;
    let mut bytes = vec![0; 1 << 16];
    let read = futures_util::future::poll_immediate(pipe.read(&mut bytes)).await;
    String::from_utf8_lossy(&bytes[..read.map_or(0, Result::unwrap)]).into_owned()
}

async fn says(pipe: &mut DuplexStream, text: &str) {
    pipe.write_all(text.as_bytes()).await.unwrap();
    settle().await;
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test(start_paused = true)]
async fn a_request_and_its_answer() {
    let (client, mut server) = origin();
    let asked = client.get("/a?b=c").header("x-a", "1").header("connection", "x-a, close").start();
    let mut pipe = server.accept().await;
    assert_eq!(sent(&mut pipe).await, "GET /a?b=c HTTP/1.1\r\nhost: origin\r\n\r\n");
    says(&mut pipe, "HTTP/1.1 200 OK\r\nvia: 1.1 b\r\ncontent-length: 5\r\n\r\nhello").await;
    let reply = asked.await.unwrap();
    assert_eq!((reply.status, reply.field("via")), (200, Some("1.1 b")));
    assert_eq!(reply.text().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn connections_are_kept_for_five_seconds() {
    let (client, mut server) = origin();
    let asked = client.get("/").start();
    let mut pipe = server.accept().await;
    says(&mut pipe, HELLO).await;
    assert_eq!(asked.await.unwrap().text().await, "hello");
    drop(sent(&mut pipe).await);
    pass_for(Duration::from_millis(4900)).await;
    let asked = client.get("/again").start();
    assert!(server.is_idle().await, "no new connection");
    assert!(sent(&mut pipe).await.starts_with("GET /again"));
    says(&mut pipe, HELLO).await;
    assert_eq!(asked.await.unwrap().text().await, "hello");
    pass_for(Duration::from_millis(5100)).await;
    let asked = client.get("/").start();
    let mut pipe = server.accept().await;
    says(&mut pipe, HELLO).await;
    assert_eq!(asked.await.unwrap().text().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn connecting_takes_ten_seconds_at_most() {
    let connector = service_fn(|_: Uri| std::future::pending::<io::Result<TokioIo<Wire>>>());
    let builder = HttpOrigin::builder();
    let origin: HttpOrigin<RequestBody> =
        builder.build_with("http://origin".parse().unwrap(), connector).unwrap();
    let client = Client::new(origin);
    let asked = client.get("/").start_outcome();
    pass_for(Duration::from_millis(9999)).await;
    assert!(!asked.is_finished());
    pass_for(Duration::from_millis(1)).await;
    let error = asked.await.unwrap().err().unwrap();
    assert!(error.is_timeout());
    assert_eq!(error.status(), 504);
}

#[tokio::test(start_paused = true)]
async fn a_free_place_and_connecting_take_ten_seconds_together() {
    let (near, far) = duplex(1 << 16);
    let pipe = Arc::new(Mutex::new(Some(near)));
    let connector = service_fn(move |_: Uri| {
        let pipe = pipe.lock().unwrap().take();
        async move {
            match pipe {
                Some(pipe) => Ok::<_, io::Error>(TokioIo::new(Wire(pipe))),
                // Only the first connection is ever made.
                None => std::future::pending().await,
            }
        }
    });
    let builder = HttpOrigin::builder().max_connections(1);
    let origin: HttpOrigin<RequestBody> =
        builder.build_with("http://origin".parse().unwrap(), connector).unwrap();
    let client = Client::new(origin);
    let busy = client.ask("POST", "/").body("x").start_outcome();
    settle().await;
    let asked = client.get("/").start_outcome();
    pass(6).await;
    // It breaks, so that its place is free, but not its connection.
    drop(far);
    assert!(busy.await.unwrap().is_err());
    pass_for(Duration::from_millis(3999)).await;
    assert!(!asked.is_finished());
    pass_for(Duration::from_millis(1)).await;
    assert!(asked.is_finished());
    assert!(asked.await.unwrap().err().expect("no answer").is_timeout());
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_takes_thirty_seconds_at_most() {
    let (client, mut server) = origin();
    let asked = client.get("/").start_outcome();
    let mut pipe = server.accept().await;
    pass_for(Duration::from_millis(29_999)).await;
    assert!(!asked.is_finished());
    pass_for(Duration::from_millis(1)).await;
    assert!(asked.await.unwrap().err().unwrap().is_timeout());
    drop(sent(&mut pipe).await);
    assert_eq!(pipe.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_waited_for_from_the_end_of_the_request_on() {
    let (origin, mut server) = origin_of::<OriginBody>(HttpOrigin::builder());
    let (body, feed): (OriginBody, Feed) = OriginBody::fed();
    let request = Request::post("http://a/").body(body).unwrap();
    let asked = tokio::spawn(origin.oneshot(request));
    let mut pipe = server.accept().await;
    for _ in 0..10 {
        feed.chunk("x");
        pass(100).await;
    }
    assert!(!asked.is_finished(), "a slow client is not the origin's fault");
    feed.end();
    pass(29).await;
    assert!(!asked.is_finished());
    assert!(sent(&mut pipe).await.ends_with("1\r\nx\r\n0\r\n\r\n"));
    pass(1).await;
    assert!(asked.await.unwrap().err().unwrap().is_timeout());
}

/// The head of an answer whose body is to be fed.
async fn begun() -> (Reply, DuplexStream) {
    let (client, mut server) = origin();
    let asked = client.get("/").start();
    let mut pipe = server.accept().await;
    says(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
    let mut reply = asked.await.unwrap();
    assert_eq!(reply.chunk_now().await.as_deref(), Some("ab"));
    (reply, pipe)
}

#[tokio::test(start_paused = true)]
async fn bodies_may_pause_for_thirty_seconds() {
    let (mut reply, mut pipe) = begun().await;
    assert!(reply.is_waiting().await);
    pass(29).await;
    assert!(reply.is_waiting().await);
    says(&mut pipe, "c").await;
    assert_eq!(reply.chunk_now().await.as_deref(), Some("c"));
    assert!(reply.is_waiting().await);
    pass(29).await;
    assert!(reply.is_waiting().await, "each pause by itself");
    pass(1).await;
    let error = reply.body_error().await;
    assert!(error.downcast_ref::<OriginError>().unwrap().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_slow_origin() {
    let (mut reply, mut pipe) = begun().await;
    pass(1000).await;
    says(&mut pipe, "cd").await;
    assert_eq!(reply.read().await.0, "cd");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_an_error() {
    let (reply, pipe) = begun().await;
    drop(pipe);
    let error = reply.body_error().await;
    assert!(!error.downcast_ref::<OriginError>().unwrap().is_timeout());
}

/// A client with a connection that is not in use.
async fn used_once() -> (Client<HttpOrigin<RequestBody>>, Server, DuplexStream) {
    let (client, mut server) = origin();
    let asked = client.get("/").start();
    let mut pipe = server.accept().await;
    drop(sent(&mut pipe).await);
    says(&mut pipe, HELLO).await;
    assert_eq!(asked.await.unwrap().text().await, "hello");
    settle().await;
    (client, server, pipe)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_unused_is_replaced() {
    for method in ["GET", "OPTIONS"] {
        let (client, mut server, mut pipe) = used_once().await;
        let asked = client.ask(method, "/").start();
        assert!(sent(&mut pipe).await.starts_with(method));
        drop(pipe);
        let mut pipe = server.accept().await;
        assert!(sent(&mut pipe).await.starts_with(method));
        says(&mut pipe, HELLO).await;
        assert_eq!(asked.await.unwrap().text().await, "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn only_once_and_not_for_unsafe_requests() {
    let (client, mut server, mut pipe) = used_once().await;
    let asked = client.get("/").start_outcome();
    drop((sent(&mut pipe).await, pipe));
    drop(server.accept().await);
    assert!(asked.await.unwrap().is_err());
    assert!(server.is_idle().await);

    for method in ["POST", "DELETE"] {
        let (client, mut server, mut pipe) = used_once().await;
        let asked = client.ask(method, "/").start_outcome();
        assert!(sent(&mut pipe).await.starts_with(method));
        drop(pipe);
        assert!(asked.await.unwrap().is_err(), "{method}");
        assert!(server.is_idle().await, "{method} is sent once");
    }
}

#[tokio::test(start_paused = true)]
async fn not_more_connections_than_allowed() {
    let builder = HttpOrigin::builder().max_connections(1);
    let (origin, mut server) = origin_of::<RequestBody>(builder);
    let client = Client::new(origin);
    let first = client.get("/1").start();
    let second = client.get("/2").start();
    let third = client.get("/3").start_outcome();
    let mut pipe = server.accept().await;
    assert!(sent(&mut pipe).await.starts_with("GET /1"));
    says(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await;
    let mut first = first.await.unwrap();
    pass(5).await;
    assert!(!second.is_finished(), "the body has not ended");
    says(&mut pipe, "llo").await;
    assert_eq!(first.read().await.0, "hello");
    assert!(sent(&mut pipe).await.starts_with("GET /2"), "over the same connection");
    pass(5).await;
    let error = third.await.unwrap().err().unwrap();
    assert!(error.is_timeout(), "a place is waited for as long as connecting may take");
    says(&mut pipe, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(second.await.unwrap().status, 204);
    assert!(server.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s8_what_ends_with_the_connection_may_be_half_of_it() {
    let (client, mut server) = origin();
    for (fields, is_whole) in [("", false), ("transfer-encoding: chunked\r\n", true)] {
        let asked = client.get("/").start();
        let mut pipe = server.accept().await;
        says(&mut pipe, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).await;
        says(&mut pipe, if is_whole { "4\r\nhalf\r\n0\r\n\r\n" } else { "half" }).await;
        drop(pipe);
        let reply = asked.await.unwrap();
        assert_eq!(reply.extensions.get::<DoNotStore>().is_none(), is_whole);
        assert_eq!(reply.field("transfer-encoding"), None);
        assert_eq!(reply.text().await, "half");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_an_error() {
    let (client, mut server) = origin();
    let asked = client.get("/").start_outcome();
    let mut pipe = server.accept().await;
    says(&mut pipe, "SSH-2.0-OpenSSH_9.6\r\n").await;
    let error = asked.await.unwrap().err().unwrap();
    assert!(!error.is_timeout() && !error.is_connect());
    assert_eq!(error.status(), 502);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_framed_for_get_as_well() {
    let (origin, mut server) = origin_of::<OriginBody>(HttpOrigin::builder());
    let (body, feed) = OriginBody::fed();
    let asked = tokio::spawn(origin.oneshot(Request::get("http://a/").body(body).unwrap()));
    feed.chunk("question");
    feed.end();
    let mut pipe = server.accept().await;
    let sent = sent(&mut pipe).await;
    assert!(sent.contains("transfer-encoding: chunked"), "{sent}");
    assert!(sent.ends_with("\r\n\r\n8\r\nquestion\r\n0\r\n\r\n"), "{sent}");
    asked.abort();
}

#[tokio::test(start_paused = true)]
async fn the_group_takes_the_timeouts_of_connections_for_what_they_are() {
    let builder = HttpOrigin::builder().first_byte_timeout(seconds(3));
    let (slow, mut slow_server) = origin_of(builder);
    let (well, mut well_server) = origin_of(HttpOrigin::builder());
    let (dead, dead_server) = origin_of(HttpOrigin::builder());
    drop(dead_server);
    let client = Client::new(OriginGroup::new([("dead", dead), ("slow", slow), ("well", well)]));
    let asked = tokio::spawn(told(client.get("/")));
    let _silent = slow_server.accept().await;
    pass(3).await;
    says(&mut well_server.accept().await, HELLO).await;
    assert_eq!(asked.await.unwrap(), "200 hello (dead=failed, slow=timeout, well=200)");
}

#[tokio::test(start_paused = true)]
async fn uploads_that_clients_break_off_say_nothing_of_the_origin() {
    let (a, mut server) = origin_of(HttpOrigin::builder());
    let (b, mut other) = origin_of(HttpOrigin::builder());
    let group = OriginGroup::new([("a", a), ("b", b)]);
    for _ in 0..3 {
        let (body, feed) = OriginBody::fed();
        feed.chunk("half");
        let upload = Request::post("http://a/").body(body.boxed_unsync()).unwrap();
        let asked = tokio::spawn(group.clone().oneshot(upload));
        let mut pipe = server.accept().await;
        assert!(sent(&mut pipe).await.ends_with("\r\n4\r\nhalf\r\n"));
        feed.breaks();
        let error = asked.await.unwrap().err().unwrap();
        assert_eq!(error.to_string(), "client broke off its request");
        assert_eq!(error.attempts().to_string(), "a=failed");
    }
    let question = Request::get("http://a/").body(UnsyncBoxBody::default()).unwrap();
    let asked = tokio::spawn(group.oneshot(question));
    assert!(other.is_idle().await, "nobody else was asked");
    says(&mut server.accept().await, HELLO).await;
    let response = asked.await.unwrap().unwrap();
    assert_eq!(response.extensions().get::<Attempts>().unwrap().to_string(), "a=200");
}

#[tokio::test]
async fn over_real_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(|request: axum::extract::Request| async move {
        let host = request.headers()["host"].to_str().unwrap_or_default().to_owned();
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
        format!("{host} got {} bytes", body.len())
    });
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let build = |keep| {
        let uri: Uri = format!("http://{address}").parse().unwrap();
        HttpOrigin::builder().keep_host(keep).build(uri).unwrap()
    };
    let client = Client::new(build(true));
    assert_eq!(client.get("/").await.text().await, "example.com got 0 bytes");
    assert_eq!(client.ask("POST", "/").body("form").await.text().await, "example.com got 4 bytes");
    let client = Client::new(build(false));
    assert_eq!(client.get("/").await.text().await, format!("{address} got 0 bytes"));
    server.abort();
    _ = server.await;
    let error = Client::new(build(false)).get("/").outcome().await.err().unwrap();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(error.status(), 502);
}

#[test]
fn types() {
    fn is_service<S>(_: S)
    where
        S: Service<Request<hyper::body::Incoming>, Response = http::Response<HttpBody>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
    }
    let builder = HttpOrigin::builder();
    is_service(builder.clone().build("http://a".parse().unwrap()).unwrap());
    assert!(builder.clone().build::<RequestBody>("https://a".parse().unwrap()).is_err());
    assert!(builder.build::<RequestBody>("/a".parse().unwrap()).is_err());
}
