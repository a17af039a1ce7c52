//! Random stories of clients, origin and time, judged by a small model of what a shared cache may do.
//!
//! `cargo test` plays a fixed set of stories. `TOWER_CDN_STORIES=10000` plays so many new ones and prints their seed; `TOWER_CDN_SEED` plays those of a
//! seed again. A story that fails is printed as a list of steps, after all that does not matter was left out.
mod support;

#[path = "model/judge.rs"]
mod judge;
#[path = "model/origin.rs"]
mod origin;
#[path = "model/play.rs"]
mod play;
#[path = "model/story.rs"]
mod story;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::{
    env,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// The number of stories in `cargo test`.
const STORIES: u32 = 256;

static PANICS: AtomicU64 = AtomicU64::new(0);

#[test]
fn whose_bytes_did_i_get_and_was_that_allowed() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (stories, seed) = (number("TOWER_CDN_STORIES"), number("TOWER_CDN_SEED"));
    let seed = match (stories, seed) {
        (_, Some(seed)) => seed,
        (Some(_), None) => RandomState::new().hash_one(0),
        (None, None) => 0,
    };
    if stories.is_some() {
        println!("TOWER_CDN_SEED={seed}");
    }
    let cases = stories.map_or(STORIES, |count| u32::try_from(count).expect("not so many"));
    let config =
        Config { cases, max_shrink_iters: 4_000, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);

    // A panic of a task behind the clients' backs is a failure as well, and stories that shrink shall not fill the terminal.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::SeqCst);
    }));
    let result = TestRunner::new_with_rng(config, rng).run(&story::stories(), |story| {
        let panics = PANICS.load(Ordering::SeqCst);
        let record = play::play(&story);
        let mut wrong = judge::judge(&story, &record);
        if PANICS.load(Ordering::SeqCst) > panics {
            wrong.push("something panicked".to_owned());
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("{}\n\nWhat happened:\n{record}", wrong.join("\n"))))
        }
    });
    std::panic::set_hook(before);
    match result {
        Ok(()) => println!("{cases} stories, {}", judge::Seen::total()),
        Err(TestError::Fail(reason, story)) => {
            panic!("seed {seed}\n\nThe story:\n{story:?}\nWhat is wrong:\n{reason}")
        }
        Err(error) => panic!("{error}"),
    }
}
