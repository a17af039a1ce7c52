//! What happens in a story.
use super::{
    SIZES,
    tier::{CALLS, Call},
};
use proptest::prelude::*;

/// One of a few keys.
pub(super) type Name = u8;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put {
        name: Name,
        size: usize,
        time: u64,
        arrives: bool,
        breaks: bool,
    },
    Freshen {
        name: Name,
        time: u64,
    },
    Delete(Name),
    Get(Name),
    /// So many turns for whoever is under way.
    Turns(u8),
    /// One of those who are under way is dropped.
    Drop(u8),
    /// All who are under way come to their end.
    Settle,
    /// A tier forgets.
    Evict {
        near: bool,
        name: Name,
    },
    Fault {
        near: bool,
        call: Call,
    },
    Heal,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let name = || 0..2_u8;
    // Clocks step back.
    let time = || 0..5_u64;
    let put = (name(), prop::sample::select(SIZES.to_vec()), time(), any::<bool>(), 0..8).prop_map(
        |(name, size, time, arrives, n)| Step::Put { name, size, time, arrives, breaks: n == 0 },
    );
    prop_oneof![
        6 => put,
        2 => (name(), time()).prop_map(|(name, time)| Step::Freshen { name, time }),
        2 => name().prop_map(Step::Delete),
        6 => name().prop_map(Step::Get),
        8 => (1..12_u8).prop_map(Step::Turns),
        2 => any::<u8>().prop_map(Step::Drop),
        3 => Just(Step::Settle),
        3 => (any::<bool>(), name()).prop_map(|(near, name)| Step::Evict { near, name }),
        2 => (any::<bool>(), prop::sample::select(CALLS.to_vec()))
            .prop_map(|(near, call)| Step::Fault { near, call }),
        1 => Just(Step::Heal),
    ]
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) seed: u64,
    pub(super) uses: u8,
    pub(super) steps: Vec<Step>,
}

pub(super) fn stories() -> impl Strategy<Value = Story> {
    (any::<u64>(), 1..4_u8, prop::collection::vec(step(), 1..60))
        .prop_map(|(seed, uses, steps)| Story { seed, uses, steps })
}
