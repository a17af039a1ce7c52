//! What a file says is what the program does.

use std::sync::mpsc;

use crate::config::{File, one_origin};
use crate::site::{Site, response};
use crate::support::{Edge, Origin, field};

#[test]
fn behaviours_have_their_origins_methods_policies_and_fields() {
    let pages = Site::saying("page", "max-age=60");
    let api = Site::new(|head| {
        let method = head.split(' ').next().expect("a method");
        response("200 OK", "Cache-Control: max-age=60\r\n", method)
    });
    let file = File::new(&format!(
        r#"
[origins.pages]
url = "http://{}"
rewrite_host = true
[origins.api]
url = "http://{}"
host = "api.internal:81"
[keys.pages]
query = "none"
[default]
origin = "pages"
keys = "pages"
forward = ["x-kept"]
[[behaviours]]
path = "/api/*"
origin = "api"
dynamic = true
"#,
        pages.address, api.address
    ));
    let edge = file.run();
    for target in ["/a?v=1", "/a?v=2", "/a"] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\nX-Other: 2\r\n\r\n");
        assert_eq!(edge.ask(&request).body, b"page");
    }
    let heads = pages.heads();
    assert_eq!(heads.len(), 1, "no query counts");
    let head = heads[0].to_ascii_lowercase();
    assert!(head.starts_with("get /a http/1.1\r\n"), "{head}");
    assert!(head.contains("x-kept: 1\r\n") && !head.contains("x-other"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", pages.address)), "{head}");
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(edge.ask(post).status(), 403);
    let delete = "DELETE /api/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [delete, "GET /api/1 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for _ in 0..2 {
            assert_eq!(
                edge.ask(request).body,
                request.split(' ').next().expect("a method").as_bytes()
            );
        }
    }
    assert_eq!((pages.requests(), api.requests()), (1, 4), "what is dynamic is not cached");
    let is_marked = |head: &String| head.to_ascii_lowercase().contains("cdn-loop: edge-");
    assert!(api.heads().iter().all(is_marked), "it knows loops all the same");
    assert!(api.heads()[0].to_ascii_lowercase().contains("host: api.internal:81\r\n"));
}

#[test]
fn a_page_takes_the_place_of_an_error() {
    let site = Site::new(|head| match head.split(' ').nth(1) {
        Some("/sorry") => response("200 OK", "Cache-Control: max-age=60\r\n", "sorry"),
        _ => response("404 Not Found", "", "plain"),
    });
    let pages = "[[error_pages]]\nstatus = 404\npath = \"/sorry\"\nas = 410\n";
    let file = File::new(&format!("{}{pages}", one_origin(&site)));
    let edge = file.run();
    for _ in 0..2 {
        let answer = edge.get("/a");
        assert_eq!((answer.status(), &answer.body[..]), (410, &b"sorry"[..]));
    }
}

#[test]
fn the_second_origin_answers_while_the_first_is_dead() {
    let primary = Site::saying("primary", "no-store");
    let secondary = Site::saying("secondary", "no-store");
    let file = File::new(&format!(
        r#"
[origins.primary]
url = "http://{}"
[origins.secondary]
url = "http://{}"
[groups.both]
members = ["primary", "secondary"]
failures = 2
pause = "50ms"
longest_pause = "50ms"
check = {{ path = "/health", every = "50ms" }}
[default]
origin = "both"
methods = ["GET", "POST"]
"#,
        primary.address, secondary.address
    ));
    let mut edge = Edge::with(&["--config", file.name(), "--log"]);
    let mut log = std::io::BufRead::lines(edge.stderr());
    let mut logged = || log.next().expect("a line").expect("text");
    assert_eq!(edge.get("/").body, b"primary");
    assert!(logged().ends_with(" (primary=200)"));
    let address = primary.kill();
    edge.get("/");
    let line = logged();
    assert!(
        line.ends_with("=failed, secondary=200)") || line.ends_with("=skipped, secondary=200)"),
        "{line}"
    );
    for _ in 0..10 {
        let answer = edge.get("/");
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"secondary"[..]));
    }
    // An unsafe request is sent once, to the first one that is not skipped: by now that is the second.
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    while edge.ask(post).body != b"secondary" {}
    let _primary = Site::at(address, |_| response("200 OK", "Cache-Control: no-store\r\n", "back"));
    while edge.get("/").body != b"back" {}
}

#[test]
fn uploads_that_clients_break_off_do_not_count_against_an_origin() {
    let primary = Site::new(|head| match head.starts_with("POST") {
        // It waits for the rest.
        true => String::new(),
        false => response("200 OK", "Cache-Control: no-store\r\n", "primary"),
    });
    let secondary = Site::saying("secondary", "no-store");
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\n[origins.b]\nurl = \"http://{}\"\n\
         [groups.g]\nmembers = [\"a\", \"b\"]\nfailures = 1\n\
         [default]\norigin = \"g\"\nmethods = [\"GET\", \"POST\"]\n",
        primary.address, secondary.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ");
    client.send_end();
    assert_eq!(client.response().status(), 400);
    assert_eq!(edge.get("/").body, b"primary", "one failure would be enough");
}

