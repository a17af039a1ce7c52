//! An origin that fails, and a client that does.

use std::io::ErrorKind;
use std::sync::mpsc;

use tokio::net::TcpSocket;

use crate::support::{Edge, Origin, PATIENCE, field};

#[test]
fn an_origin_that_is_not_there_gives_502() {
    // The port is taken, so that nobody else listens on it, but nobody listens.
    let taken = TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = taken.local_addr().expect("an address");
    let edge = Edge::before(address);
    let mut client = edge.connect();
    // The connection of the client lives on.
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status(), 502);
        assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.body, b"The origin cannot be reached.\n");
    }
}

#[test]
fn no_head_or_half_a_head_or_no_http_gives_502() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let origin = Origin::answering(1, answer.as_bytes());
        let edge = Edge::before(origin.address);
        assert_eq!(edge.get("/").status(), 502, "{answer:?}");
        origin.done();
    }
}

#[test]
fn a_body_cut_short_of_its_length_is_no_clean_end() {
    let origin = Origin::answering(1, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf of");
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert_eq!(field(&head, "content-length"), Some("10"));
    // Either an early end or an error is what a client can see.
    assert!(client.rest().map_or(0, |body| body.len()) < 10);
    origin.done();
}

#[test]
fn what_came_before_the_cut_is_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nNO SIZE\r\n",
    ] {
        let origin = Origin::answering(1, answer.as_bytes());
        let edge = Edge::before(origin.address);
        let mut client = edge.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let body = client.rest().expect("an orderly end of the connection");
        let body = String::from_utf8_lossy(&body);
        assert_eq!(body.contains("half"), answer.contains("half"), "{answer:?}: {body:?}");
        origin.done();
    }
}

#[test]
fn a_body_cut_between_chunks_is_no_clean_end() {
    let origin =
        Origin::answering(1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert!(!client.rest().unwrap_or_default().ends_with(b"0\r\n\r\n"));
    origin.done();
}

#[test]
fn a_cut_body_is_a_reset_for_http_1_0() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        gone.recv_timeout(PATIENCE).expect("the client has the first half");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let head = client.head();
    // The end of the connection is the end of the body here.
    assert_eq!(field(&head, "content-length"), None);
    assert_eq!(field(&head, "transfer-encoding"), None);
    assert_eq!(client.take(4), b"half");
    go.send(()).expect("the origin waits");
    let error = client.rest().expect_err("no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    origin.done();
}

#[cfg(unix)]
#[test]
fn a_body_that_the_end_of_the_program_cuts_is_a_reset_for_http_1_0() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        gone.recv_timeout(PATIENCE).expect("the program has ended");
    });
    let mut edge = Edge::before(origin.address);
    let (mut idle, mut client) = (edge.connect(), edge.connect());
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.take(4), b"half");
    edge.signal("TERM");
    assert_eq!(idle.rest().expect("an orderly end"), b"");
    edge.signal("TERM");
    let error = client.rest().expect_err("no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(edge.ended(), Some(0));
    go.send(()).expect("the origin waits");
    origin.done();
}

#[test]
fn a_body_that_ends_with_the_connection_passes() {
    let origin = Origin::answering(1, b"HTTP/1.1 200 OK\r\n\r\nas long as it takes");
    let edge = Edge::before(origin.address);
    assert_eq!(edge.get("/").body, b"as long as it takes");
    origin.done();
}

#[test]
fn a_request_is_not_sent_twice() {
    for request in [
        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (go, gone) = mpsc::channel();
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            assert!(edge.request().head.starts_with("GET /1 "));
            edge.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n");
            // The second one comes on the same connection, and is read, and gets no answer.
            assert!(edge.request().head.contains(" /2 "));
            drop(edge);
            gone.recv_timeout(PATIENCE).expect("the client has its answer");
            assert!(listener.is_quiet());
        });
        let edge = Edge::before(origin.address);
        assert_eq!(edge.get("/1").status(), 200);
        assert_eq!(edge.ask(request).status(), 502);
        go.send(()).expect("the origin waits");
        origin.done();
    }
}

