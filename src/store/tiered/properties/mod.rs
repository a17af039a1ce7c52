//! Random stories of writes, reads, drops, evictions and faults in any interleaving, judged by what each read may have got.
mod story;
mod tier;
mod world;

use super::{super::conformance::key, Tiered};
use futures_util::FutureExt;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use std::{
    cell::RefCell,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Waker},
};
use story::{Step, Story, stories};
use tier::{Dice, Tier};
use world::{Event, Outcome, What, World};

const NEAR_LIMIT: usize = 100;
const SIZES: [usize; 4] = [0, 30, NEAR_LIMIT, 300];

type UnderWay<'a> = Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>;

fn turn(world: &World, under_way: &mut UnderWay<'_>) {
    if under_way.is_empty() {
        return;
    }
    world.tick();
    let at = world.dice.throw(under_way.len() as u64) as usize;
    let mut cx = Context::from_waker(Waker::noop());
    if under_way[at].as_mut().poll(&mut cx).is_ready() {
        drop(under_way.swap_remove(at));
    }
}

fn settle(world: &World, under_way: &mut UnderWay<'_>) {
    for _ in 0..100_000 {
        if under_way.is_empty() {
            return;
        }
        turn(world, under_way);
    }
    panic!("somebody waits for ever");
}

fn play(story: &Story, is_calm: bool) -> Vec<Event> {
    let dice = Dice::new(story.seed);
    let store = Tiered::new(Tier::new(&dice), Tier::new(&dice))
        .near_limit(NEAR_LIMIT as u64)
        .promote_after(story.uses);
    let world = World {
        store,
        dice,
        now: RefCell::default(),
        versions: RefCell::default(),
        events: RefCell::default(),
    };
    let tier = |near| if near { world.store.near() } else { world.store.far() };
    let mut under_way: UnderWay<'_> = Vec::new();
    for step in &story.steps {
        let world = &world;
        match *step {
            Step::Put { name, size, time, arrives, breaks } => {
                under_way.push(Box::pin(world.put(name, size, time, arrives, breaks)));
            }
            Step::Freshen { name, time } => under_way.push(Box::pin(world.freshen(name, time))),
            Step::Delete(name) => under_way.push(Box::pin(world.delete(name))),
            Step::Get(name) => under_way.push(Box::pin(world.get(name).map(drop))),
            Step::Turns(turns) => (0..turns).for_each(|_| turn(world, &mut under_way)),
            Step::Drop(at) if !is_calm && !under_way.is_empty() => {
                let at = usize::from(at) % under_way.len();
                drop(under_way.swap_remove(at));
            }
            Step::Evict { near, name } if near || !is_calm => {
                tier(near).map.lock().unwrap().remove(&key(&name.to_string()));
            }
            Step::Fault { near, call } if !is_calm => tier(near).failing.lock().unwrap().push(call),
            Step::Heal => {
                [true, false].iter().for_each(|near| tier(*near).failing.lock().unwrap().clear())
            }
            Step::Drop(_) | Step::Evict { .. } | Step::Fault { .. } => {}
            Step::Settle => settle(world, &mut under_way),
        }
        if is_calm {
            settle(world, &mut under_way);
        }
    }
    settle(&world, &mut under_way);
    // What lies behind near shows when near forgets.
    [true, false].iter().for_each(|near| tier(*near).failing.lock().unwrap().clear());
    for forgets in [false, true, false] {
        for name in 0..2 {
            if forgets {
                tier(true).map.lock().unwrap().remove(&key(&name.to_string()));
            }
            under_way.push(Box::pin(world.get(name).map(drop)));
            settle(&world, &mut under_way);
        }
    }
    drop(under_way);
    assert_eq!(world.store.gathering.load(Ordering::Relaxed), 0, "all memory is given back");
    world.events.take()
}

/// What is wrong with what the gets of one name got.
fn judge(events: &[Event]) -> Result<(), String> {
    let got = |event: &Event| match event.what {
        What::Get(got) => got,
        _ => None,
    };
    let gets = || events.iter().filter_map(|get| Some((get, got(get)?)));
    let writer = |version| events.iter().find(|event| event.what == What::Version(version));
    for (get, version) in gets() {
        let differs = |(earlier, seen): &(&Event, u32)| {
            let is_write = |event: &&Event| !matches!(event.what, What::Get(_));
            *seen != version
                && earlier.precedes(get)
                && !events
                    .iter()
                    .filter(is_write)
                    .any(|write| !write.precedes(earlier) && !get.precedes(write))
        };
        if let Some((earlier, _)) = gets().find(differs) {
            return Err(format!("{get:?} and {earlier:?}, and nobody wrote meanwhile"));
        }
        let Some(made) = writer(version) else { continue };
        if made.outcome == Outcome::Nothing && made.precedes(get) {
            return Err(format!("{get:?} got what was not stored: {made:?}"));
        }
        let replaces = |write: &&Event| {
            !matches!(write.what, What::Get(_))
                && write.outcome == Outcome::Done
                && made.precedes(write)
                && write.precedes(get)
        };
        if let Some(write) = events.iter().find(replaces) {
            return Err(format!("{get:?} got {made:?}, which is gone since {write:?}"));
        }
        for (earlier, seen) in gets().filter(|(earlier, _)| earlier.precedes(get)) {
            let Some(newer) = writer(seen) else { continue };
            if made.precedes(newer) && newer.precedes(get) {
                return Err(format!("{get:?} got {made:?} after {earlier:?} got {newer:?}"));
            }
        }
    }
    Ok(())
}

fn run(cases: u32, seed: u8, property: impl Fn(Story) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    if let Err(error) = runner.run(&stories(), property) {
        panic!("{error}");
    }
}

fn cases() -> u32 {
    std::env::var("TOWER_CDN_STORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

#[test]
fn what_is_old_never_comes_back() {
    run(cases(), 1, |story| {
        let events = play(&story, false);
        for name in 0..2 {
            let of_name: Vec<_> = events.iter().filter(|e| e.name == name).copied().collect();
            judge(&of_name).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
}

#[test]
fn where_nothing_fails_what_was_put_is_got() {
    run(cases(), 2, |story| {
        let mut stored: [Option<u32>; 2] = [None; 2];
        for event in play(&story, true) {
            let stored = &mut stored[usize::from(event.name)];
            match event.what {
                What::Version(version) if event.outcome == Outcome::Done => *stored = Some(version),
                What::Delete => *stored = None,
                What::Get(got) => prop_assert_eq!(got, *stored),
                What::Version(_) => {}
            }
        }
        Ok(())
    });
}
