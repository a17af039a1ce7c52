//! What is on the disk outlives the process.

use crate::support::{Edge, Origin, run};

#[test]
fn what_was_stored_is_a_hit_after_a_restart() {
    let origin = Origin::answering(
        1,
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nAge: 30\r\nContent-Length: 5\r\n\r\nhello",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let disk = directory.path().to_str().expect("text");
    let url = format!("http://{}", origin.address);
    let args = ["--origin", &url, "--disk", disk, "--disk-size", "64MiB"];
    for turn in 0..3 {
        let mut edge = Edge::with(&args);
        let response = edge.get("/");
        assert_eq!((response.status(), &response.body[..]), (200, &b"hello"[..]), "{turn}");
        if turn > 0 {
            let age: u64 = response.field("age").expect("Age").parse().expect("a number");
            assert!((30..90).contains(&age), "{age}");
        }
        edge.signal("TERM");
        assert_eq!(edge.ended(), Some(0), "{turn}");
    }
    origin.done();
}

#[test]
fn what_was_stored_is_a_hit_after_a_kill() {
    // Too large for the memory in front, so that a hit tells that the disk has it.
    const LENGTH: usize = 3 << 20;
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        edge.request();
        edge.send(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nAge: 30\r\nContent-Length: {LENGTH}\r\n\r\n"
        ));
        edge.send((0..LENGTH).map(|n| n as u8).collect::<Vec<_>>());
    });
    let directory = tempfile::tempdir().expect("a directory");
    let disk = directory.path().to_str().expect("text");
    let url = format!("http://{}", origin.address);
    let args = ["--origin", &url, "--disk", disk, "--disk-size", "64MiB"];
    for turn in 0..4 {
        let mut edge = Edge::with(&args);
        loop {
            let response = edge.get("/");
            assert_eq!((response.status(), response.body.len()), (200, LENGTH), "{turn}");
            assert!(response.body.iter().enumerate().all(|(n, byte)| *byte == n as u8), "{turn}");
            let age: u64 = response.field("age").expect("Age").parse().expect("a number");
            assert!((30..90).contains(&age), "{age}");
            // Until it is stored they are answered by the one fetch, and there is no other.
            let is_hit = response.field("cache-status").expect("a field").contains("hit");
            assert!(is_hit || turn == 0, "{turn}");
            if is_hit {
                break;
            }
        }
        edge.signal("KILL");
        assert_eq!(edge.ended(), None, "killed");
    }
    origin.done();
}

#[test]
fn a_directory_in_use_is_refused() {
    let origin = Origin::script(drop);
    let directory = tempfile::tempdir().expect("a directory");
    let disk = directory.path().to_str().expect("text");
    let url = format!("http://{}", origin.address);
    let _edge = Edge::with(&["--origin", &url, "--disk", disk]);
    let output = run(&["--listen", "127.0.0.1:0", "--origin", &url, "--disk", disk]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(disk), "{stderr}");
    origin.done();
}
