//! Allocations of each case, counted by the allocator. `benches/README.md` tells how to run it.
mod support;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, process::ExitCode};
use support::{Arguments, Case, Ceilings, Column, callgrind::each, net, runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::read() else {
        println!("to be run by `cargo bench`");
        return ExitCode::SUCCESS;
    };
    let cases = arguments.cases();
    let gross: Vec<_> = cases.iter().map(|case| count(case)).collect();
    let counts = net(&cases, &gross);
    let ceilings = Ceilings::read(Column::Allocations);
    if arguments.set { ceilings.set(&counts) } else { ceilings.judge(&counts) }
}

/// Allocations and reallocations of one request.
fn count(case: &Case) -> f64 {
    let runtime = runtime();
    let mut scene = runtime.block_on((case.set)());
    runtime.block_on(scene(case.rounds));
    let run = scene(case.rounds);
    let region = Region::new(ALLOCATOR);
    let requests = runtime.block_on(run);
    let change = region.change();
    drop(requests);
    each((change.allocations + change.reallocations) as u64, case)
}
