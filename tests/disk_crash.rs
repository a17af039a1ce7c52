//! A process that uses a store is killed at any moment, 200 times, under load and with constant eviction. Whatever is found then is what was put, byte for byte;
//! what was deleted or replaced does not come back; notes are there; and the store still writes.
//!
//! The process is this program itself. It tells what it begins (`p`, `f`, `d`, `n`) and what was done (`P`, `F`, `D`, `N`; `X` for a put that failed), a line each.
//! `TOWER_CDN_KILLS` sets another number.
#[path = "disk/support.rs"]
mod support;

use bytes::Bytes;
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};
use support::{Dice, Heads, content, disk_usage, key, read, response, settled, version_of};
use tower_cdn::{
    Store, StoredHead,
    store::{DiskBuilder, DiskStore},
};

const CAPACITY: u64 = 4 << 20;
const KEYS: u64 = 400;
const TASKS: u64 = 4;
/// Versions of one round.
const ROUND: u64 = 1_000_000;
const CHILD: &str = "TOWER_CDN_CRASH_CHILD";

fn main() -> ExitCode {
    if let Ok(directory) = env::var(CHILD) {
        let round = env::var("ROUND").expect("a round").parse().expect("a number");
        runtime().block_on(work(Path::new(&directory), round));
        return ExitCode::SUCCESS;
    }
    let kills = env::var("TOWER_CDN_KILLS").map_or(200, |n| n.parse().expect("a number"));
    let trial = Trial::test("killed_at_any_moment", move || {
        runtime().block_on(kill_often(kills)).map_err(Failed::from)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn store(directory: &Path) -> DiskBuilder {
    DiskStore::builder(directory.join("store"), CAPACITY).part_size(32 << 10)
}

/// What may lie under a key.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// What was done last; none if it was deleted.
    last: Option<(u64, bool)>,
    /// What was begun since.
    since: Vec<(u64, bool)>,
}

#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<u64, Expected>,
    /// Those that were done, and those that were begun.
    notes: BTreeMap<u64, Option<bool>>,
    done: u64,
}

impl Model {
    fn read(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (Some(what), Some(key), Some(version)) = (words.next(), words.next(), words.next())
        else {
            return;
        };
        let (Ok(key), Ok(version)) = (key.parse(), version.parse()) else { return };
        let expected = self.keys.entry(key).or_default();
        self.done += u64::from(what == "P");
        match what {
            "p" => expected.since.push((version, false)),
            "f" => expected.since.push((version, true)),
            "d" => {}
            "P" => *expected = Expected { last: Some((version, false)), since: Vec::new() },
            "F" => *expected = Expected { last: Some((version, true)), since: Vec::new() },
            "X" | "D" => *expected = Expected::default(),
            "n" | "w" => _ = self.notes.insert(version, None),
            "N" => _ = self.notes.insert(version, Some(true)),
            "W" => _ = self.notes.insert(version, Some(false)),
            _ => panic!("{line}"),
        }
    }

    fn check(&self, key: u64, version: u64, is_update: bool) -> Result<(), String> {
        let expected = self.keys.get(&key).cloned().unwrap_or_default();
        let found = (version, is_update);
        if expected.last == Some(found) || expected.since.contains(&found) {
            Ok(())
        } else {
            Err(format!("key {key} gives {found:?}, and not any of {expected:?}"))
        }
    }
}

async fn kill_often(kills: u64) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let directory = directory.path();
    let heads = Heads::make(8).await;
    for (n, heads) in heads.iter().enumerate() {
        for (name, head) in [("first", &heads.first), ("update", &heads.update)] {
            fs::write(directory.join(format!("{name}{n}")), head.to_bytes()).expect("a record");
        }
    }
    let mut model = Model::default();
    let mut dice = Dice(kills);
    let (mut found, mut opened) = (0_u64, 0_u64);
    for round in 1..=kills {
        run_and_kill(directory, round, Duration::from_millis(20 + dice.roll(280)), &mut model)?;
        // The next process looks first every other time, so that opening is interrupted as well.
        if round % 2 == 0 || round == kills {
            opened += 1;
            found += examine(directory, &heads, &model, round).await?;
        }
    }
    println!("{kills} kills, {} responses put, {found} found in {opened} openings", model.done);
    if found < opened * 10 { Err(format!("only {found} responses were found")) } else { Ok(()) }
}

