//! Do two threads answer twice as many hits as one? Reported, not asserted. `benches/README.md` tells how to run it.
mod support;

use http::Response;
use http_body::Body;
use std::{
    env,
    fmt::Debug,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use support::{Ask, Floor, MokaMap, Origin, QuickMap, browser, runtime, send_all};
use tower::{Layer, Service};
use tower_cdn::{CdnCacheLayer, MemoryStore};

const KEYS: usize = 1_000;
const ROUNDS: usize = 9;
const MEASURED: Duration = Duration::from_millis(300);

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        println!("to be run by `cargo bench`");
        return;
    }
    println!("{:<16} {:>14} {:>14} {:>8}", "hits per second", "one thread", "two threads", "ratio");
    let layer = CdnCacheLayer::new(MemoryStore::new(1 << 30));
    compare("tower-cdn", &layer.layer(Origin::new(1024)));
    // What the machine has for two threads that share nothing at all.
    compare("the harness alone", &Origin::new(1024));
    let inner = Origin::new(1024);
    compare("floor over moka", &Floor { map: MokaMap::new(10_000), inner: inner.clone() });
    compare("floor over quick", &Floor { map: QuickMap::new(10_000), inner });
}

/// One and two threads in turn, so that both see the same machine; medians.
fn compare<S, B>(name: &str, service: &S)
where
    S: Service<Ask, Response = Response<B>, Error: Debug> + Clone + Send + Sync,
    B: Body<Data = bytes::Bytes, Error: Debug>,
{
    let asks: Vec<_> = (0..KEYS).map(|number| browser(&format!("/{number}.js?v=3"))).collect();
    runtime().block_on(async {
        send_all(&mut service.clone(), &asks).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    let rounds: Vec<_> =
        (0..ROUNDS).map(|_| (rate(service, &asks, 1), rate(service, &asks, 2))).collect();
    let one = median(rounds.iter().map(|(one, _)| *one));
    let two = median(rounds.iter().map(|(_, two)| *two));
    let ratio = median(rounds.iter().map(|(one, two)| two / one));
    println!("{name:<16} {one:>14.0} {two:>14.0} {ratio:>8.2}");
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate<S, B>(service: &S, asks: &[Ask], threads: usize) -> f64
where
    S: Service<Ask, Response = Response<B>, Error: Debug> + Clone + Send + Sync,
    B: Body<Data = bytes::Bytes, Error: Debug>,
{
    let (start, stop, total) =
        (Barrier::new(threads + 1), AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut service, runtime) = (service.clone(), runtime());
                // Each has its own, so that the harness shares nothing.
                let asks = asks.to_vec();
                start.wait();
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    runtime.block_on(send_all(&mut service, &asks));
                    count += asks.len() as u64;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
        start.wait();
        thread::sleep(MEASURED);
        stop.store(true, Ordering::Relaxed);
    });
    total.into_inner() as f64 / MEASURED.as_secs_f64()
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
