//! Random stories of clients, origin and time, judged by the model of `tests/model`: the fuzzer chooses what `cargo test` draws at random.
//!
//! The input: eight bytes from which the setup is drawn, and eight for each step. (One stream of bytes for all of it would be used up soon: proptest's
//! `PassThrough` gives half of what is left to each alternative.) A story that is wrong is printed, and so is one in which something panics.
#![no_main]
#[path = "../../tests/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "what was looked at in all stories is not told here")]
#[path = "../../tests/model/judge.rs"]
mod judge;
#[path = "../../tests/model/origin.rs"]
mod origin;
#[path = "../../tests/model/play.rs"]
mod play;
#[expect(dead_code, reason = "setups and steps are drawn one by one")]
#[path = "../../tests/model/story.rs"]
mod story;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use proptest::{
    strategy::{BoxedStrategy, Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::sync::Mutex;
use story::{Setup, Step, Story};

/// The story that is being played.
static STORY: Mutex<String> = Mutex::new(String::new());

fuzz_target!(init: show_the_story_of_a_panic(), |input: &[u8]| {
    let story = told_by(input);
    *STORY.lock().expect("not poisoned") = format!("{story:?}");
    let record = play::play(&story);
    let wrong = judge::judge(&story, &record);
    assert!(wrong.is_empty(), "What is wrong:\n{}\n\nWhat happened:\n{record}", wrong.join("\n"));
});

thread_local! {
    static SETUPS: BoxedStrategy<Setup> = story::setups().boxed();
    static STEPS: BoxedStrategy<Step> = story::steps().boxed();
    static CONFIG: Config = Config { failure_persistence: None, ..Config::default() };
}

fn told_by(input: &[u8]) -> Story {
    let mut pieces = input.chunks(PIECE).take(MOST);
    let setup = SETUPS.with(|setups| drawn(setups, pieces.next().unwrap_or_default()));
    Story { setup, steps: STEPS.with(|steps| pieces.map(|piece| drawn(steps, piece)).collect()) }
}

fn drawn<T: std::fmt::Debug>(strategy: &BoxedStrategy<T>, piece: &[u8]) -> T {
    // No state of the generator may be zero.
    let mut seed = [0x5a; 16];
    seed[..piece.len()].copy_from_slice(piece);
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed);
    let mut runner = CONFIG.with(|config| TestRunner::new_with_rng(config.clone(), rng));
    strategy.new_tree(&mut runner).expect("nothing is filtered").current()
}

/// Bytes for a setup or a step, and how many of both.
const PIECE: usize = 8;
const MOST: usize = 41;

// One step is drawn anew, left out, told twice or told earlier; now and then the rest of the story is drawn anew.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random((u64::from(seed) << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut pieces: Vec<[u8; PIECE]> = data[..size].as_chunks().0.to_vec();
    let at = random.below(pieces.len() + 1);
    match random.below(12) {
        0 => return fuzzer_mutate(data, size, max_size),
        1 | 2 => {
            pieces.truncate(at);
            (0..random.below(MOST)).for_each(|_| pieces.push(random.piece()));
        }
        3 | 4 if at < pieces.len() => drop(pieces.remove(at)),
        5 | 6 if at < pieces.len() => {
            let to = random.below(pieces.len() + 1);
            pieces.insert(to, pieces[at]);
        }
        7 | 8 if at < pieces.len() => {
            let to = random.below(pieces.len());
            pieces.swap(at, to);
        }
        9 if at < pieces.len() => pieces[at] = random.piece(),
        _ => pieces.insert(at, random.piece()),
    }
    pieces.truncate(MOST.min(max_size / PIECE));
    let bytes = pieces.concat();
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});

/// Pseudo-random numbers, by xorshift.
struct Random(u64);

impl Random {
    fn piece(&mut self) -> [u8; PIECE] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()
    }

    fn below(&mut self, limit: usize) -> usize {
        (u64::from_be_bytes(self.piece()) >> 32) as usize % limit
    }
}

/// Before the process ends: also where a task behind the clients' backs panics.
fn show_the_story_of_a_panic() {
    let end = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match STORY.try_lock() {
            Ok(story) => eprintln!("\nThe story:\n{story}"),
            Err(_) => eprintln!("\nThe story could not be told"),
        }
        end(panic);
    }));
}
