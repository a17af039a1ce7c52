//! Two edges, a regional cache and the origin, each a process or a thread of its own.
//!
//! The origin has two addresses: one that the regional cache asks, and one for the edges. Where a
//! request arrives tells which way it went.

use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::support::{Edge, Listener, Origin, PATIENCE, Peer, Response};

/// An origin that answers whatever is asked, for as long as the test runs.
struct Site {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new(answer: impl Fn(&Response, &mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let log = Arc::clone(&seen);
        // It ends with the process of the tests.
        thread::spawn(move || {
            let listener = Listener::from(listener);
            loop {
                let (mut peer, log, answer) =
                    (listener.accept(), Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || {
                    while let Some(request) = peer.next_request() {
                        let line = request.head.split(" HTTP").next().unwrap_or_default();
                        log.lock().expect("a log").push(line.to_owned());
                        answer(&request, &mut peer);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// One that says how often it has been changed, by POST.
    fn counting(changes: &Arc<AtomicUsize>) -> Self {
        let changes = Arc::clone(changes);
        Self::new(move |request, peer| {
            if request.head.starts_with("POST") {
                changes.fetch_add(1, Ordering::SeqCst);
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            let text = changes.load(Ordering::SeqCst).to_string();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ));
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and target of all requests so far.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("a log").clone()
    }
}

fn page(_: &Response, peer: &mut Peer) {
    peer.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nhello");
}

fn region(origin: &Site) -> Edge {
    Edge::with(&["--origin", &origin.url(), "--admin", "127.0.0.1:0"])
}

fn edge(origin: &Site, regions: &[&Edge], more: &[&str]) -> Edge {
    let mut args = vec!["--origin".to_owned(), origin.url()];
    args.extend(["--admin", "127.0.0.1:0"].map(str::to_owned));
    for region in regions {
        let admin = region.admin.expect("an address");
        args.extend(["--regional".to_owned(), format!("http://{}", region.address)]);
        args.extend(["--regional-admin".to_owned(), format!("http://{admin}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Edge::with(&args)
}

fn text(edge: &Edge, target: &str) -> String {
    let response = edge.get(target);
    assert_eq!(response.status(), 200, "{target}");
    String::from_utf8(response.body).expect("text")
}

fn post(edge: &Edge, target: &str) -> u16 {
    edge.ask(&format!("POST {target} HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n\r\n"))
        .status()
}

#[test]
fn what_one_edge_has_fetched_the_other_one_gets_from_the_region() {
    let (far, direct) = (Site::new(page), Site::new(page));
    let region = region(&far);
    let edges = [edge(&direct, &[&region], &[]), edge(&direct, &[&region], &[])];
    for (n, edge) in edges.iter().enumerate() {
        let response = edge.get("/a");
        assert_eq!(&response.body[..], b"hello");
        let status = response.head.to_ascii_lowercase();
        assert_eq!(status.matches("cache-status:").count(), 2, "{n}: {status}");
    }
    assert_eq!((far.seen(), direct.seen()), (vec!["GET /a".to_owned()], Vec::new()));
    // Another process in the row is no loop.
    assert_eq!(text(&edges[0], "/b"), "hello");
    assert_eq!(far.seen().len(), 2);
}

#[test]
fn what_gains_nothing_skips_the_region() {
    let (far, direct) = (Site::new(page), Site::new(page));
    let region = region(&far);
    let edge = edge(&direct, &[&region], &[]);
    let methods = ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"];
    for method in methods {
        let request =
            format!("{method} /a HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(edge.ask(&request).status(), 200);
    }
    assert!(far.seen().is_empty());
    assert_eq!(direct.seen(), methods.map(|method| format!("{method} /a")));
    assert_eq!(text(&edge, "/b"), "hello");
    assert_eq!((far.seen().len(), direct.seen().len()), (1, methods.len()));
}

#[test]
fn a_tunnel_leads_to_the_origin() {
    let far = Site::new(page);
    let direct = Origin::script(|listener| {
        let mut edge = listener.accept();
        assert_eq!(edge.request().field("upgrade"), Some("echo"));
        edge.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let said = edge.take(5);
        edge.send(said);
    });
    let region = region(&far);
    let (url, regional) =
        (format!("http://{}", direct.address), format!("http://{}", region.address));
    let edge = Edge::with(&["--origin", &url, "--regional", &regional]);
    let mut client = edge.connect();
    client
        .send("GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    client.send("hello");
    assert_eq!(client.take(5), b"hello");
    direct.done();
    assert!(far.seen().is_empty());
}

#[test]
fn the_first_byte_goes_on_through_both_tiers() {
    let (go, gone) = mpsc::channel::<()>();
    let far = Origin::script(move |listener| {
        let mut region = listener.accept();
        region.request();
        region.send(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        );
        gone.recv_timeout(PATIENCE).expect("the client has the first part");
        region.send("3\r\ndef\r\n0\r\n\r\n");
    });
    let direct = Site::new(page);
    let url = format!("http://{}", far.address);
    let region = Edge::with(&["--origin", &url, "--admin", "127.0.0.1:0"]);
    let edge = edge(&direct, &[&region], &[]);
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    client.head();
    assert_eq!(client.chunk(), b"abc");
    go.send(()).expect("the origin waits");
    assert_eq!(client.chunk(), b"def");
    assert_eq!(client.chunk(), b"");
    far.done();
    assert!(direct.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_over_two_edges_reach_the_origin_once() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    // The head comes at once, so that nobody waits for it for too long on a busy machine, and the
    // rest when all have the first part.
    let far = Site::new(move |_, peer| {
        peer.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 6\r\n\r\nabc");
        told.lock().expect("a channel").recv_timeout(PATIENCE).expect("all are there");
        peer.send("def");
    });
    let direct = Site::new(page);
    let region = region(&far);
    let edges = [edge(&direct, &[&region], &[]), edge(&direct, &[&region], &[])];
    let mut begun = Vec::new();
    for edge in [&edges[0], &edges[1], &edges[0], &edges[1]] {
        let stream = tokio::net::TcpStream::connect(edge.address).await.expect("it accepts");
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        for _ in 0..250 {
            let mut client = client.clone();
            begun.push(tokio::spawn(async move {
                let request = Request::get("http://edge.test/").version(Version::HTTP_2);
                let request = request.body(Empty::<Bytes>::new()).expect("a request");
                let mut response = client.send_request(request).await.expect("a response");
                assert_eq!(response.status(), 200);
                let frame = response.body_mut().frame().await.expect("a part").expect("a part");
                (response, frame.into_data().expect("data"))
            }));
        }
    }
    let mut all = Vec::new();
    for one in begun {
        all.push(timeout(PATIENCE, one).await.expect("in time").expect("a first part"));
    }
    assert_eq!((all.len(), far.seen().len(), direct.seen().len()), (1000, 1, 0));
    tell.send(()).expect("the origin waits");
    for (response, first) in all {
        let rest = timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
        assert_eq!([&first[..], &rest.expect("the rest").to_bytes()].concat(), b"abcdef");
    }
    assert_eq!((far.seen().len(), direct.seen().len()), (1, 0));
}

#[test]
fn the_answer_to_an_unsafe_request_reaches_the_region() {
    let changes = Arc::default();
    let (far, direct) = (Site::counting(&changes), Site::counting(&changes));
    let region = region(&far);
    let edges = [edge(&direct, &[&region], &[]), edge(&direct, &[&region], &[])];
    assert_eq!(text(&edges[0], "/a"), "0");
    assert_eq!(post(&edges[0], "/a"), 200);
    assert_eq!(text(&edges[0], "/a"), "1", "the region had the older one");
    assert_eq!(text(&edges[1], "/a"), "1", "and so would have got it who asks it first now");
    assert_eq!(far.seen(), ["GET /a", "GET /a"]);
    assert_eq!(direct.seen(), ["POST /a"]);
}

#[test]
fn an_operator_of_the_edge_reaches_the_region() {
    let changes: Arc<AtomicUsize> = Arc::default();
    let (far, direct) = (Site::counting(&changes), Site::counting(&changes));
    let region = region(&far);
    let edge = edge(&direct, &[&region], &[]);
    for (now, order) in [
        r#"{"paths": ["/a"]}"#,
        r#"{"uris": ["http://edge.test/a"]}"#,
        r#"{"all": true, "soft": true, "host": "edge.test"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(text(&edge, "/a"), now.to_string());
        changes.fetch_add(1, Ordering::SeqCst);
        let (status, told) = edge.told("POST", "/invalidate", order);
        assert_eq!(status, 200, "{told}");
        let there = &told["regional"][0]["receipts"];
        let count = |receipts: &serde_json::Value| receipts.as_array().map(Vec::len);
        assert_eq!((count(&told["receipts"]), count(there)), (Some(1), Some(1)), "{told}");
        assert_eq!(text(&edge, "/a"), (now + 1).to_string(), "{order}");
    }
    let wrong = r#"{"all": true, "tags": [""]}"#;
    assert_eq!(edge.told("POST", "/invalidate", wrong).0, 400);
    assert_eq!(region.told("GET", "/statistics", "").1["invalidations"], 3);
}

#[test]
fn a_region_that_cannot_be_told_is_told_of() {
    let changes: Arc<AtomicUsize> = Arc::default();
    let (far, direct) = (Site::counting(&changes), Site::counting(&changes));
    let mut region = region(&far);
    let mut edge = edge(&direct, &[&region], &[]);
    assert_eq!(text(&edge, "/a"), "0");
    region.signal("KILL");
    region.ended();
    changes.fetch_add(1, Ordering::SeqCst);
    let (status, told) = edge.told("POST", "/invalidate", r#"{"all": true}"#);
    assert_eq!(status, 502, "{told}");
    assert!(told["regional"][0]["error"].is_string(), "{told}");
    assert_eq!(told["receipts"].as_array().map(Vec::len), Some(1), "here it is done");
    assert_eq!(text(&edge, "/a"), "1", "from the origin");
    // An answer goes on all the same.
    assert_eq!(post(&edge, "/a"), 200);
    assert_eq!(text(&edge, "/a"), "2");
    let warning = edge.stderr().lines().next().expect("a line").expect("text");
    assert!(warning.contains("does not know what has changed"), "{warning}");
}

#[test]
fn the_origin_answers_while_the_region_is_away() {
    let (far, direct) = (Site::new(page), Site::new(page));
    let mut first = region(&far);
    let edge = edge(&direct, &[&first], &[]);
    assert_eq!(text(&edge, "/1"), "hello");
    first.signal("KILL");
    first.ended();
    assert_eq!(text(&edge, "/1"), "hello", "it is stored here");
    assert_eq!(text(&edge, "/2"), "hello");
    assert_eq!((far.seen(), direct.seen()), (vec!["GET /1".to_owned()], vec!["GET /2".to_owned()]));
    let listen = first.address.to_string();
    let _second = Edge::with(&["--listen", &listen, "--origin", &far.url()]);
    // It is asked again at once, or after its pause if it is found out to be away often enough.
    let back = (3..).find(|n| {
        assert_eq!(text(&edge, &format!("/{n}")), "hello");
        far.seen().len() > 1
    });
    assert_eq!(back, Some(3), "one failure is not often");
}

#[test]
fn sharded_regions_have_each_object_once() {
    let (far, direct) = (Site::new(page), Site::new(page));
    let regions = [region(&far), region(&far)];
    let [one, other] = &regions;
    let sharded = ["--regional-by", "sharded"];
    let edges = [edge(&direct, &[one, other], &sharded), edge(&direct, &[one, other], &sharded)];
    for edge in &edges {
        for n in 0..20 {
            assert_eq!(text(edge, &format!("/{n}")), "hello");
        }
    }
    assert_eq!((far.seen().len(), direct.seen().len()), (20, 0));
    for region in &regions {
        let (_, told) = region.told("GET", "/statistics", "");
        assert!(told["forwarded"].as_u64() > Some(0), "{told}");
    }
}

#[test]
fn what_a_lost_region_had_the_other_one_fetches() {
    for how in ["nearest", "sharded"] {
        let (far, direct) = (Site::new(page), Site::new(page));
        let mut regions = [region(&far), region(&far)];
        let [one, other] = &regions;
        let edge = edge(&direct, &[one, other], &["--regional-by", how]);
        for n in 0..10 {
            assert_eq!(text(&edge, &format!("/{n}")), "hello");
        }
        regions[0].signal("KILL");
        regions[0].ended();
        for n in 10..30 {
            assert_eq!(text(&edge, &format!("/{n}")), "hello");
        }
        assert_eq!((far.seen().len(), direct.seen().len()), (30, 0), "{how}");
    }
}

#[test]
fn regions_that_name_each_other_come_to_an_end() {
    let (far, direct) = (Site::new(page), Site::new(page));
    let region = region(&far);
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = free.local_addr().expect("an address").to_string();
    drop(free);
    let own = format!("http://{admin}");
    let args = ["--origin", &direct.url(), "--admin", &admin, "--regional-admin", &own];
    let regional = format!("http://{}", region.address);
    let edge = Edge::with(&[&args[..], &["--regional", &regional]].concat());
    let (status, told) = edge.told("POST", "/invalidate", r#"{"all": true}"#);
    assert_eq!(status, 502, "{told}");
    let why = told["regional"][0]["error"].as_str().expect("a reason");
    assert!(why.starts_with("508"), "{why}");
}
