//! How often what lies only in far was asked for.
use crate::CacheKey;
use std::sync::atomic::{AtomicU32, Ordering};

/// A table of fixed size, each slot with a count in the low byte and a part of the hash of the key that is counted.
#[derive(Debug)]
pub(super) struct Uses {
    enough: u8,
    slots: Box<[AtomicU32]>,
}

const SLOTS: u64 = 16 * 1024;

impl Uses {
    pub(super) fn new(enough: u8) -> Self {
        let slots = if enough > 1 { SLOTS } else { 0 };
        Self { enough, slots: (0..slots).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Counts one more use. Are there enough?
    pub(super) fn are_enough(&self, key: &CacheKey) -> bool {
        let Some((slot, tag)) = self.slot(key) else { return true };
        let counted = |slot: u32| match slot & COUNT {
            count if slot & !COUNT == tag => tag | count.saturating_add(1).min(COUNT),
            _ => tag | 1,
        };
        let before = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |s| Some(counted(s)));
        let (Ok(before) | Err(before)) = before;
        counted(before) & COUNT >= u32::from(self.enough)
    }

    /// It is in near now. When it leaves, it is counted anew.
    pub(super) fn forget(&self, key: &CacheKey) {
        if let Some((slot, tag)) = self.slot(key) {
            slot.store(tag, Ordering::Relaxed);
        }
    }

    fn slot(&self, key: &CacheKey) -> Option<(&AtomicU32, u32)> {
        let hash = key.hash64();
        let slot = self.slots.get((hash % SLOTS) as usize)?;
        Some((slot, (hash >> 32) as u32 & !COUNT))
    }
}

const COUNT: u32 = 0xff;
