//! Writes to one key, one after the other.
use super::outdated::Outdated;
use crate::CacheKey;
use std::sync::{
    self, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{Mutex, MutexGuard};

/// Keys share a lock with a thousandth of all others. It is held for as long as a store takes to write what is in memory, never while content arrives.
#[derive(Debug)]
pub(super) struct Turns(Box<[Stripe]>);

#[derive(Debug, Default)]
struct Stripe {
    lock: Mutex<()>,
    /// Turns that ended.
    writes: AtomicU64,
    /// Hashes of the keys that are written without a turn.
    alone: sync::Mutex<Vec<u64>>,
}

const STRIPES: u64 = 1024;

impl Default for Turns {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

impl Turns {
    fn stripe(&self, hash: u64) -> &Stripe {
        &self.0[(hash % STRIPES) as usize]
    }

    pub(super) async fn take(&self, key: &CacheKey) -> Turn<'_> {
        self.stripe(key.hash64()).take().await
    }

    pub(super) async fn take_for_note(&self, number: u64) -> Turn<'_> {
        self.stripe(number).take().await
    }

    /// To be compared by [`take_if`](Self::take_if). A write that is under way will have ended then.
    pub(super) fn writes(&self, key: &CacheKey) -> u64 {
        self.stripe(key.hash64()).writes.load(Ordering::SeqCst)
    }

    /// A turn, if nobody writes now, and no more than so many have.
    pub(super) fn take_if(&self, key: &CacheKey, writes: u64) -> Option<Turn<'_>> {
        let stripe = self.stripe(key.hash64());
        let lock = stripe.lock.try_lock().ok()?;
        let is_alone = stripe.alone().contains(&key.hash64());
        let is_first = stripe.writes.load(Ordering::SeqCst) == writes;
        (is_first && !is_alone).then(|| Turn { stripe, _lock: lock })
    }
}

impl Stripe {
    async fn take(&self) -> Turn<'_> {
        Turn { _lock: self.lock.lock().await, stripe: self }
    }

    fn alone(&self) -> sync::MutexGuard<'_, Vec<u64>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody else writes to this key.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    stripe: &'a Stripe,
    _lock: MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    /// Ends the turn; what follows goes on without one.
    pub(super) fn alone_from_here(self, outdated: &'a Outdated, key: &'a CacheKey) -> Alone<'a> {
        let stripe = self.stripe;
        stripe.alone().push(key.hash64());
        // With this turn, which ends now. Read while it lasts: the one behind it may have ended by the time it is gone.
        let writes = stripe.writes.load(Ordering::SeqCst).wrapping_add(1);
        drop(self);
        Alone { stripe, writes, outdated, key, is_settled: false }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // The lock is released after this.
        self.stripe.writes.fetch_add(1, Ordering::SeqCst);
    }
}

/// A write to far without a turn. Near had nothing when it began, and nothing is copied meanwhile. If it is dropped, far may have what nobody was told of, which is
/// good as long as nobody else may have written.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    stripe: &'a Stripe,
    writes: u64,
    outdated: &'a Outdated,
    key: &'a CacheKey,
    is_settled: bool,
}

impl Alone<'_> {
    /// It came to an end that is known.
    pub(super) fn settle(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // What was read before this is not copied after it.
        let writes = self.stripe.writes.fetch_add(1, Ordering::SeqCst);
        if !self.is_settled && (writes != self.writes || self.stripe.lock.try_lock().is_err()) {
            self.outdated.mark(self.key);
        }
        let mut alone = self.stripe.alone();
        if let Some(at) = alone.iter().position(|hash| *hash == self.key.hash64()) {
            alone.swap_remove(at);
        }
    }
}
