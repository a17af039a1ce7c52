//! Hit ratios: `MemoryStore` against exact LRU and S3-FIFO of the same bytes. `benches/README.md` tells how to run it.
mod lru;
mod s3_fifo;
mod store;
mod trace;

use lru::Lru;
use s3_fifo::S3Fifo;
use std::env;
use store::Ours;
use trace::{SEED, scanned, sizes, zipf};

/// A cache of bytes. `true` if the item was there; else it has been offered.
pub(crate) trait Policy {
    fn ask(&mut self, item: u32, bytes: u64) -> bool;
}

const ITEMS: usize = 100_000;
const REQUESTS: usize = 1_000_000;

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        println!("to be run by `cargo bench`");
        return;
    }
    println!("hit ratio in percent; {REQUESTS} requests for {ITEMS} items, seed {SEED}");
    println!("{:<28} {:>10} {:>10} {:>10} {:>10}", "trace", "cache", "tower-cdn", "LRU", "S3-FIFO");
    let of_all = sizes(ITEMS + REQUESTS);
    for (name, trace) in
        [("Zipf(0.9)", zipf(ITEMS, REQUESTS)), ("Zipf(0.9) and scans", scanned(ITEMS, REQUESTS))]
    {
        let total: u64 = of_all[..ITEMS].iter().sum();
        for percent in [1, 10] {
            let capacity = total * percent / 100;
            let ours = ratio(&mut Ours::new(capacity), &trace, &of_all);
            let lru = ratio(&mut Lru::new(capacity), &trace, &of_all);
            let fifo = ratio(&mut S3Fifo::new(capacity), &trace, &of_all);
            println!("{name:<28} {percent:>9}% {ours:>10.2} {lru:>10.2} {fifo:>10.2}");
        }
    }
}

/// In percent, of the second half: the first one fills the cache.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn ratio(policy: &mut impl Policy, trace: &[u32], sizes: &[u64]) -> f64 {
    let (first, second) = trace.split_at(trace.len() / 2);
    for item in first {
        policy.ask(*item, sizes[*item as usize]);
    }
    let hits = second.iter().filter(|item| policy.ask(**item, sizes[**item as usize])).count();
    100.0 * hits as f64 / second.len() as f64
}