fn run_and_kill(
    directory: &Path,
    round: u64,
    after: Duration,
    model: &mut Model,
) -> Result<(), String> {
    let program: PathBuf = env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .env(CHILD, directory)
        .env("ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect());
    std::thread::sleep(after);
    child.kill().map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let lines: Vec<String> = reader.join().expect("a reader");
    if status.code().is_some() {
        return Err(format!("round {round}: {status}: {:?}", lines.last()));
    }
    // The last line may be torn.
    lines.iter().filter_map(|line| line.strip_suffix(';')).for_each(|line| model.read(line));
    Ok(())
}

/// Looks at everything, and whether the store still works.
async fn examine(
    directory: &Path,
    heads: &[Heads],
    model: &Model,
    round: u64,
) -> Result<u64, String> {
    let store = store(directory).open().map_err(|error| format!("round {round}: {error:?}"))?;
    let mut found = 0;
    for n in 0..KEYS {
        let got = store.get(&key(n)).await.map_err(|error| format!("{error:?}"))?;
        let Some(got) = got else { continue };
        let bytes = read(&got.content).await.ok_or("content ends early")?;
        let version = version_of(n, &bytes).ok_or_else(|| format!("key {n} has other content"))?;
        let is_update = which(heads, version, &got.head)?;
        model.check(n, version, is_update)?;
        found += 1;
    }
    let notes: BTreeMap<u64, Bytes> = store.notes().into_iter().collect();
    for (number, state) in &model.notes {
        if state.is_some_and(|is_there| is_there != notes.contains_key(number)) {
            return Err(format!("note {number} should be: {state:?}"));
        }
    }
    for n in 0..3 {
        let (n, version) = (KEYS + n, round * ROUND);
        let bytes = content(n, version, 50_000);
        let head = &heads[version as usize % heads.len()].first;
        store.put(&key(n), response(head, bytes)).await.map_err(|error| {
            format!("round {round}: the store does not write any more: {error:?} {store:?}")
        })?;
        // While the index is compacted, which may follow, nothing is found.
        settled(&store).await;
        let got = store.get(&key(n)).await.map_err(|error| format!("{error:?}"))?;
        let got = got.ok_or_else(|| format!("what was put is not there: {store:?}"))?;
        let bytes = read(&got.content).await.ok_or("content ends early")?;
        assert_eq!(version_of(n, &bytes), Some(version));
    }
    settled(&store).await;
    let usage = disk_usage(&directory.join("store"));
    if usage > CAPACITY + CAPACITY / 20 {
        return Err(format!("{usage} bytes are on the disk: {store:?}"));
    }
    // Sometimes it is closed, mostly it just ends.
    if round.is_multiple_of(3) {
        store.close().await.map_err(|error| format!("{error:?}"))?;
    }
    Ok(found)
}

fn which(heads: &[Heads], version: u64, head: &StoredHead) -> Result<bool, String> {
    let heads = &heads[version as usize % heads.len()];
    match head {
        head if *head == heads.first => Ok(false),
        head if *head == heads.update => Ok(true),
        _ => Err(format!("version {version} has the head of another")),
    }
}

/// Puts, freshens, deletes, gets, until it is killed.
async fn work(directory: &Path, round: u64) {
    let record = |name: &str, n: usize| {
        let record = fs::read(directory.join(format!("{name}{n}"))).expect("a record");
        StoredHead::from_bytes(record).expect("a head")
    };
    let heads: Vec<Heads> =
        (0..8).map(|n| Heads { first: record("first", n), update: record("update", n) }).collect();
    let store = store(directory).open().expect("a store");
    let tasks = (0..TASKS).map(|task| {
        let (store, heads) = (store.clone(), heads.clone());
        tokio::spawn(async move { use_keys(&store, &heads, task, round).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        if let Err(error) = task.await {
            tell("!", 0, 0);
            eprintln!("{error}");
            std::process::exit(3);
        }
    }
}

async fn use_keys(store: &DiskStore, heads: &[Heads], task: u64, round: u64) {
    let mut dice = Dice(round << 8 | task);
    let mut has = BTreeMap::new();
    for n in 0.. {
        let (k, version) =
            (dice.roll(KEYS / TASKS) * TASKS + task, round * ROUND + n * TASKS + task);
        let heads_of = |version: u64| &heads[version as usize % heads.len()];
        match dice.roll(20) {
            0..12 => {
                tell("p", k, version);
                let bytes = content(k, version, dice.length());
                let done = store.put(&key(k), response(&heads_of(version).first, bytes)).await;
                tell(if done.is_ok() { "P" } else { "X" }, k, version);
                has.insert(k, done.is_ok().then_some((version, false)));
            }
            12..14 => {
                let Some(Some((version, _))) = has.get(&k).copied() else { continue };
                tell("f", k, version);
                let done = store.freshen(&key(k), heads_of(version).update.clone()).await;
                if done.expect("freshen must not fail") {
                    tell("F", k, version);
                    has.insert(k, Some((version, true)));
                }
            }
            14..16 => {
                tell("d", k, 0);
                store.delete(&key(k)).await.expect("delete must not fail");
                tell("D", k, 0);
                has.insert(k, None);
            }
            16 => {
                let (began, done, note) = match dice.roll(2) {
                    0 => ("w", "W", None),
                    _ => ("n", "N", Some(Bytes::from_static(b"a rule"))),
                };
                let number = dice.roll(5) * TASKS + task;
                tell(began, 0, number);
                store.note(number, note).await.expect("note must not fail");
                tell(done, 0, number);
            }
            _ => {
                let Some(got) = store.get(&key(k)).await.expect("get must not fail") else {
                    continue;
                };
                let bytes = read(&got.content).await.expect("content is whole");
                let version = version_of(k, &bytes).expect("content is of the key");
                let is_update = which(heads, version, &got.head).expect("its head");
                if let Some(expected) = has.get(&k) {
                    assert_eq!(*expected, Some((version, is_update)), "key {k}");
                }
            }
        }
    }
}

fn tell(what: &str, key: u64, version: u64) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what} {key} {version};\n").as_bytes()).expect("somebody listens");
}
