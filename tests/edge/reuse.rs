//! Connections that are used again: where one message ends and the next begins.

use std::sync::mpsc;

use crate::support::{Edge, Origin, PATIENCE};

/// What must not become a request.
const INNER: &str = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";

const STORED: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\nget";

/// An origin that stores `/` for all, and then gets requests with content only.
fn with_content(times: usize) -> Origin {
    Origin::script(move |listener| {
        let mut edge = listener.accept();
        assert_eq!(edge.request().body, b"");
        edge.send(STORED);
        for _ in 0..times {
            let request = edge.request();
            assert!(request.head.contains(" / HTTP/1.1\r\n"), "{}", request.head);
            assert_eq!(request.body, INNER.as_bytes());
            let length = if request.head.starts_with("HEAD ") { "" } else { "fat" };
            edge.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{length}"));
        }
        drop(edge);
        assert!(listener.is_quiet());
    })
}

#[test]
fn the_content_of_a_get_that_could_be_a_hit_is_not_the_next_request() {
    let origin = with_content(2);
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, b"get");
    let length = INNER.len();
    // Both at once, so that the second is there when the first is answered.
    client.send(
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}").repeat(2),
    );
    for _ in 0..2 {
        assert_eq!(client.response().body, b"fat");
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, b"get");
    origin.done();
}

#[test]
fn nor_is_that_of_a_head_or_of_one_in_chunks() {
    let origin = with_content(2);
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, b"get");
    let length = INNER.len();
    client.send(format!("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"));
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x}\r\n{INNER}\r\n0\r\n\r\n"
    ));
    assert_eq!(client.response().body, b"fat");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, b"get");
    origin.done();
}

#[test]
fn the_content_of_a_refused_request_is_not_the_next_one() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    let length = INNER.len();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: u@a\r\nContent-Length: {length}\r\n\r\n{INNER}"
        ));
        assert_eq!(client.response().status(), 400);
    }
    client.send(format!(
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: {length}\r\n\r\n{INNER}"
    ));
    assert_eq!(client.response().status(), 200);
    origin.done();
}

#[test]
fn what_follows_a_connect_that_is_refused_is_no_request() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{INNER}"));
    let response = client.response();
    assert_eq!((response.status(), response.field("connection")), (501, Some("close")));
    assert_eq!(client.rest().unwrap_or_default(), b"");
    origin.done();
}

#[test]
fn http_1_0_keeps_a_connection_where_a_length_tells_the_end() {
    let (chunks, length) =
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "Content-Length: 2\r\n\r\nhi");
    for (framing, connection) in [(chunks, None), (length, Some("keep-alive"))] {
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{framing}"));
        });
        let edge = Edge::before(origin.address);
        let mut client = edge.connect();
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!((response.field("connection"), &response.body[..]), (connection, &b"hi"[..]));
        origin.done();
    }
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send(STORED);
        assert!(edge.request().head.starts_with("GET /other "));
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, b"get");
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n\
         GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-\r\n\r\n\
         GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
         GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response().body, b"get");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.response().body, b"et");
    assert_eq!(client.response().body, b"other");
    // What follows a last request is none.
    assert_eq!(client.rest().unwrap_or_default(), b"");
    origin.done();
}

#[test]
fn what_an_origin_sends_beyond_a_response_answers_nobody() {
    const MORE: &str =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil";
    for (request, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ] {
        let (go, gone) = mpsc::channel();
        let origin = Origin::script(move |listener| {
            let mut first = listener.accept();
            first.request();
            first.send(format!("{answer}{MORE}"));
            // Not closed: whether it is used again is up to the program.
            let mut second = listener.accept();
            second.request();
            second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
            gone.recv_timeout(PATIENCE).expect("the client has its answer");
        });
        let edge = Edge::before(origin.address);
        let mut client = edge.connect();
        client.send(format!("{request} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 20"), "{head}");
        drop(client);
        assert_eq!(edge.get("/other").body, b"good", "{answer:?}");
        go.send(()).expect("the origin waits");
        origin.done();
    }
}
