//! Requests whose end can be read in two ways: refused, or one request and no more for the origin.

use crate::support::{Edge, Origin, field};

/// What must not become a request.
const INNER: &str = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn transfer_codings_that_are_not_chunked_alone_are_refused() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    let length = INNER.len();
    for coding in [
        "xchunked",
        "identity",
        "chunked, identity",
        "chunked, gzip",
        "gzip, chunked",
        "\"chunked\"",
        "chunked;q=1",
        "chun\tked",
        "CHUNKED\r\nTransfer-Encoding: identity",
    ] {
        for request in [
            format!("Transfer-Encoding: {coding}\r\n\r\n{length:x}\r\n{INNER}\r\n0\r\n\r\n"),
            format!("Content-Length: {length}\r\nTransfer-Encoding: {coding}\r\n\r\n{INNER}"),
        ] {
            let response = edge.ask(&format!("POST / HTTP/1.1\r\nHost: a\r\n{request}"));
            assert!(matches!(response.status(), 400 | 501), "{request:?}: {}", response.head);
        }
    }
    origin.done();
}

#[test]
fn lengths_that_are_no_numbers_are_refused() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    for length in [
        "-5",
        "5 5",
        "5,6",
        "0x5",
        "5.0",
        "1e1",
        "5;",
        "5_0",
        "99999999999999999999",
        "5\r\nContent-Length: 6",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nhello");
        assert_eq!(edge.ask(&request).status(), 400, "{request:?}");
    }
    origin.done();
}

#[test]
fn chunks_win_over_a_length_and_the_connection_ends_after_that() {
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        let request = edge.request();
        assert_eq!(field(&request.head, "content-length"), None, "{}", request.head);
        assert_eq!(request.body, b"hello");
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        drop(edge);
        assert!(listener.is_quiet());
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n{INNER}"
    ));
    assert_eq!(client.response().body, b"hi");
    assert_eq!(client.rest().unwrap_or_default(), b"");
    origin.done();
}

#[test]
fn chunks_that_are_none_do_not_reach_the_origin_whole() {
    for chunks in [
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\rhello\r0\r\r",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ] {
        let origin = Origin::script(|listener| {
            let mut edge = listener.accept();
            // Not even the head, perhaps.
            let bytes = edge.rest().unwrap_or_default();
            let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let body = end.map_or(&[][..], |end| &bytes[end + 4..]);
            assert!(!body.ends_with(b"0\r\n\r\n"), "{body:?}");
        });
        let edge = Edge::before(origin.address);
        let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = edge.ask(&format!("{request}{chunks}"));
        assert_eq!(response.status(), 400, "{chunks:?}: {}", response.head);
        origin.done();
    }
}

#[test]
fn lengths_of_a_response_that_are_none_are_a_fault_of_the_origin() {
    for length in ["+5", "-5", "0x5", "5 5", "", "18446744073709551616", "5\r\nContent-Length: 6"] {
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"));
        });
        let edge = Edge::before(origin.address);
        assert_eq!(edge.get("/").status(), 502, "{length:?}");
        origin.done();
    }
}

#[test]
fn a_response_with_a_length_and_chunks_is_read_by_its_chunks_and_not_stored() {
    let origin = Origin::answering(
        2,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\
          Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        let response = edge.get("/");
        assert_eq!(response.field("content-length"), None);
        assert_eq!(response.body, b"hello");
    }
    origin.done();
}
