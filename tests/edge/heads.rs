//! Heads that are malformed, folded or too large, from both sides.

use crate::support::{Edge, Origin};

/// An origin that is not asked.
fn unasked() -> Origin {
    Origin::script(|listener| assert!(listener.is_quiet()))
}

#[test]
fn control_bytes_and_folded_lines_in_a_request_are_refused() {
    let origin = unasked();
    let edge = Edge::before(origin.address);
    for request in [
        &b"GET / HTTP/1.1\r\nHost: a\r\nX: one\0two\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0: one\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: one\rTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: one\r\r\n\r\n",
        b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: one\x7ftwo\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n\ttwo\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = edge.connect();
        client.send(request);
        let shown = String::from_utf8_lossy(request);
        assert_eq!(client.response().status(), 400, "{shown:?}");
    }
    origin.done();
}

#[test]
fn lines_that_are_no_lines_are_refused() {
    let origin = unasked();
    let edge = Edge::before(origin.address);
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(edge.ask(request).status(), 400, "{request:?}");
    }
    origin.done();
}

#[test]
fn a_request_head_that_is_too_large_is_refused() {
    let origin = unasked();
    let edge = Edge::before(origin.address);
    let long = "a".repeat(70_000);
    let many = "X: 1\r\n".repeat(101);
    let large = "a".repeat(1 << 20);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n"), 431),
    ] {
        // It is answered before it is sent to its end, perhaps.
        let mut client = edge.connect();
        client.send_what_is_taken(&request);
        assert_eq!(client.response().status(), status);
    }
    origin.done();
}

#[test]
fn a_long_request_head_passes_without_the_cache() {
    let origin = Origin::answering(
        2,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\
          Content-Length: 2\r\n\r\nhi",
    );
    let edge = Edge::before(origin.address);
    let long = "a".repeat(100_000);
    for _ in 0..2 {
        let response = edge.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"));
        assert_eq!((response.status(), &response.body[..]), (200, &b"hi"[..]));
    }
    origin.done();
}

#[test]
fn control_bytes_in_a_response_are_a_fault_of_the_origin() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nX: one\0two\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nX: one\rSet-Cookie: two\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: one\r\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 0\r\n\r\n",
    ] {
        let origin = Origin::answering(1, answer);
        let edge = Edge::before(origin.address);
        let shown = String::from_utf8_lossy(answer);
        assert_eq!(edge.get("/").status(), 502, "{shown:?}");
        origin.done();
    }
}

#[test]
fn a_folded_line_of_the_origin_becomes_one() {
    let origin = Origin::answering(
        1,
        b"HTTP/1.1 200 OK\r\nX: one\r\n two\r\n\tthree\r\nContent-Length: 2\r\n\r\nhi",
    );
    let edge = Edge::before(origin.address);
    let response = edge.get("/");
    assert_eq!(response.field("x"), Some("one two three"));
    assert_eq!(response.body, b"hi");
    origin.done();
}

#[test]
fn what_the_origin_folds_counts_all_the_same() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60,\r\n private\r\nConnection: close\r\n\
           Content-Length: 2\r\n\r\nhi"[..],
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary:\r\n\t*\r\nConnection: close\r\n\
          Content-Length: 2\r\n\r\nhi",
    ] {
        let origin = Origin::answering(2, answer);
        let edge = Edge::before(origin.address);
        for _ in 0..2 {
            assert_eq!(edge.get("/").body, b"hi");
        }
        origin.done();
    }
}

#[test]
fn a_response_head_that_is_too_large_is_a_fault_of_the_origin() {
    let large = "a".repeat(1 << 20);
    let many = "X: 1\r\n".repeat(101);
    for fields in [format!("X: {large}\r\n"), many] {
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
            edge.send_what_is_taken(&head);
        });
        let edge = Edge::before(origin.address);
        assert_eq!(edge.get("/").status(), 502);
        origin.done();
    }
}

#[test]
fn a_long_response_head_passes_and_is_not_stored() {
    let origin = Origin::script(|listener| {
        for _ in 0..2 {
            let mut edge = listener.accept();
            edge.request();
            let long = "a".repeat(17 << 10);
            edge.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX: {long}\r\nConnection: close\r\n\
                 Content-Length: 2\r\n\r\nhi"
            ));
        }
    });
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        let response = edge.get("/");
        assert_eq!(response.field("x").map(str::len), Some(17 << 10));
        assert_eq!(response.body, b"hi");
    }
    origin.done();
}