#[test]
fn origins_have_the_time_that_the_file_says() {
    let (tell, told) = mpsc::channel::<()>();
    let origin = Origin::script(move |listener| {
        let mut silent = listener.accept();
        silent.request();
        let mut pausing = listener.accept();
        pausing.request();
        pausing.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ");
        // Both go on until the test is over.
        let _ = told.recv();
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\nfirst_byte_timeout = \"100ms\"\n\
         between_bytes_timeout = \"100ms\"\n[default]\norigin = \"a\"\n",
        origin.address
    ));
    let edge = file.run();
    assert_eq!(edge.get("/silent").status(), 504);
    let mut client = edge.connect();
    client.send("GET /pausing HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.rest().map_or(0, |body| body.len()), 5, "it breaks off");
    drop(tell);
    origin.done();
}

#[test]
fn more_requests_than_an_origin_may_have_wait_for_a_turn() {
    let ((come, came), (go, gone)) = (mpsc::channel(), mpsc::channel());
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        come.send(()).expect("the test waits");
        gone.recv().expect("the test says when");
        edge.send(response("200 OK", "Cache-Control: no-store\r\n", "first"));
        edge.request();
        edge.send(response("200 OK", "Cache-Control: no-store\r\n", "third"));
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\nmax_connections = 1\nconnect_timeout = \"100ms\"\n\
         [default]\norigin = \"a\"\n",
        origin.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("GET /first HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    came.recv().expect("it is under way");
    assert_eq!(edge.get("/second").status(), 504);
    go.send(()).expect("the origin waits");
    assert_eq!(client.response().body, b"first");
    assert_eq!(edge.get("/third").body, b"third");
    origin.done();
}

#[test]
fn groups_are_members_of_groups_and_sharded_ones_have_one_place_for_each_object() {
    let sites = ["a", "b", "c"].map(|name| Site::saying(name, "no-store"));
    let mut text = String::new();
    for (name, site) in ["a", "b", "c"].iter().zip(&sites) {
        text += &format!("[origins.{name}]\nurl = \"http://{}\"\n", site.address);
    }
    text += "[groups.shards]\nkind = \"sharded\"\nmembers = [\"a\", \"b\"]\n\
             [groups.near]\nkind = \"nearest\"\nmembers = [\"c\"]\n\
             [groups.all]\nmembers = [\"shards\", \"near\"]\n[default]\norigin = \"all\"\n";
    let edge = File::new(&text).run();
    let mut places = std::collections::BTreeSet::new();
    for n in 0..20 {
        let target = format!("/{n}");
        let place = edge.get(&target).body;
        assert_eq!(edge.get(&target).body, place, "{target}");
        places.insert(place);
    }
    assert_eq!(places, [b"a".to_vec(), b"b".to_vec()].into());
    assert_eq!(sites[2].requests(), 0, "the first group answers well");
}

#[test]
fn a_tunnel_goes_through_a_group() {
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        assert_eq!(field(&edge.head(), "upgrade"), Some("websocket"));
        edge.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        assert_eq!(edge.take(4), b"ping");
        edge.send("pong");
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\n[groups.g]\nmembers = [\"a\"]\n[default]\norigin = \"g\"\n",
        origin.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    client.send("ping");
    assert_eq!(client.rest().expect("an orderly end"), b"pong");
    origin.done();
}

#[cfg(all(unix, feature = "disk", feature = "tiered"))]
#[test]
fn what_lies_on_a_disk_is_there_after_a_restart_with_memory_in_front_or_not() {
    for memory in ["\"1MiB\"", "false"] {
        let site = Site::saying("a", "max-age=600");
        let directory = tempfile::tempdir().expect("a directory");
        let disk = directory.path().to_str().expect("text");
        let store =
            format!("[store]\nmemory = {memory}\ndisk = \"{disk}\"\ndisk_size = \"64MiB\"\n");
        let file = File::new(&format!("{store}{}", one_origin(&site)));
        for _ in 0..2 {
            let mut edge = file.run();
            assert_eq!(edge.get("/").body, b"a");
            edge.signal("TERM");
            assert_eq!(edge.ended(), Some(0));
        }
        assert_eq!(site.requests(), 1);
    }
}

#[test]
fn listen_and_log_may_be_told_beside_the_file() {
    let site = Site::saying("a", "max-age=60");
    let file = File::new(&format!("listen = \"192.0.2.1:1\"\n{}", one_origin(&site)));
    // It is told where to listen, since that address is nobody's.
    let mut edge = Edge::with(&["--config", file.name(), "--log"]);
    assert_eq!(edge.get("/a").body, b"a");
    let line = std::io::BufRead::lines(edge.stderr()).next().expect("a line").expect("text");
    assert!(line.starts_with("GET /a 200 "), "{line}");
}

#[cfg(feature = "s3")]
const CREDENTIALS: [(&str, &str); 2] =
    [("OURS_ACCESS_KEY_ID", "the-key"), ("OURS_SECRET_ACCESS_KEY", "the-secret")];

#[cfg(feature = "s3")]
#[test]
fn requests_for_a_bucket_are_signed_and_hits_are_not() {
    let server = Site::saying("object", "max-age=60");
    let file = File::new(&format!(
        "[origins.a]\nbucket = \"b\"\nregion = \"r\"\nendpoint = \"http://{}\"\nindex = \"index.html\"\n\
         credentials = \"OURS\"\n[default]\norigin = \"a\"\nforward = \"all\"\n",
        server.address
    ));
    let edge = Edge::within(&CREDENTIALS, &["--config", file.name()]);
    for _ in 0..2 {
        assert_eq!(edge.get("/pages/?v=1").body, b"object");
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    let head = &heads[0];
    assert!(head.starts_with("GET /b/pages/index.html HTTP/1.1\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("authorization: aws4-hmac-sha256 credential=the-key/"), "{head}");
    assert!(lower.contains(&format!("host: {}\r\n", server.address)) && !head.contains("secret"));
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(edge.ask(post).status(), 403);
}
