//! Whose page it is: the host that is keyed is the host that is forwarded.

use crate::support::{Edge, Origin, field};

/// An origin that answers each request with the host that it was sent to, and counts them.
fn echo(times: usize) -> Origin {
    Origin::script(move |listener| {
        for number in 1..=times {
            let mut edge = listener.accept();
            let head = edge.request().head;
            let body = format!("{number} {}", field(&head, "host").expect("a host"));
            edge.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    })
}

#[test]
fn a_target_with_a_host_makes_no_page_of_another_host() {
    let origin = echo(2);
    let edge = Edge::before(origin.address);
    for (request, body) in [
        ("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "1 a.example"),
        ("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", "2 b.example"),
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "1 a.example"),
        ("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "2 b.example"),
        ("GET HTTP://B.EXAMPLE:80/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "2 b.example"),
        ("GET / HTTP/1.1\r\nHost: A.example.:80\r\n\r\n", "1 a.example"),
    ] {
        assert_eq!(edge.ask(request).body, body.as_bytes(), "{request:?}");
    }
    origin.done();
}

#[test]
fn a_host_that_is_spelled_otherwise_is_forwarded_as_it_is_keyed() {
    let origin = echo(1);
    let edge = Edge::before(origin.address);
    for host in ["A.Example.:80", "a.example"] {
        let response = edge.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.body, b"1 a.example", "{host}");
    }
    origin.done();
}

#[test]
fn another_port_is_another_host() {
    let origin = echo(2);
    let edge = Edge::before(origin.address);
    for _ in 0..2 {
        for (host, body) in [("a.example", "1 a.example"), ("a.example:81", "2 a.example:81")] {
            let response = edge.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(response.body, body.as_bytes());
        }
    }
    origin.done();
}

#[test]
fn a_host_that_is_none_is_refused() {
    let origin = Origin::script(|listener| assert!(listener.is_quiet()));
    let edge = Edge::before(origin.address);
    for host in
        ["", "a, b", "a/b", "a?b", "a#b", "a\\b", "u@a", "a:8b", "a:80:90", "a:-1", "[::1", "<a>"]
    {
        for request in [
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
        ] {
            assert_eq!(edge.ask(&request).status(), 400, "{request:?}");
        }
    }
    for request in [
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        assert_eq!(edge.ask(request).status(), 400, "{request:?}");
    }
    origin.done();
}

#[test]
fn connection_takes_no_host_and_no_credentials_out_of_a_request() {
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        let head = edge.request().head;
        assert_eq!(field(&head, "host"), Some("a.example"));
        assert_eq!(field(&head, "cookie"), Some("user=1"));
        assert_eq!(field(&head, "authorization"), Some("Basic eDp5"));
        edge.send(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\
             Content-Length: 5\r\n\r\nfor 1",
        );
        let mut edge = listener.accept();
        assert_eq!(field(&edge.request().head, "cookie"), None);
        edge.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfor all");
    });
    let edge = Edge::before(origin.address);
    let response = edge.ask(
        "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: host, cookie, authorization\r\n\
         Cookie: user=1\r\nAuthorization: Basic eDp5\r\n\r\n",
    );
    assert_eq!(response.body, b"for 1");
    let response = edge.ask("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(response.body, b"for all");
    origin.done();
}

#[test]
fn a_field_that_connection_takes_out_of_a_request_does_not_select_a_variant() {
    let origin = Origin::script(|listener| {
        for (tenant, body) in [(None, "nobody's"), (Some("blue"), "blue one")] {
            let mut edge = listener.accept();
            assert_eq!(field(&edge.request().head, "x-tenant"), tenant);
            edge.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: X-Tenant\r\n\
                 Connection: close\r\nContent-Length: 8\r\n\r\n{body}"
            ));
        }
    });
    let edge = Edge::before(origin.address);
    let blue = "GET / HTTP/1.1\r\nHost: a\r\nX-Tenant: blue\r\n";
    assert_eq!(edge.ask(&format!("{blue}Connection: x-tenant\r\n\r\n")).body, b"nobody's");
    for _ in 0..2 {
        assert_eq!(edge.ask(&format!("{blue}\r\n")).body, b"blue one");
    }
    origin.done();
}
