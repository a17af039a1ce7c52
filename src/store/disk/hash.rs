//! Hashes of keys, and numbers that nobody can foresee.
use std::hash::{BuildHasher, RandomState};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Under which a key lies in the index. Keys come from clients: the seed, drawn when the store was made, keeps them from choosing which ones collide. Those
/// that do take each other's place, since a row has its key in full.
pub(super) fn of_key(key: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// The seed of the checksum of a row or note: at another place, or in another store, it is damaged.
pub(super) fn seed_at(hash: u64, seed: u64) -> u64 {
    hash.rotate_left(32) ^ seed
}

/// Drawn at random.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
