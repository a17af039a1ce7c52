//! Two edges and a regional cache, each from a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{File, all_are_told, one_origin};
use crate::site::{Site, response};
use crate::support::Edge;

/// An edge in front of a region that is asked in place of the origins, but for `/near/`.
fn edge(origin: &Site, region: &Edge) -> Edge {
    let admin = region.admin.expect("it has one");
    File::new(&format!(
        r#"
[origins.near]
url = "http://{origin}"
[regional]
caches = ["http://{region}"]
local = ["near"]
admin = ["http://{admin}"]
[admin]
listen = "127.0.0.1:0"
[origins.a]
url = "http://{origin}"
[default]
origin = "a"
methods = ["GET", "POST"]
[[behaviours]]
path = "/near/*"
origin = "near"
[[behaviours]]
path = "/dynamic/*"
dynamic = true
"#,
        origin = origin.address,
        region = region.address
    ))
    .run()
}

#[test]
fn what_can_be_cached_goes_over_the_region_and_both_hear_of_changes() {
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&changes);
    let origin = Site::new(move |head| {
        if head.starts_with("POST") {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        let text = counted.load(Ordering::SeqCst).to_string();
        response("200 OK", "Cache-Control: max-age=600\r\n", &text)
    });
    let region = File::new(&format!("[admin]\nlisten = \"127.0.0.1:0\"\n{}", one_origin(&origin)));
    let region = region.run();
    let edges = [edge(&origin, &region), edge(&origin, &region)];
    for edge in &edges {
        assert_eq!(edge.get("/a").body, b"0");
        for direct in ["/near/a", "/dynamic/a"] {
            assert_eq!(edge.get(direct).body, b"0");
        }
    }
    let count = |path: &str| origin.heads().iter().filter(|head| head.contains(path)).count();
    assert_eq!((count(" /a "), count("/near/a"), count("/dynamic/a")), (1, 2, 2));
    let statuses = edges[1].get("/b").head.to_ascii_lowercase();
    assert_eq!(statuses.matches("cache-status: ").count(), 2, "{statuses}");
    assert_eq!(
        edges[0].get("/near/b").head.to_ascii_lowercase().matches("cache-status: ").count(),
        1
    );

    let post = "POST /a HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(edges[0].ask(post).body, b"1");
    assert_eq!(edges[0].get("/a").body, b"1", "the region has heard of it");
    assert_eq!(edges[1].get("/a").body, b"0", "the other edge has not");
    let (status, _) = edges[1].told("POST", "/invalidate", r#"{"paths": ["/*"]}"#);
    assert_eq!(status, 200);
    assert_eq!(edges[1].get("/a").body, b"1");
    assert_eq!(count("GET /a "), 3);
}

#[test]
fn a_change_of_the_region_is_taken_and_keeps_what_is_stored() {
    let origin = Site::saying("a", "max-age=600");
    let regions = [Site::saying("one", "max-age=600"), Site::saying("other", "max-age=600")];
    let of = |region: &Site| {
        let text = one_origin(&origin);
        format!("{text}[regional]\ncaches = [\"http://{}\"]\n", region.address)
    };
    let file = File::new(&of(&regions[0]));
    let mut edge = file.run();
    let mut told = crate::config_reload::Told::of(&mut edge);
    assert_eq!(edge.get("/a").body, b"one");
    file.write(&of(&regions[1]));
    told.until(": taken");
    assert_eq!(edge.get("/a").body, b"one", "it was stored before");
    assert_eq!(edge.get("/b").body, b"other");
    file.write(&one_origin(&origin));
    told.until(": taken");
    assert_eq!(edge.get("/c").body, b"a");
    file.write(&format!("[admin]\nlisten = \"127.0.0.1:0\"\n{}", of(&regions[0])));
    let lines = told.until(": taken");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].ends_with(":1: admin: takes a restart; it stays as it was"), "{lines:#?}");
    assert_eq!(edge.get("/d").body, b"one");
}

#[test]
fn mistakes_in_tiers() {
    all_are_told(
        r#"
[regional]
caches = ["ftp://a"] #! caches: 'ftp://a' has a scheme other
by = "chance" #! by: 'chance' is not one of "nearest", "sharded"
local = ["nobody"] #! no origin or group is called `nobody`
max_idle = -1 #! max_idle: a whole number
[origins.a]
url = "http://a"
[default]
origin = "a"
[admin]
listen = "nowhere" #! listen: 'nowhere' is not an address
"#,
    );
    let rest = "[origins.a]\nurl = \"http://a\"\n[default]\norigin = \"a\"\n";
    all_are_told(&format!("[regional] #! `caches` is missing\nby = \"sharded\"\n{rest}"));
    all_are_told(&format!("{rest}[regional]\ncaches = [] #! at least one is needed\n"));
}
