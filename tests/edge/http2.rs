//! HTTP/2 without TLS, by prior knowledge.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::support::{Edge, Origin, PATIENCE};

async fn send<B>(edge: &Edge, request: Request<B>) -> Response<Incoming>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let stream = tokio::net::TcpStream::connect(edge.address).await.expect("the program accepts");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let response = timeout(PATIENCE, client.send_request(request)).await.expect("in time");
    response.expect("a response")
}

fn request<B>(method: &str, body: B) -> Request<B> {
    let request = Request::builder().method(method).uri("http://h2.example/x");
    request.version(Version::HTTP_2).body(body).expect("a request")
}

#[tokio::test]
async fn requests_and_responses_are_translated() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let request = edge.request();
        assert!(request.head.starts_with("PUT /x HTTP/1.1\r\n"), "{}", request.head);
        assert!(request.head.contains("\r\nhost: h2.example\r\n"), "{}", request.head);
        assert_eq!(request.body, b"ping");
        edge.send("HTTP/1.1 299 Odd\r\nConnection: x\r\nX: 1\r\nContent-Length: 4\r\n\r\npong");
    });
    let edge = Edge::before(origin.address);
    let response = send(&edge, request("PUT", Full::from("ping"))).await;
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 299));
    assert!(!response.headers().contains_key("x"));
    let body = timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
    assert_eq!(body.expect("a body").to_bytes(), "pong");
    origin.done();
}

#[tokio::test]
async fn cookies_in_several_lines_are_one_line_of_http_1() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let head = edge.request().head;
        let lines: Vec<_> = head.lines().filter(|line| line.starts_with("cookie:")).collect();
        assert_eq!(lines, ["cookie: a=1; b=2; c=3"]);
        edge.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: Cookie\r\n");
        edge.send("Content-Length: 3\r\n\r\nabc");
    });
    let edge = Edge::before(origin.address);
    let mut several = request("GET", Empty::new());
    for cookie in ["a=1", "b=2", "c=3"] {
        several.headers_mut().append("cookie", cookie.parse().expect("a value"));
    }
    assert_eq!(send(&edge, several).await.status(), 200);
    origin.done();
    // The origin is gone: it is the same request.
    let one = "GET /x HTTP/1.1\r\nHost: h2.example\r\nCookie: a=1; b=2; c=3\r\n\r\n";
    assert_eq!(edge.ask(one).body, b"abc");
}

#[tokio::test]
async fn a_cut_body_is_an_error_after_its_head() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let origin = Origin::answering(1, answer.as_bytes());
        let edge = Edge::before(origin.address);
        let response = send(&edge, request("GET", Empty::new())).await;
        assert_eq!(response.status(), 200);
        let body = timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
        assert!(body.is_err(), "{answer:?}");
        origin.done();
    }
}
