//! What an operator gets for an invalidation.
use std::time::SystemTime;

/// An invalidation that is in force: what [`Handle`](crate::Handle) gives for one.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let handle = tower_cdn::CdnCacheLayer::in_memory(1024 * 1024).handle();
/// let first = handle.invalidate_all().await.unwrap();
/// let second = handle.invalidate_tags(["news"]).await.unwrap();
/// assert!(first.number() < second.number());
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) number: u64,
    pub(crate) time: SystemTime,
    pub(crate) is_durable: bool,
}

impl Receipt {
    /// Its number: higher than those of all invalidations before, also of those before a restart if the store keeps them.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When it was made, by the clock of the layer.
    pub const fn time(&self) -> SystemTime {
        self.time
    }

    /// The store has all that it has to know: the old responses do not come back by a restart either. False if it failed; the invalidation is in force nevertheless, and
    /// the store is told again for a minute.
    pub const fn is_durable(&self) -> bool {
        self.is_durable
    }
}
