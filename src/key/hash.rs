//! The hash of a key. Keys come from clients: seeds that nobody else knows keep them from choosing which ones collide.
use foldhash::{SharedSeed, quality::SeedableRandomState};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::LazyLock,
};

/// It costs a quarter of what the hash of the standard library does. Its own seeds come from addresses; these come from the system.
pub(super) fn of(key: &[u8]) -> u64 {
    static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));
    static SEEDED: LazyLock<SeedableRandomState> =
        LazyLock::new(|| SeedableRandomState::with_seed(random(), &SHARED));
    let mut hasher = SEEDED.build_hasher();
    hasher.write(key);
    hasher.finish()
}

fn random() -> u64 {
    RandomState::new().hash_one(())
}
