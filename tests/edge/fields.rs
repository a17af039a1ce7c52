//! What of a head passes, and what does not.

use crate::support::{Edge, Origin, Response, field};

/// What the origin gets of `request`.
fn received(args: &[&str], request: &str) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        tell.send(edge.request().head).expect("the test waits");
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let url = format!("http://{}", origin.address);
    let edge = Edge::with(&[&["--origin", url.as_str()], args].concat());
    assert_eq!(edge.ask(request).status(), 200);
    origin.done();
    told.recv().expect("a request").replace(url.trim_start_matches("http://"), "ORIGIN")
}

/// What the client gets of `response`.
fn answered(response: &'static [u8]) -> Response {
    let origin = Origin::answering(1, response);
    let edge = Edge::before(origin.address);
    let response = edge.get("/");
    origin.done();
    response
}

#[test]
fn unknown_methods_and_fields_pass_to_the_origin() {
    let head = received(
        &[],
        "BREW /pot?milk=1 HTTP/1.1\r\nHost: coffee.example\r\nX-Additions: one\r\n\
         X-Additions: two\r\n\r\n",
    );
    assert!(head.starts_with("BREW /pot?milk=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("coffee.example"));
    assert!(head.contains("x-additions: one\r\nx-additions: two\r\n"), "{head}");
}

#[test]
fn obs_text_passes_to_the_origin() {
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        assert_eq!(field(&edge.request().head, "x-name"), Some("J\u{fc}rgen"));
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let edge = Edge::before(origin.address);
    let mut client = edge.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: J\xfcrgen\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    origin.done();
}

#[test]
fn obs_text_and_odd_statuses_pass_to_the_client() {
    for (sent, line) in [
        (
            &b"HTTP/1.1 299 Fine So Far\r\nX-Name: J\xfcrgen\r\nContent-Length: 2\r\n\r\nhi"[..],
            "HTTP/1.1 299 Fine So Far\r\n",
        ),
        (
            b"HTTP/1.1 599 Odd\r\nX-Name: J\xfcrgen\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 599 Odd\r\n",
        ),
        (
            b"HTTP/1.1 999 Odder\r\nX-Name: J\xfcrgen\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 999 Odder\r\n",
        ),
    ] {
        let response = answered(sent);
        assert!(response.head.starts_with(line), "{}", response.head);
        assert_eq!(response.field("x-name"), Some("J\u{fc}rgen"));
        assert_eq!(response.body, b"hi");
    }
}

#[test]
fn the_host_is_the_clients_unless_it_is_to_be_rewritten() {
    let request = "GET /x HTTP/1.1\r\nHost: shop.example:81\r\n\r\n";
    assert_eq!(field(&received(&[], request), "host"), Some("shop.example:81"));
    assert_eq!(field(&received(&["--rewrite-host"], request), "host"), Some("ORIGIN"));
}

#[test]
fn the_authority_of_an_absolute_target_wins_over_host() {
    let request = "GET http://real.example/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n";
    let head = received(&[], request);
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("real.example"));
}

#[test]
fn the_target_of_the_whole_server_passes() {
    let head = received(&[], "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

#[test]
fn max_forwards_is_counted_down() {
    let head = received(&[], "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
    assert_eq!(field(&head, "max-forwards"), Some("2"));
}

#[test]
fn what_is_to_go_no_further_is_answered_here() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    for (method, status) in [("OPTIONS", 200), ("TRACE", 501)] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
        assert_eq!(edge.ask(&request).status(), status);
    }
    origin.done();
}

#[test]
fn an_http_1_0_request_is_sent_as_http_1_1() {
    let head = received(&[], "GET / HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some("ORIGIN"));
}

#[test]
fn fields_of_the_clients_connection_stop_here() {
    let head = received(
        &[],
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, host, authorization\r\nX-One: 1\r\n\
         Authorization: Basic eDp5\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: gzip\r\nUpgrade: websocket\r\n\r\n",
    );
    for name in ["x-one", "keep-alive", "proxy-connection", "te", "upgrade", "connection"] {
        assert_eq!(field(&head, name), None, "{head}");
    }
    assert_eq!(field(&head, "host"), Some("a"));
    assert_eq!(field(&head, "authorization"), Some("Basic eDp5"));
}

#[test]
fn fields_of_the_origins_connection_stop_here() {
    let response = answered(
        b"HTTP/1.1 200 OK\r\nConnection: close, x-one\r\nX-One: 1\r\nX-Two: 2\r\n\
          Keep-Alive: timeout=5\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n",
    );
    for name in ["x-one", "keep-alive", "upgrade", "connection"] {
        assert_eq!(response.field(name), None, "{}", response.head);
    }
    assert_eq!(response.field("x-two"), Some("2"));
}

#[test]
fn the_version_of_the_origin_stays_with_it() {
    let response = answered(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", response.head);
}

#[test]
fn malformed_requests_are_refused_before_the_origin() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n", 501),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
    ] {
        assert_eq!(edge.ask(request).status(), status, "{request:?}");
    }
    origin.done();
}
