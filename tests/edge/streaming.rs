//! Bodies pass while they are still being sent.

use std::sync::mpsc;

use crate::support::{Edge, Origin, PATIENCE, field};

const MIB: usize = 1 << 20;

#[test]
fn a_response_body_streams() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
        gone.recv_timeout(PATIENCE).expect("the client has the first half");
        edge.send("def");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.take(3), b"abc");
    go.send(()).expect("the origin waits");
    assert_eq!(client.take(3), b"def");
    origin.done();
}

#[test]
fn events_come_one_by_one() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        for event in ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"] {
            edge.send(format!("{:x}\r\n{event}\r\n", event.len()));
            gone.recv_timeout(PATIENCE).expect("the client has the event");
        }
        edge.send("0\r\n\r\n");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    for number in 0..3 {
        assert_eq!(client.chunk(), format!("data: {number}\n\n").as_bytes());
        go.send(()).expect("the origin waits");
    }
    assert_eq!(client.chunk(), b"");
    origin.done();
}

#[test]
fn a_request_body_streams() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let head = edge.head();
        assert!(head.starts_with("PUT /x HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "content-length"), Some("6"));
        assert_eq!(edge.take(3), b"abc");
        go.send(()).expect("the client waits");
        assert_eq!(edge.take(3), b"def");
        edge.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    gone.recv_timeout(PATIENCE).expect("the origin has the first half");
    client.send("def");
    assert_eq!(client.response().status(), 201);
    origin.done();
}

#[test]
fn a_chunked_request_body_passes_whatever_the_method() {
    for method in ["POST", "GET", "REPORT"] {
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            let request = edge.request();
            assert!(request.head.starts_with(method));
            assert_eq!(request.body, b"abcdef");
            edge.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let edge = Edge::before(origin.address);
        let response = edge.ask(&format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
        ));
        assert_eq!(response.status(), 200);
        origin.done();
    }
}

#[test]
fn a_body_may_pass_in_both_directions_at_once() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.head();
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        for byte in b"ping" {
            assert_eq!(edge.take(1), [*byte]);
            edge.send([byte.to_ascii_uppercase()]);
        }
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    client.head();
    for byte in b"ping" {
        client.send([*byte]);
        assert_eq!(client.take(1), [byte.to_ascii_uppercase()]);
    }
    origin.done();
}

#[test]
fn a_large_upload_passes_in_little_memory() {
    const LENGTH: usize = 128 * MIB;
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.head();
        for _ in 0..LENGTH / MIB {
            edge.take(MIB);
        }
        edge.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let part = vec![b'x'; MIB];
    for _ in 0..LENGTH / MIB {
        client.send(&part);
    }
    assert!(client.head().starts_with("HTTP/1.1 204 "));
    #[cfg(target_os = "linux")]
    assert!(edge.peak_memory_kib() < 48 * 1024, "{} KiB", edge.peak_memory_kib());
    origin.done();
}

#[test]
fn a_client_that_ends_its_side_still_gets_the_response() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        gone.recv_timeout(PATIENCE).expect("the client has ended its side");
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send_end();
    go.send(()).expect("the origin waits");
    assert_eq!(client.response().body, b"late");
    assert_eq!(client.rest().expect("an orderly end"), b"");
    origin.done();
}
