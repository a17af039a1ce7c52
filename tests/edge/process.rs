//! The program as a process: arguments, log and signals.

use std::io::BufRead;
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::sync::mpsc;

#[cfg(target_os = "linux")]
use crate::support::program;
use crate::support::{Edge, Origin, PATIENCE, run};

#[test]
fn wrong_arguments_end_with_2_and_a_message() {
    for (args, says) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["stray"], "stray"),
        (&["--origin", "localhost:3000"], "localhost:3000"),
        (&["--origin", "http://localhost/app"], "path"),
        (&["--listen", "nowhere"], "nowhere"),
        (&["--preset", "akamai"], "akamai"),
        (&["--memory", "lots"], "lots"),
        (&["--max-object", "99999999999TiB"], "too large"),
        (&["--workers", "0"], "--workers"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with("edge: ") && stderr.contains(says), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--max-object"));
    let version = run(&["--version"]);
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("edge "));
}

#[test]
fn a_port_in_use_ends_with_1_and_a_message() {
    let origin = Origin::script(drop);
    let edge = Edge::before(origin.address);
    let address = edge.address.to_string();
    let output = run(&["--listen", &address]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    origin.done();
}

#[test]
fn without_an_origin_there_is_one_to_play_with() {
    for workers in ["1", "2"] {
        let edge = Edge::with(&["--workers", workers, "--preset", "rfc9111", "--memory", "1MiB"]);
        assert_eq!(edge.get("/").status(), 200);
        let part = edge.ask(
            "GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=60-64\r\nConnection: close\r\n\r\n",
        );
        assert_eq!((part.status(), &part.body[..]), (206, &b"012\n0"[..]));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_freed_stays_for_a_moment_unless_an_operator_says_else() {
    const DELAY: &str = "MIMALLOC_PURGE_DELAY";
    let mut command = Command::new(program());
    command.env_remove(DELAY).env_remove("MIMALLOC_RESET_DELAY").env("ELSE", "kept");
    let edge = Edge::of(command, &["--memory", "1MiB", "--preset", "rfc9111"]);
    assert_eq!(edge.variable(DELAY).as_deref(), Some("1000"));
    // It began anew, with all that it was given: the one that is asked is the one that was started.
    assert_eq!(edge.variable("ELSE").as_deref(), Some("kept"));
    assert_eq!(edge.get("/").status(), 200);

    let edge = Edge::within(&[(DELAY, "20")], &[]);
    assert_eq!(edge.variable(DELAY).as_deref(), Some("20"));
}

/// Its file is gone, so that it cannot begin anew.
#[cfg(target_os = "linux")]
#[test]
fn a_program_that_cannot_begin_anew_goes_on_and_survives_clients_that_go() {
    const DELAY: &str = "MIMALLOC_PURGE_DELAY";
    const SIGPIPE: u64 = 1 << 12;
    let link = program().with_file_name(format!("edge-{}", std::process::id()));
    std::fs::hard_link(program(), &link).expect("a link to the program");
    let file = std::fs::File::open(&link);
    std::fs::remove_file(&link).expect("the link is ours");
    let file = file.expect("the program");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let mut command = Command::new(path);
    command.env_remove(DELAY).env_remove("MIMALLOC_RESET_DELAY");
    let edge = Edge::of(command, &["--memory", "1MiB"]);
    assert_eq!(edge.variable(DELAY), None);
    assert_eq!(edge.get("/").status(), 200);
    let set = |name| u64::from_str_radix(&edge.status(name), 16).expect("a set of signals");
    assert_ne!((set("SigCgt") | set("SigIgn")) & SIGPIPE, 0, "a write to who is gone kills it");
}

#[test]
fn the_log_has_a_line_for_each_request() {
    let origin = Origin::answering(1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{}", origin.address);
    let mut edge = Edge::with(&["--origin", &url, "--log"]);
    let mut log = edge.stderr().lines();
    edge.get("/some/where?x=1");
    origin.done();
    let line = log.next().expect("a line").expect("text");
    assert!(line.starts_with("GET /some/where?x=1 404 "), "{line}");
    edge.get("/else");
    let line = log.next().expect("a line").expect("text");
    assert!(line.starts_with("GET /else 502 "), "{line}");
}

#[cfg(unix)]
#[test]
fn a_signal_lets_end_what_is_under_way() {
    for signal in ["TERM", "INT"] {
        let (go, gone) = mpsc::channel();
        let origin = Origin::script(move |listener| {
            let mut edge = listener.accept();
            edge.request();
            edge.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
            gone.recv_timeout(PATIENCE).expect("the program has the signal");
            edge.send("def");
        });
        let mut edge = Edge::before(origin.address);
        let mut idle = edge.connect();
        let mut client = edge.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head();
        assert_eq!(client.take(3), b"abc");
        edge.signal(signal);
        // Idle connections are closed, and no new ones are accepted.
        assert_eq!(idle.rest().expect("an orderly end"), b"");
        assert!(TcpStream::connect(edge.address).is_err());
        go.send(()).expect("the origin waits");
        assert_eq!(client.take(3), b"def");
        assert_eq!(client.rest().expect("an orderly end"), b"");
        assert_eq!(edge.ended(), Some(0));
        origin.done();
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once() {
    let (tell, told) = mpsc::channel();
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        tell.send(()).expect("the test waits");
        // No response: the request is under way until the program ends.
        let _ = edge.rest();
    });
    let mut edge = Edge::before(origin.address);
    let mut idle = edge.connect();
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    told.recv_timeout(PATIENCE).expect("the request is under way");
    edge.signal("TERM");
    assert_eq!(idle.rest().expect("an orderly end"), b"");
    edge.signal("TERM");
    assert_eq!(edge.ended(), Some(0));
    drop(client);
    origin.done();
}
