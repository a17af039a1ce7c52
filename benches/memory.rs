//! Resident memory for each stored response of 1 KiB with ten fields. `benches/README.md` tells how to run it.
mod support;

use std::{
    env,
    process::{Command, ExitCode},
};
use support::{Floor, MokaMap, Origin, QuickMap, browser, resident, runtime, send_all};
use tower::Layer;
use tower_cdn::{CdnCacheLayer, MemoryStore};

const COUNT: u64 = 200_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("to be run by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match arguments.first().map(String::as_str) {
        Some("tower-cdn") => tower_cdn(),
        Some("moka") => floor(MokaMap::new(2 * COUNT)),
        Some("quick") => floor(QuickMap::new(400_000)),
        _ => all(),
    }
    ExitCode::SUCCESS
}

/// Each in a process of its own, since what another one has freed would count for less.
fn all() {
    println!("{:<16} {:>16} {:>16}", "bytes for each", "resident", "weigher's sum");
    for (name, of) in
        [("tower-cdn", "tower-cdn"), ("floor over moka", "moka"), ("floor over quick", "quick")]
    {
        let program = env::current_exe().expect("the path of this program");
        let output = Command::new(program).args([of, "--bench"]).output().expect("it runs");
        print!("{name:<16} {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn tower_cdn() {
    let store = MemoryStore::new(4 << 30);
    let layer = CdnCacheLayer::new(store.clone());
    let (mut service, handle) = (layer.layer(Origin::new(1024)), layer.handle());
    let runtime = runtime();
    let mut fill = |numbers| {
        for number in numbers {
            runtime.block_on(async {
                send_all(&mut service, &[browser(&url(number))]).await;
                while handle.stats().fetches > 0 {
                    tokio::task::yield_now().await;
                }
            });
        }
    };
    fill(0..1_000);
    let before = (resident(), store.weight());
    fill(1_000..1_000 + COUNT);
    let weight = store.weight() - before.1;
    println!("{:>16} {:>16}", (resident() - before.0) / COUNT, weight / COUNT);
    assert_eq!(store.len(), 1_000 + COUNT);
}

fn floor(map: impl support::Map) {
    let mut service = Floor { map, inner: Origin::new(1024) };
    let runtime = runtime();
    let mut fill = |numbers| {
        for number in numbers {
            runtime.block_on(send_all(&mut service, &[browser(&url(number))]));
        }
    };
    fill(0..1_000);
    let before = resident();
    fill(1_000..1_000 + COUNT);
    println!("{:>16} {:>16}", (resident() - before) / COUNT, "-");
}

fn url(number: u64) -> String {
    format!("/stored/{number:07}.js?v=3")
}
