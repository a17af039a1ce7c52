//! Clients that neither send nor read, and hold a place among those that an origin has.

use std::sync::mpsc;

use crate::config::File;
use crate::support::{Edge, Origin, PATIENCE};

/// With one place, and little time for clients.
fn edge(origin: &Origin) -> (File, Edge) {
    let file = File::new(&format!(
        "client_timeout = \"200ms\"\n[origins.a]\nurl = \"http://{}\"\nmax_connections = 1\n\
         connect_timeout = \"20s\"\n[default]\norigin = \"a\"\n",
        origin.address
    ));
    let edge = file.run();
    (file, edge)
}

#[test]
fn who_sends_no_more_of_a_request_has_no_place() {
    let (tell, told) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut first = listener.accept();
        first.head();
        tell.send(()).expect("the test waits");
        let mut second = listener.accept();
        second.request();
        second.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
        assert_ne!(first.rest().unwrap_or_default(), b"0123456789", "the request is not whole");
    });
    let (_file, edge) = edge(&origin);
    let mut slow = edge.connect();
    slow.send("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    told.recv_timeout(PATIENCE).expect("it has the place");
    assert_eq!(edge.get("/b").body, b"b");
    let answer = slow.response();
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.body, b"The request body did not come in time.\n");
    slow.send_end();
    assert_eq!(slow.rest().expect("an orderly end"), b"");
    origin.done();
}

#[test]
fn who_takes_no_more_of_a_response_has_no_place() {
    let origin = Origin::script(move |listener| {
        let mut first = listener.accept();
        first.request();
        let (head, length) = ("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n", 64 << 20);
        first.send(format!("{head}Content-Length: {length}\r\n\r\n"));
        first.send_what_is_taken(vec![b'a'; length]);
        let mut second = listener.accept();
        second.request();
        second.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    });
    let (_file, edge) = edge(&origin);
    let mut slow = edge.connect();
    slow.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.head();
    assert_eq!(edge.get("/b").body, b"b");
    slow.rest().expect_err("a reset, not an end");
    origin.done();
}
