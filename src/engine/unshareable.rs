//! Keys whose responses could not be shared a moment ago: nobody waits for one of them in vain.
//!
//! A table of fixed size in which a key that comes later may take the place of another. The worst that a lost or a false memory does is a
//! request that waits for a fetch, or one that does not.
use crate::CacheKey;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

const SLOTS: usize = 1 << 14;

/// Each slot has the upper half of a key's hash, and the second in which the memory ends.
#[derive(Debug)]
pub(crate) struct Unshareable {
    slots: Box<[AtomicU64]>,
    start: Instant,
}

impl Default for Unshareable {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), start: Instant::now() }
    }
}

impl Unshareable {
    pub(crate) fn remember(&self, key: &CacheKey, time: Duration) {
        let until = self.start.elapsed().saturating_add(time).as_millis() / TICK_MS;
        let until = u32::try_from(until).unwrap_or(u32::MAX);
        self.set(key, upper_half(key) | u64::from(until));
    }

    pub(crate) fn forget(&self, key: &CacheKey) {
        if self.remembers(key) {
            self.set(key, 0);
        }
    }

    pub(crate) fn remembers(&self, key: &CacheKey) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        let value = slot.load(Ordering::Relaxed);
        value != 0
            && value & !LOWER_HALF == upper_half(key)
            && self.start.elapsed().as_millis() / TICK_MS < u128::from(value & LOWER_HALF)
    }

    fn set(&self, key: &CacheKey, value: u64) {
        if let Some(slot) = self.slot(key) {
            slot.store(value, Ordering::Relaxed);
        }
    }

    fn slot(&self, key: &CacheKey) -> Option<&AtomicU64> {
        let at = usize::try_from(key.hash64() & LOWER_HALF).unwrap_or_default();
        self.slots.get(at % SLOTS)
    }
}

/// Ticks of a tenth of a second last for 13 years in 32 bits.
const TICK_MS: u128 = 100;
const LOWER_HALF: u64 = u32::MAX as u64;

fn upper_half(key: &CacheKey) -> u64 {
    key.hash64() & !LOWER_HALF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_remembered_for_a_while() {
        let memory = Unshareable::default();
        let (a, b) = (CacheKey::from_bytes(vec![1]), CacheKey::from_bytes(vec![2]));
        assert!(!memory.remembers(&a));
        memory.remember(&a, Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(memory.remembers(&a) && !memory.remembers(&b));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!memory.remembers(&a));
        memory.remember(&a, Duration::from_secs(10));
        memory.forget(&a);
        assert!(!memory.remembers(&a));
    }
}
