//! Instructions of each case, counted by callgrind. `benches/README.md` tells how to run it.
mod support;

use std::{path::Path, process::ExitCode};
use support::{Arguments, Ceilings, Column, callgrind, find, net};

fn main() -> ExitCode {
    if let Some(name) = callgrind::case_to_run() {
        callgrind::run(find(&name));
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = Arguments::read() else {
        println!("to be run by `cargo bench`");
        return ExitCode::SUCCESS;
    };
    let cases = arguments.cases();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind");
    let counts = net(&cases, &callgrind::count(&cases, &folder));
    println!("profiles for callgrind_annotate are in {}", folder.display());
    let ceilings = Ceilings::read(Column::Instructions);
    if arguments.set { ceilings.set(&counts) } else { ceilings.judge(&counts) }
}