#[test]
fn a_request_that_was_not_sent_gets_a_fresh_connection() {
    let (close, closing) = mpsc::channel();
    let (closed, is_closed) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut first = listener.accept();
        first.request();
        first.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: no-store\r\n\r\n1");
        closing.recv_timeout(PATIENCE).expect("the client has its answer");
        // The program still has this connection in its pool.
        first.close();
        closed.send(()).expect("the test waits");
        let mut second = listener.accept();
        let head = second.request().head;
        assert!(head.starts_with("GET /2?a HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "host"), Some("a"));
        assert!(head.contains("\r\nx: 1\r\n") && head.contains("\r\nx: 2\r\n"), "{head}");
        second.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    });
    let edge = Edge::before(origin.address);
    assert_eq!(edge.get("/").body, b"1");
    close.send(()).expect("the origin waits");
    is_closed.recv_timeout(PATIENCE).expect("the origin closes");
    assert_eq!(edge.ask("GET /2?a HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n").body, b"2");
    origin.done();
}

#[test]
fn an_upload_that_breaks_is_not_complete_for_the_origin() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let head = edge.head();
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        assert_eq!(edge.chunk(), b"abc");
        go.send(()).expect("the client waits");
        assert_eq!(edge.rest().unwrap_or_default(), b"", "no last chunk");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    gone.recv_timeout(PATIENCE).expect("the origin has the first chunk");
    drop(client);
    origin.done();
}

const LARGE_UPLOAD: &str = "Host: a\r\nContent-Length: 10485760\r\n\r\n";

#[test]
fn a_refusal_is_not_lost_because_of_the_upload_behind_it() {
    let origin = Origin::script(drop);
    let edge = Edge::before(origin.address);
    // One is refused by `edge`, and one by hyper.
    for line in ["GET * HTTP/1.1\r\n", "GET / HTTP/1.1\r\nno field\r\n"] {
        let mut client = edge.connect();
        client.send(line.to_owned() + LARGE_UPLOAD);
        client.send(vec![b'x'; 1 << 20]);
        assert_eq!(client.response().status(), 400);
        client.send(vec![b'x'; 1 << 20]);
        client.send_end();
        assert_eq!(client.rest().expect("an orderly end"), b"", "{line}");
    }
    origin.done();
}

#[test]
fn an_answer_is_not_lost_because_of_the_upload_behind_it() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.head();
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n");
        edge.send([b'y'; 65_536]);
        edge.send_end();
        gone.recv_timeout(PATIENCE).expect("the client has its answer");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\n".to_owned() + LARGE_UPLOAD);
    // Such a client reads when it has sent all.
    client.send(vec![b'x'; 10 << 20]);
    let response = client.response();
    assert_eq!((response.status(), response.body.len()), (200, 65_536));
    go.send(()).expect("the origin waits");
    origin.done();
}

#[cfg(unix)]
#[test]
fn who_sends_on_after_the_answer_does_not_hold_up_the_end() {
    let origin = Origin::script(drop);
    let mut edge = Edge::before(origin.address);
    let (mut idle, mut client) = (edge.connect(), edge.connect());
    client.send("GET * HTTP/1.1\r\n".to_owned() + LARGE_UPLOAD);
    assert_eq!(client.response().status(), 400);
    edge.signal("TERM");
    assert_eq!(idle.rest().expect("an orderly end"), b"");
    edge.signal("TERM");
    assert_eq!(edge.ended(), Some(0));
    origin.done();
}

#[test]
fn a_client_that_resets_its_connection_leaves_nothing_behind() {
    let (tell, told) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\nhalf");
        // The rest would take for ever, and so would a write that finds out.
        assert_eq!(edge.rest().expect("an orderly end"), b"");
        tell.send(()).expect("the test waits");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.take(4), b"half");
    client.reset();
    told.recv_timeout(PATIENCE).expect("the origin's connection ends");
    origin.done();
}
