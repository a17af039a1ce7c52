//! Shares of what is bounded.
use super::put::not_stored;
use crate::StoreError;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A share of something that is bounded; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    of: Arc<AtomicU64>,
    share: u64,
}

impl Taken {
    pub(super) fn new(of: &Arc<AtomicU64>) -> Self {
        Self { of: Arc::clone(of), share: 0 }
    }

    pub(super) fn share(&self) -> u64 {
        self.share
    }

    pub(super) fn take(&mut self, more: u64, bound: u64) -> Result<(), StoreError> {
        let before = self.of.fetch_add(more, Ordering::Relaxed);
        self.share = self.share.saturating_add(more);
        if before.saturating_add(more) > bound { Err(not_stored()) } else { Ok(()) }
    }

    pub(super) fn give_back(&mut self, share: u64) {
        let share = share.min(self.share);
        self.of.fetch_sub(share, Ordering::Relaxed);
        self.share = self.share.saturating_sub(share);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.give_back(self.share);
    }
}
