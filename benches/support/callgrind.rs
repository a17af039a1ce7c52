//! Counts instructions: each case in a process of its own under callgrind, as many at a time as there are processors.
use super::{cases::Case, pace::runtime, request::Ask, scenes::Run};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use tokio::runtime::Runtime;

/// Tells the process that callgrind watches which case it is to run.
const CASE: &str = "TOWER_CDN_BENCH_CASE";

/// The case that this process is to run, if it is one of those.
pub(crate) fn case_to_run() -> Option<String> {
    env::var(CASE).ok()
}

/// Sets one case and runs it, in the function at which callgrind starts and stops.
pub(crate) fn run(case: &Case) {
    let runtime = runtime();
    let mut scene = runtime.block_on((case.set)());
    runtime.block_on(scene(case.rounds));
    drop(counted(&runtime, scene(case.rounds)));
}

#[inline(never)]
fn counted(runtime: &Runtime, run: Run) -> Vec<Ask> {
    runtime.block_on(run)
}

/// Instructions of one request of each case. The profiles stay in the folder.
pub(crate) fn count(cases: &[&Case], folder: &Path) -> Vec<f64> {
    fs::create_dir_all(folder).expect("a folder for the profiles");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counts = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            counts.push((case.name, count_one(case, folder)));
        }
        counts
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let counts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let count = |case: &&Case| counts.iter().find(|(name, _)| *name == case.name);
    cases.iter().filter_map(count).map(|(_, count)| *count).collect()
}

fn count_one(case: &Case, folder: &Path) -> f64 {
    let profile = folder.join(format!("{}.out", case.name.replace('/', "-")));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*callgrind::counted*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe().expect("the path of this program"))
        .env(CASE, case.name)
        // Else memcpy of more than some KiB is one instruction that callgrind counts once for each byte.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1073741824")
        .output()
        .expect("valgrind runs: it is a package of that name");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {errors}");
    each(total(&profile), case)
}

fn total(profile: &PathBuf) -> u64 {
    let text = fs::read_to_string(profile).expect("a profile");
    let line = text.lines().find_map(|line| line.strip_prefix("totals:")).expect("a total");
    let total = line.trim().parse().expect("a number");
    assert!(total > 0, "callgrind has found the function that is counted");
    total
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn each(total: u64, case: &Case) -> f64 {
    total as f64 / case.rounds as f64
}
