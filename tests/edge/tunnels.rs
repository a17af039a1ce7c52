//! Upgrades: after 101 the bytes are nobody's but the peers'.

use crate::support::{Edge, Origin, field};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        let head = edge.head();
        assert_eq!(field(&head, "upgrade"), Some("websocket"));
        assert_eq!(field(&head, "connection"), Some("upgrade"));
        assert_eq!(field(&head, "sec-websocket-key"), Some("x"));
        // The first bytes come together with the head.
        edge.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: y\r\n\r\nhello",
        );
        assert_eq!(edge.take(4), b"ping");
        edge.send("pong");
        assert_eq!(edge.rest().expect("an orderly end"), b"bye");
        edge.send("bye too");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(HANDSHAKE);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    assert_eq!(field(&head, "connection"), Some("upgrade"));
    assert_eq!(field(&head, "sec-websocket-accept"), Some("y"));
    assert_eq!(client.take(5), b"hello");
    client.send("ping");
    assert_eq!(client.take(4), b"pong");
    client.send("bye");
    client.send_end();
    assert_eq!(client.rest().expect("an orderly end"), b"bye too");
    origin.done();
}

#[test]
fn the_origin_may_end_its_side_first() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.head();
        edge.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(edge.take(4), b"ping");
        edge.send("pong");
        edge.send_end();
        assert_eq!(edge.rest().expect("an orderly end"), b"still there");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(HANDSHAKE);
    client.head();
    client.send("ping");
    assert_eq!(client.rest().expect("an orderly end"), b"pong");
    client.send("still there");
    client.send_end();
    origin.done();
}

#[test]
fn an_upgrade_may_be_declined() {
    let origin = Origin::answering(
        1,
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other\r\n\
          Content-Length: 2\r\n\r\nno",
    );
    let edge = Edge::before(origin.address);
    let response = edge.ask(HANDSHAKE);
    assert_eq!((response.status(), &response.body[..]), (426, &b"no"[..]));
    assert_eq!(response.field("upgrade"), Some("other"));
    origin.done();
}

#[test]
fn what_follows_the_handshake_at_once_is_not_lost() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.head();
        edge.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(edge.take(5), b"early");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(format!("{HANDSHAKE}early"));
    client.head();
    assert_eq!(client.rest().expect("an orderly end"), b"");
    origin.done();
}
