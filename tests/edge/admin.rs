//! What an operator may say, and who is one.

use std::sync::mpsc;

use crate::support::{Edge, Origin, TOKEN, run};

const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nCache-Groups: \"news\"\r\nContent-Length: 5\r\n\r\nhello";

fn edge(origin: &Origin) -> Edge {
    let url = format!("http://{}", origin.address);
    Edge::with(&["--origin", &url, "--admin", "127.0.0.1:0"])
}

/// An edge without anything behind it.
fn alone() -> Edge {
    let origin = Origin::script(drop);
    let edge = edge(&origin);
    origin.done();
    edge
}

fn invalidations(edge: &Edge) -> u64 {
    let (status, told) = edge.told("GET", "/statistics", "");
    assert_eq!(status, 200);
    told["invalidations"].as_u64().expect("a number")
}

#[test]
fn what_is_invalidated_is_fetched_again() {
    let origin = Origin::answering(6, PAGE);
    let edge = edge(&origin);
    let is_hit = || {
        let response = edge.get("/a");
        assert_eq!(&response.body[..], b"hello");
        response.field("cache-status").expect("a field").contains("hit")
    };
    // What has just been fetched is stored a moment later; until then nobody else is asked.
    let store = || while !is_hit() {};
    assert!(!is_hit());
    for order in [
        r#"{"paths": ["/b*", "/a"]}"#,
        r#"{"uris": ["http://edge.test/a"]}"#,
        r#"{"tags": ["news"], "host": "edge.test"}"#,
        r#"{"all": true}"#,
        r#"{"all": true, "soft": true}"#,
    ] {
        store();
        let (status, told) = edge.told("POST", "/invalidate", order);
        assert_eq!(status, 200, "{order}: {told}");
        assert!(!told["receipts"].as_array().expect("receipts").is_empty(), "{told}");
        assert!(!is_hit(), "{order}");
    }
    store();
    let (status, _) = edge.told("POST", "/invalidate", r#"{"paths": ["/other"]}"#);
    assert_eq!(status, 200);
    assert!(is_hit());
    assert_eq!(invalidations(&edge), 7);
    origin.done();
}

#[test]
fn who_has_no_token_learns_nothing() {
    let edge = alone();
    let twice = format!("Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}");
    let longer = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    for authorization in [None, Some("Bearer wrong"), Some(&longer), Some(&basic), Some(&twice)] {
        let field = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let field = field.unwrap_or_default();
        for line in ["POST /invalidate", "GET /statistics", "GET /invalidate", "GET /secret"] {
            let mut operator = edge.operator();
            operator.send(format!(
                "{line} HTTP/1.1\r\nHost: admin\r\n{field}Content-Type: application/json\r\n\
                 Content-Length: 12\r\n\r\n{{\"all\":true}}"
            ));
            let response = operator.response();
            assert_eq!(response.status(), 401, "{line} {authorization:?}");
            assert_eq!(response.field("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(invalidations(&edge), 0);
}

#[test]
fn other_requests_are_refused() {
    let edge = alone();
    for (method, path, body, status) in [
        ("GET", "/", "", 404),
        ("POST", "/invalidate/all", "{}", 404),
        ("GET", "/invalidate", "", 405),
        ("PUT", "/invalidate", "{\"all\":true}", 405),
        ("POST", "/statistics", "", 405),
        ("POST", "/invalidate", "", 400),
        ("POST", "/invalidate", "{\"all\":true", 400),
        ("POST", "/invalidate", "all=true", 400),
        ("POST", "/invalidate", "{\"all\":true,\"tags\":[\"\"]}", 400),
    ] {
        let (told, answer) = edge.told(method, path, body);
        assert_eq!(told, status, "{method} {path} {body}: {answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
    let with = |fields: &str| {
        let mut operator = edge.operator();
        operator.send(format!(
            "POST /invalidate HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {TOKEN}\r\n{fields}\r\n"
        ));
        operator.response()
    };
    // It is refused by its length: none of it is ever sent.
    let huge = with("Content-Type: application/json\r\nContent-Length: 1073741824\r\n");
    assert_eq!(huge.status(), 413);
    for kind in ["", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(with(&format!("{kind}Content-Length: 12\r\n")).status(), 415, "{kind}");
    }
    assert_eq!(with("Content-Length: x\r\n").status(), 400);
    assert_eq!(invalidations(&edge), 0);
}

#[test]
fn a_slow_operator_holds_up_nobody() {
    let edge = alone();
    let mut slow = edge.operator();
    slow.send(format!(
        "POST /invalidate HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"all\""
    ));
    assert_eq!(invalidations(&edge), 0);
    assert_eq!(edge.told("POST", "/invalidate", r#"{"all": true}"#).0, 200);
    slow.send(":true}");
    assert_eq!(slow.response().status(), 200);
    assert_eq!(invalidations(&edge), 2);
}

#[test]
fn it_is_not_there_for_clients() {
    let (tell, told) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        tell.send(edge.request().head).expect("the test waits");
        edge.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    let edge = edge(&origin);
    let request = format!(
        "POST /invalidate HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"all\":true}}"
    );
    assert_eq!(edge.ask(&request).status(), 404);
    assert!(told.recv().expect("a request").starts_with("POST /invalidate"));
    assert_eq!(invalidations(&edge), 0);
    origin.done();
}

#[test]
fn without_a_token_it_does_not_start() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let short = file("short", "too-short\n");
    let odd = file("odd", "with a space, so it is none\n");
    for (args, says) in [
        (&["--admin", "127.0.0.1:0"][..], "EDGE_ADMIN_TOKEN"),
        (&["--admin", "127.0.0.1:0", "--admin-token-file", "/does/not/exist"], "/does/not/exist"),
        (&["--admin", "127.0.0.1:0", "--admin-token-file", &short], "from 16 to 512"),
        (&["--admin", "127.0.0.1:0", "--admin-token-file", &odd], "only letters"),
        (&["--admin", "nowhere"], "nowhere"),
        (&["--regional-admin", "http://127.0.0.1:1"], "--regional"),
        (&["--regional-by", "chance"], "chance"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with("edge: ") && stderr.contains(says), "{args:?}: {stderr}");
    }
    let good = file("good", &format!("{TOKEN}\n"));
    let edge = Edge::with(&["--admin", "127.0.0.1:0", "--admin-token-file", &good]);
    assert_eq!(invalidations(&edge), 0);
    let taken = edge.admin.expect("an address").to_string();
    let output = run(&["--listen", "127.0.0.1:0", "--admin", &taken, "--admin-token-file", &good]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&taken) && !stderr.contains(TOKEN), "{stderr}");
}
