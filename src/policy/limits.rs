//! The bounds on time and memory.
use super::CachePolicy;
use std::time::Duration;

/// The bounds on time and memory.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_object: u64,
    pub(crate) max_head: usize,
    pub(crate) max_variants: usize,
    pub(crate) max_fetches: usize,
    pub(crate) window: usize,
    pub(crate) windows: usize,
    pub(crate) wait_timeout: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) store_timeout: Duration,
    pub(crate) stale_deadline: Option<Duration>,
    pub(crate) unshareable_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_object: 64 * 1024 * 1024,
            max_head: 16 * 1024,
            max_variants: 16,
            max_fetches: 16 * 1024,
            window: 4 * 1024 * 1024,
            windows: 128 * 1024 * 1024,
            wait_timeout: Duration::from_secs(3),
            fetch_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(5),
            store_timeout: Duration::from_secs(2),
            stale_deadline: None,
            unshareable_for: Duration::from_secs(10),
        }
    }
}

impl CachePolicy {
    /// The largest content that is stored, in bytes; larger ones pass through. Default: 64 MiB.
    #[must_use]
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.limits.max_object = bytes;
        self
    }

    /// The most bytes of fields, of a request that takes part and of a response that is stored. Default: 16 KiB.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes;
        self
    }

    /// The most variants of one URI (RFC 9111 section 4.1); the least recently used goes first. Default: 16.
    #[must_use]
    pub fn max_variants(mut self, count: usize) -> Self {
        self.limits.max_variants = count.max(1);
        self
    }

    /// The most fetches under way; above it requests are forwarded without the cache. Default: 16,384.
    #[must_use]
    pub fn max_fetches(mut self, count: usize) -> Self {
        self.limits.max_fetches = count;
        self
    }

    /// The memory that one arriving body may take, in bytes, beside what the store takes. Default: 4 MiB.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.limits.window = bytes;
        self
    }

    /// The memory that all arriving bodies may take together. Above it each of them keeps no more than 64 KiB: slow readers of many bodies cost little.
    /// Default: 128 MiB.
    #[must_use]
    pub fn windows(mut self, bytes: usize) -> Self {
        self.limits.windows = bytes;
        self
    }

    /// How long a request waits for another's fetch before it is forwarded by itself. Default: 3 s.
    #[must_use]
    pub fn wait_timeout(mut self, limit: Duration) -> Self {
        self.limits.wait_timeout = limit;
        self
    }

    /// How long a fetch may wait for a response head before it is shared with nobody any more. The one who started it goes on waiting, as
    /// without a cache. Default: 30 s.
    #[must_use]
    pub fn fetch_timeout(mut self, limit: Duration) -> Self {
        self.limits.fetch_timeout = limit;
        self
    }

    /// How long the body of a fetch may pause before it is shared with nobody else and not stored any more. Those who read it go on waiting, as without a cache.
    /// Default: 30 s.
    #[must_use]
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.limits.body_timeout = limit;
        self
    }

    /// How long, in sum, slow readers of one body may hold up others: those who read along, and as long those who were left behind and wait for the store. Default: 5 s.
    #[must_use]
    pub fn stall_timeout(mut self, limit: Duration) -> Self {
        self.limits.stall_timeout = limit;
        self
    }

    /// How long the cache waits for an answer of the store before it takes it for a miss. Default: 2 s.
    #[must_use]
    pub fn store_timeout(mut self, limit: Duration) -> Self {
        self.limits.store_timeout = limit;
        self
    }

    /// When a stale response answers although the origin may still do so: after this time, where `stale-if-error` would permit it. The
    /// fetch goes on. Default: never.
    #[must_use]
    pub fn stale_deadline(mut self, limit: Duration) -> Self {
        self.limits.stale_deadline = Some(limit);
        self
    }

    /// For how long a key is remembered whose responses cannot be shared, so that nobody waits for one in vain. Default: 10 s.
    #[must_use]
    pub fn unshareable_for(mut self, time: Duration) -> Self {
        self.limits.unshareable_for = time;
        self
    }
}
