//! A file that changes while the program runs.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::config::{File, one_origin};
use crate::site::{Site, response};
use crate::support::{Edge, Origin};

/// What the program tells on its standard error.
pub(crate) struct Told(BufReader<ChildStderr>);

impl Told {
    pub(crate) fn of(edge: &mut Edge) -> Self {
        Self(edge.stderr())
    }

    /// Lines up to the first one that has this text.
    pub(crate) fn until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).expect("text"), 0, "{lines:#?}");
            lines.push(line.trim_end().to_owned());
            if line.contains(text) {
                return lines;
            }
        }
    }
}

fn is_hit(edge: &Edge, target: &str) -> bool {
    edge.get(target).field("cache-status").expect("a field").contains("hit")
}

#[cfg(unix)]
#[test]
fn a_hangup_brings_the_new_file_and_keeps_the_cache() {
    let (one, other) = (Site::saying("one", "max-age=600"), Site::saying("other", "max-age=600"));
    let file = File::new(&one_origin(&one));
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    assert_eq!(edge.get("/a").body, b"one");
    let mut client = edge.connect();
    client.send("GET /a HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    assert_eq!(client.response().body, b"one");
    file.write(&one_origin(&other));
    edge.signal("HUP");
    told.until("taken");
    assert!(is_hit(&edge, "/a"), "it was stored before");
    assert_eq!(edge.get("/b").body, b"other");
    client.send("GET /c HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    assert_eq!(client.response().body, b"other", "on a connection of before");
    assert_eq!((one.requests(), other.requests()), (1, 2));
    // What is said again is taken again.
    edge.signal("HUP");
    told.until("taken");
    assert!(is_hit(&edge, "/a"));
}

#[test]
fn a_changed_file_is_found_and_a_bad_one_is_not_taken() {
    let (one, other) = (Site::saying("one", "max-age=600"), Site::saying("other", "max-age=600"));
    let file = File::new(&one_origin(&one));
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    assert_eq!(edge.get("/a").body, b"one");
    file.write("workers = 0\n[origins.a]\nurl = \"ftp://a\"\n[default]\norigin = \"b\"\n");
    let lines = told.until("not taken");
    for (line, what) in [(1, "workers"), (3, "scheme"), (5, "`b`")] {
        let place = format!("edge: {}:{line}: ", file.name());
        assert!(
            lines.iter().any(|line| line.starts_with(&place) && line.contains(what)),
            "{lines:#?}"
        );
    }
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(edge.get("/b").body, b"one", "all stays as it was");
    assert!(is_hit(&edge, "/a"));
    // Another file in its place.
    let new = file.path.with_extension("new");
    std::fs::write(&new, one_origin(&other)).expect("a file");
    std::fs::rename(&new, &file.path).expect("a file");
    assert_eq!(told.until("taken"), [format!("edge: {}: taken", file.name())]);
    assert!(is_hit(&edge, "/a"));
    assert_eq!(edge.get("/c").body, b"other");
}

#[test]
fn the_log_is_switched_on_and_off() {
    let site = Site::saying("a", "max-age=600");
    let file = File::new(&one_origin(&site));
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    edge.get("/silent");
    file.write(&format!("log = true\n{}", one_origin(&site)));
    assert_eq!(told.until(": taken").len(), 1);
    edge.get("/a");
    assert!(told.until("GET /a ")[0].starts_with("GET /a 200 tower-cdn; fwd=uri-miss"));
    file.write(&one_origin(&site));
    told.until(": taken");
    edge.get("/b");
    file.write(&format!("log = true\n{}", one_origin(&site)));
    assert_eq!(told.until(": taken").len(), 1, "no line of that request");
}

#[test]
fn what_cannot_change_is_told_and_the_rest_is_taken() {
    let (one, other) = (Site::saying("one", "max-age=600"), Site::saying("other", "max-age=600"));
    let file = File::new(&format!("workers = 2\n[store]\nmemory = \"1MiB\"\n{}", one_origin(&one)));
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    assert_eq!(edge.get("/a").body, b"one");
    file.write(&format!(
        "workers = 1\nclient_timeout = \"1s\"\nlisten = \"127.0.0.1:1\"\n[store]\nmemory = \"2MiB\"\n{}",
        one_origin(&other)
    ));
    let lines = told.until(": taken");
    let name = file.name();
    assert_eq!(
        lines,
        [
            format!("edge: {name}:1: workers: takes a restart; it stays as it was"),
            format!("edge: {name}:2: client_timeout: takes a restart; it stays as it was"),
            format!("edge: {name}:4: store: takes a restart; it stays as it was"),
            format!("edge: {name}: taken"),
        ],
        "where to listen was told by the command line"
    );
    assert!(is_hit(&edge, "/a"));
    assert_eq!(edge.get("/b").body, b"other");
}

#[test]
fn origins_that_are_described_as_before_keep_their_connections() {
    let origin = Origin::script(|listener| {
        let mut first = listener.accept();
        for name in ["one", "two"] {
            first.request();
            first.send(response("200 OK", "Cache-Control: no-store\r\n", name));
        }
        // Another time limit makes it another origin.
        let mut second = listener.accept();
        second.request();
        second.send(response("200 OK", "Cache-Control: no-store\r\n", "three"));
    });
    let of = |idle: &str, rest: &str| {
        format!(
            "[origins.a]\nurl = \"http://{}\"\nidle_timeout = \"{idle}\"\n[default]\norigin = \"a\"\n{rest}",
            origin.address
        )
    };
    let file = File::new(&of("1h", ""));
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    assert_eq!(edge.get("/").body, b"one");
    file.write(&of("1h", "methods = [\"GET\"]\n"));
    told.until(": taken");
    assert_eq!(edge.get("/").body, b"two");
    file.write(&of("2h", ""));
    told.until(": taken");
    assert_eq!(edge.get("/").body, b"three");
    origin.done();
}

#[test]
fn no_request_fails_while_files_change_under_load() {
    let asked = Arc::new(AtomicUsize::new(0));
    let site = || {
        let count = Arc::clone(&asked);
        Site::new(move |head| {
            let is_stored = head.starts_with("GET /stored ");
            count.fetch_add(usize::from(is_stored), Ordering::SeqCst);
            let field = if is_stored { "max-age=600" } else { "no-store" };
            response("200 OK", &format!("Cache-Control: {field}\r\n"), "content")
        })
    };
    let (one, other) = (site(), site());
    let texts = [
        one_origin(&one),
        format!("{}[[behaviours]]\npath = \"/x/*\"\ndynamic = true\n", one_origin(&other)),
        format!("{}[[error_pages]]\nstatus = 404\npath = \"/sorry\"\n", one_origin(&other)),
    ];
    let file = File::new(&texts[0]);
    let mut edge = file.run();
    let mut told = Told::of(&mut edge);
    assert_eq!(edge.get("/stored").status(), 200);
    while !is_hit(&edge, "/stored") {}
    let is_over = AtomicBool::new(false);
    let answers = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..4 {
            let (edge, is_over, answers) = (&edge, &is_over, &answers);
            scope.spawn(move || {
                let target = ["/stored", "/other", "/x/1"][n % 3];
                let mut client = edge.connect();
                while !is_over.load(Ordering::SeqCst) {
                    client.send(format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n\r\n"));
                    let answer = client.response();
                    assert_eq!((answer.status(), &answer.body[..]), (200, &b"content"[..]));
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for turn in 1..=3 {
            let before = answers.load(Ordering::SeqCst);
            file.write(&texts[turn % texts.len()]);
            told.until(": taken");
            // Some go by the new file before the next one comes.
            while answers.load(Ordering::SeqCst) < before + 100 {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what was stored stayed stored");
    assert!(one.requests() > 1 && other.requests() > 1);
}
