//! The numbers of fetches and rules: one sequence, since the order of the two is all that counts.
//!
//! Numbers and not times, because two things may happen within one tick of a clock. One sequence for all layers, since they may share a store.
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

static LAST: AtomicU64 = AtomicU64::new(0);

/// No process comes that far; a number from a store that is higher is none.
pub(crate) const HIGHEST: u64 = u64::MAX / 4;

/// Higher than all before.
pub(crate) fn next() -> u64 {
    LAST.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// From now on all are higher than this.
pub(crate) fn go_beyond(number: u64) {
    LAST.fetch_max(number.min(HIGHEST), Ordering::Relaxed);
}

/// A number that no earlier process has come to if the clock was not set back and it fetched less than a million times a second: for stores that keep responses but no
/// notes.
pub(crate) fn of_time(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_micros);
    u64::try_from(since).unwrap_or(HIGHEST).min(HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_only_grow() {
        let first = next();
        go_beyond(first.saturating_sub(1));
        assert!(next() > first);
        go_beyond(first.saturating_add(100));
        assert!(next() > first.saturating_add(100));
    }

    #[test]
    fn a_time_is_a_number() {
        let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        assert_eq!(of_time(at(1_700_000_000_000_000)), 1_700_000_000_000_000);
        assert_eq!(of_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
