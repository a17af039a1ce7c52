//! What threads share. Where all interleavings are tried (`--cfg tower_cdn_loom`), the locks and atomics are those of loom.
#[cfg(not(all(test, tower_cdn_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};

#[cfg(all(test, tower_cdn_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};
