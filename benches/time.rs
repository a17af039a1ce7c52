//! The same cases by the clock. `benches/README.md` tells how to run it.
mod support;

use divan::{Bencher, counter::ItemsCount};
use std::env;
use support::{CASES, Case, runtime};

fn main() {
    if env::args().any(|argument| argument == "--bench") {
        divan::main();
    } else {
        println!("to be run by `cargo bench`");
    }
}

/// An iteration is one run of the case; the items are its requests, or frames.
#[divan::bench(args = CASES, sample_size = 1, sample_count = 20)]
fn case(bencher: Bencher<'_, '_>, case: &Case) {
    let runtime = runtime();
    let mut scene = runtime.block_on((case.set)());
    runtime.block_on(scene(case.rounds));
    bencher
        .counter(ItemsCount::new(case.rounds))
        .with_inputs(|| scene(case.rounds))
        .bench_local_values(|run| runtime.block_on(run));
}
