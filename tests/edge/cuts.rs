//! Bodies that are cut, in each framing: all who read know, and the next request asks again.

use std::sync::mpsc;

use crate::support::{Edge, Origin, PATIENCE, Peer};

const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// How many read at a time.
const READERS: usize = 3;

/// What an origin sends before it closes the connection; each has the bytes `half`.
const CUTS: [&str; 7] = [
    "Content-Length: 10\r\n\r\nhalf",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: 1\r\n",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno size\r\n",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nhalfand no line's end\r\n0\r\n\r\n",
];

/// Whether `client`, which has a head and `half`, sees that the rest is missing.
fn sees_a_cut(client: &mut Peer, is_chunked: bool) -> bool {
    match client.rest() {
        Ok(rest) if is_chunked => !rest.ends_with(b"0\r\n\r\n"),
        Ok(rest) => rest.len() < 6,
        Err(_) => true,
    }
}

#[test]
fn all_who_read_a_body_see_that_it_was_cut_and_the_next_one_asks_again() {
    for cut in CUTS {
        let (go, gone) = mpsc::channel();
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("{HEAD}{cut}"));
            gone.recv_timeout(PATIENCE).expect("all have the first half");
            edge.close();
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("{HEAD}Content-Length: 5\r\n\r\nwhole"));
        });
        let edge = Edge::before(origin.address);
        let is_chunked = cut.starts_with("Transfer-Encoding");
        let mut readers: Vec<Peer> = Vec::new();
        for _ in 0..READERS {
            let mut client = edge.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{cut:?}: {head}");
            let bytes = client.take(if is_chunked { b"4\r\nhalf".len() } else { 4 });
            assert!(bytes.ends_with(b"half"), "{cut:?}: {bytes:?}");
            readers.push(client);
            // A break that shows by itself reaches the first before there is a second.
            if cut.contains("no ") {
                break;
            }
        }
        go.send(()).expect("the origin waits");
        for mut client in readers {
            assert!(sees_a_cut(&mut client, is_chunked), "{cut:?}");
        }
        for _ in 0..2 {
            let response = edge.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(response.body, b"whole", "{cut:?}");
        }
        origin.done();
    }
}

#[test]
fn a_reset_of_the_origin_cuts_each_framing_also_the_one_without_any() {
    for framing in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "\r\nhalf",
    ] {
        let (go, gone) = mpsc::channel();
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("{HEAD}{framing}"));
            gone.recv_timeout(PATIENCE).expect("the client has the first half");
            edge.reset();
            let mut edge = listener.accept();
            edge.request();
            edge.send(format!("{HEAD}Content-Length: 5\r\n\r\nwhole"));
        });
        let edge = Edge::before(origin.address);
        let mut client = edge.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head();
        // Without a length the client gets chunks.
        let is_chunked = !framing.starts_with("Content-Length");
        client.take(if is_chunked { b"4\r\nhalf".len() } else { 4 });
        go.send(()).expect("the origin waits");
        assert!(sees_a_cut(&mut client, is_chunked), "{framing:?}");
        for _ in 0..2 {
            assert_eq!(edge.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body, b"whole", "{framing:?}");
        }
        origin.done();
    }
}

#[test]
fn content_beyond_its_length_is_no_content() {
    let origin = Origin::answering(
        1,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nhalf and more",
    );
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        let response = edge.get("/");
        assert_eq!(
            (response.field("content-length"), &response.body[..]),
            (Some("4"), &b"half"[..])
        );
    }
    origin.done();
}

#[test]
fn a_range_of_a_cut_body_is_cut_as_well() {
    let (go, gone) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send(format!("{HEAD}Content-Length: 10\r\n\r\nhalf"));
        gone.recv_timeout(PATIENCE).expect("the client has two bytes");
        edge.close();
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-7\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 206 "));
    assert_eq!(client.take(2), b"lf");
    go.send(()).expect("the origin waits");
    assert!(client.rest().map_or(0, |rest| rest.len()) < 4);
    origin.done();
}
