//! The cache is there, and is told what it must not store.

use crate::support::{Edge, Origin};

#[test]
fn the_second_get_is_a_hit() {
    // One connection, one request: to a second one nobody would answer.
    let origin = Origin::answering(
        1,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello",
    );
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        let response = edge.get("/");
        assert_eq!((response.status(), &response.body[..]), (200, &b"hello"[..]));
    }
    origin.done();
}

#[test]
fn hosts_are_kept_apart() {
    let origin = Origin::script(|listener| {
        for name in ["a", "b"] {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\
                 Content-Length: 1\r\n\r\n{name}"
            ));
        }
    });
    let edge = Edge::before(origin.address);
    for name in ["a", "b", "a", "b"] {
        let response = edge.ask(&format!("GET / HTTP/1.1\r\nHost: {name}.example\r\n\r\n"));
        assert_eq!(response.body, name.as_bytes());
    }
    origin.done();
}

#[test]
fn a_body_whose_end_cannot_be_proven_is_not_stored() {
    let origin = Origin::answering(
        2,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nas long as it takes",
    );
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        assert_eq!(edge.get("/").body, b"as long as it takes");
    }
    origin.done();
}

#[test]
fn a_body_cut_short_is_not_stored() {
    let origin = Origin::script(|listener| {
        for body in ["half of", "the whole!"] {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n{body}"
            ));
        }
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    client.head();
    assert!(client.rest().map_or(0, |body| body.len()) < 10);
    assert_eq!(edge.get("/").body, b"the whole!");
    origin.done();
}

#[test]
fn a_fault_of_the_origin_is_not_stored() {
    let origin = Origin::script(|listener| {
        listener.accept().request();
        let mut edge = listener.accept();
        edge.request();
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    });
    let edge = Edge::before(origin.address);
    assert_eq!(edge.get("/").status(), 502);
    assert_eq!(edge.get("/").body, b"hi");
    origin.done();
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let (seen, marks) = std::sync::mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let mark = edge.request().field("cdn-loop").expect("a mark").to_owned();
        seen.send(mark).expect("the test waits");
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    });
    let edge = Edge::before(origin.address);
    assert_eq!(edge.get("/").body, b"hi");
    origin.done();
    let mark = marks.recv().expect("a mark");
    let again = format!("GET / HTTP/1.1\r\nHost: edge.test\r\nCDN-Loop: other, {mark}\r\n\r\n");
    assert_eq!(edge.ask(&again).status(), 508);
}
