//! A body of 256 MiB through a miss: when its first byte comes, how fast the rest, and what memory it takes. `benches/README.md` tells how to run it.
mod support;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use std::{
    env,
    fmt::Debug,
    future::poll_fn,
    pin::pin,
    process::{Command, ExitCode},
    sync::atomic::Ordering,
    time::Instant,
};
use support::{
    Ask, FRAME, Long, LongOrigin, Pace, SENT, browser, peak_resident, resident, runtime,
};
use tower::{Layer, Service};
use tower_cdn::{CachePolicy, CdnCacheLayer, MemoryStore};

const FRAMES: usize = 256 * 1024 * 1024 / FRAME;

/// Each in a process of its own, since the peak of memory is the process's.
const KINDS: [(&str, Option<Long>); 4] = [
    ("bare", None),
    ("declined", Some(Long::Declined)),
    ("outgrown", Some(Long::Outgrown)),
    ("stored", Some(Long::Stored)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("to be run by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    if let [name, pace, ..] = arguments.as_slice()
        && let Some((_, kind)) = KINDS.iter().find(|(known, _)| name == known)
    {
        let pace = if pace == WAITING { Pace::Waiting } else { Pace::AtOnce };
        runtime().block_on(stream(*kind, pace));
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<10} {:<10} {:>24} {:>10} {:>20}",
        "256 MiB", "frames", "sent before first byte", "MiB/s", "memory at most, MiB"
    );
    for (name, _) in KINDS {
        for pace in [WAITING, "at-once"] {
            let program = env::current_exe().expect("the path of this program");
            let output =
                Command::new(program).args([name, pace, "--bench"]).output().expect("it runs");
            print!("{name:<10} {pace:<10} {}", String::from_utf8_lossy(&output.stdout));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    ExitCode::SUCCESS
}

const WAITING: &str = "waited-for";

async fn stream(kind: Option<Long>, pace: Pace) {
    let origin = LongOrigin { frames: FRAMES, kind: kind.unwrap_or(Long::Declined), pace };
    let policy = CachePolicy::default().max_object(origin.kind.max_object());
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 30)).policy(policy).build();
    // A task as any other: what is given to `block_on` itself gets its turn more rarely.
    let reader = match kind {
        None => tokio::spawn(read(origin)),
        Some(_) => tokio::spawn(read(layer.layer(origin))),
    };
    reader.await.expect("no panic");
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn read<S, B>(mut service: S)
where
    S: Service<Ask, Response = Response<B>, Error: Debug, Future: Send>,
    B: Body<Data = Bytes, Error: Debug> + Send,
{
    let before = resident();
    let start = now();
    let response = service.call(browser("/long")).await.expect("an answer");
    let mut body = pin!(response.into_body());
    let (mut bytes, mut sent_before_first) = (0, None);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        sent_before_first.get_or_insert_with(|| SENT.load(Ordering::Relaxed));
        bytes += frame.expect("a frame").data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(bytes, FRAMES * FRAME);
    let rate = (bytes >> 20) as f64 / start.elapsed().as_secs_f64();
    let memory = (peak_resident() - before) as f64 / f64::from(1 << 20);
    println!("{:>24} {rate:>10.0} {memory:>20.1}", sent_before_first.unwrap_or_default());
}

#[expect(clippy::disallowed_methods, reason = "a throughput is measured by the clock")]
fn now() -> Instant {
    Instant::now()
}
