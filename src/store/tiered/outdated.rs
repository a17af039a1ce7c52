//! Where far may have what near has replaced.
use crate::{CacheKey, StoredHead, stored::Kind};
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// A table of fixed size: for a share of all keys, how old a response in far must not be. What a mark costs beside its own key is a sixteen-thousandth of
/// what far has, which is fetched again when it is asked for. What is stored after a mark is younger, so that marks need not be taken back.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// Times of [`time`], and one more; zero without a mark.
    slots: OnceLock<Box<[AtomicU64]>>,
    /// The youngest response that was seen. Clocks may be set back: a mark concerns all that was there before it, whatever the clock said then.
    latest: AtomicU64,
}

const SLOTS: u64 = 16 * 1024;

impl Outdated {
    pub(super) fn has_seen(&self, head: &StoredHead) {
        self.latest.fetch_max(time(head), Ordering::SeqCst);
    }

    /// What far has under this key by now is out of date.
    pub(super) fn mark(&self, key: &CacheKey) {
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| AtomicU64::new(0)).collect());
        let before = self.latest.load(Ordering::SeqCst).saturating_add(1);
        slots[slot(key)].fetch_max(before, Ordering::SeqCst);
    }

    pub(super) fn concerns(&self, key: &CacheKey, head: &StoredHead) -> bool {
        self.has_seen(head);
        let slots = self.slots.get();
        slots.is_some_and(|slots| time(head) < slots[slot(key)].load(Ordering::SeqCst))
    }

    /// Far is out of date if this is dropped.
    pub(super) fn unless_settled<'a>(&'a self, key: &'a CacheKey) -> Unsettled<'a> {
        Unsettled { outdated: self, key, is_settled: false }
    }
}

/// When a response was received or last validated. A list of variants has no time: where there is a mark, none is used.
fn time(head: &StoredHead) -> u64 {
    let Kind::Response(head) = &head.kind else { return 0 };
    let time = head.response_time.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn slot(key: &CacheKey) -> usize {
    // Other bits than those that choose a lock.
    ((key.hash64() >> 32) % SLOTS) as usize
}

/// A write of which nobody knows yet whether both tiers have it.
#[derive(Debug)]
pub(super) struct Unsettled<'a> {
    outdated: &'a Outdated,
    key: &'a CacheKey,
    is_settled: bool,
}

impl Unsettled<'_> {
    pub(super) fn settle(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.outdated.mark(self.key);
        }
    }
}
