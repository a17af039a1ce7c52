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
