//! Field values that many responses have in common: made once, and then shared.
use crate::{CacheStatus, semantics::fields::MAX_DELTA};
use http::HeaderValue;
use std::{
    sync::{LazyLock, Mutex},
    time::Duration,
};

/// `Age` (RFC 9111 section 5.1), with the largest number that section 1.2.2 knows.
#[inline]
pub(super) fn age_value(age: Duration) -> HeaderValue {
    /// Most responses are young: these are the values of the first hour.
    static YOUNG: LazyLock<Box<[HeaderValue]>> =
        LazyLock::new(|| (0_u64..3600).map(HeaderValue::from).collect());
    let seconds = age.as_secs().min(MAX_DELTA);
    let young = usize::try_from(seconds).ok().and_then(|at| YOUNG.get(at));
    young.cloned().unwrap_or_else(|| seconds.into())
}

/// Values of `Cache-Status`: those that were made last. Most responses at one time have one of few.
#[derive(Debug)]
pub(super) struct CacheStatuses(Box<[Mutex<Made>]>);

/// The value for that status.
type Made = Option<(CacheStatus, HeaderValue)>;

impl Default for CacheStatuses {
    fn default() -> Self {
        Self((0..=u8::MAX).map(|_| Mutex::default()).collect())
    }
}

impl CacheStatuses {
    /// The value for a cache of this name, which is always the same.
    #[inline]
    pub(super) fn value(&self, name: &str, status: CacheStatus) -> Option<HeaderValue> {
        // Nobody waits for another thread: a value is made in no time.
        let slot = self.0.get(slot(&status)).and_then(|slot| slot.try_lock().ok());
        let Some(mut made) = slot else { return status.to_value(name) };
        match &*made {
            Some((of, value)) if *of == status => Some(value.clone()),
            _ => {
                let value = status.to_value(name)?;
                *made = Some((status, value.clone()));
                Some(value)
            }
        }
    }
}

/// Hits differ by the seconds of life that are left, others mostly by what else is known of them.
fn slot(status: &CacheStatus) -> usize {
    let [seconds, ..] = status.ttl.unwrap_or_default().to_le_bytes();
    let forward = status.forward.map_or(0, |forward| (forward as u8).wrapping_add(1) << 4);
    let rest = u8::from(status.stored) << 1 | u8::from(status.collapsed) << 2;
    usize::from(seconds ^ forward ^ rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::cache_status::{Detail, Forward};

    #[test]
    fn values_that_are_shared_are_those_that_would_be_made() {
        let statuses = CacheStatuses::default();
        for ttl in [0, 1, 257, 1, -255, i64::MAX, i64::MIN] {
            let hit = CacheStatus::hit(ttl);
            let others = [
                CacheStatus { collapsed: true, ..hit },
                hit.detail_of(Detail::StaleIfError),
                CacheStatus { ttl: Some(ttl), ..CacheStatus::forwarded(Forward::Stale) },
            ];
            for status in [hit, hit].into_iter().chain(others) {
                assert_eq!(statuses.value("edge", status), status.to_value("edge"));
            }
        }
        for seconds in [0, 1, 3599, 3600, MAX_DELTA, u64::MAX] {
            let value = age_value(Duration::from_secs(seconds));
            assert_eq!(value, seconds.min(MAX_DELTA).to_string());
        }
    }
}
