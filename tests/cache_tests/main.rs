//! Replays the public HTTP cache tests (`../shared/cache-tests`, whose README describes the format) against the layer: in this
//! process, before a scripted origin, in virtual time.
//!
//! There is one trial for each test and preset. A test that does not pass is named in `expected-PRESET.txt`, with the reason: it is
//! a fault if one fails that is not there, and if one is there that passes or does not exist. Tests of the kind `check` are only
//! counted, since they have no right answer.
//!
//! Where the data is absent, the trials are ignored; with `TOWER_CDN_REQUIRE_CACHE_TESTS=1` they fail.
mod client;
mod definition;
mod expected;
mod fields;
mod judge;
mod origin;
mod outcome;
mod preset;
mod reader;
mod replay;
mod session;
mod summary;
mod trials;

use definition::Case;
use libtest_mimic::{Arguments, FormatSetting};
use preset::{Preset, Replay};
use std::{fs, io, process::ExitCode, sync::Arc};

/// Set to 1 where the data must be there.
const REQUIRE: &str = "TOWER_CDN_REQUIRE_CACHE_TESTS";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cache-tests/tests.json");

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let cases = match load() {
        Ok(cases) => cases,
        Err(unread) => {
            let trials = Preset::ALL.map(|preset| trials::without_data(preset, unread.clone()));
            return libtest_mimic::run(&args, trials.into()).exit_code();
        }
    };
    let replays = Preset::ALL.map(|preset| Arc::new(Replay::new(preset, Arc::clone(&cases))));
    let trials = replays.iter().flat_map(trials::of).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    let whole = !args.list && conclusion.num_filtered_out == 0;
    if whole && args.format != Some(FormatSetting::Json) {
        for replay in &replays {
            summary::print(replay);
        }
    }
    conclusion.exit_code()
}

/// Why there are no definitions.
#[derive(Clone, Debug)]
enum Unread {
    Absent,
    Malformed(String),
}

fn load() -> Result<Arc<[Arc<Case>]>, Unread> {
    let text = fs::read_to_string(DATA).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Absent,
        _ => Unread::Malformed(error.to_string()),
    })?;
    let cases = definition::cases(&text).map_err(Unread::Malformed)?;
    Ok(cases.into_iter().map(Arc::new).collect())
}
