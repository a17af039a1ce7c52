//! Time: the wall clock of HTTP and a clock that only goes forward.
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Where the cache reads the time.
///
/// Freshness is about the wall clock, since `Date`, `Expires` and `Age` are. Beside it the cache reads tokio's
/// monotonic clock and takes for the time that a response has been stored the larger of what the two say: a wall clock
/// that is set back does not make a response live longer.
///
/// # Example: tests in virtual time
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use tower_cdn::Clock;
/// use std::time::Duration;
///
/// let clock = Clock::tokio();
/// let before = clock.now();
/// tokio::time::advance(Duration::from_secs(60)).await;
/// assert_eq!(clock.now(), before + Duration::from_secs(60));
/// # });
/// ```
#[derive(Clone, Default)]
pub struct Clock(Wall);

#[derive(Clone, Default)]
enum Wall {
    #[default]
    System,
    From(Arc<dyn Fn() -> SystemTime + Send + Sync>),
}

impl Clock {
    /// The clock of the machine; the default.
    pub fn system() -> Self {
        Self::default()
    }

    /// Starts at the machine's time and goes on with [`tokio::time`], hence follows `tokio::time::pause` and `advance`.
    pub fn tokio() -> Self {
        let (wall, start) = (system_now(), Instant::now());
        Self::from_fn(move || wall.checked_add(start.elapsed()).unwrap_or(wall))
    }

    /// The wall clock is what `now` says.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Wall::From(Arc::new(now)))
    }

    /// The wall clock's time.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Wall::System => system_now(),
            Wall::From(now) => now(),
        }
    }

    /// Both clocks at one instant.
    #[inline]
    pub(crate) fn read(&self) -> Moment {
        Moment { wall: self.now(), monotonic: Some(Instant::now()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
fn system_now() -> SystemTime {
    SystemTime::now()
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Wall::System => "Clock(system)",
            Wall::From(_) => "Clock(from_fn)",
        })
    }
}

/// An instant on the wall clock, and on the monotonic one if it was read by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: SystemTime,
    pub(crate) monotonic: Option<Instant>,
}

impl Moment {
    /// `resident_time` of RFC 9111 section 4.2.3: the larger of what the two clocks say. `None` if only the wall clock
    /// can tell and it was set back: how old a response is, is not known then.
    #[inline]
    pub(crate) fn since(&self, earlier: &Self) -> Option<Duration> {
        let wall = self.wall.duration_since(earlier.wall).ok();
        match (self.monotonic, earlier.monotonic) {
            (Some(now), Some(then)) => {
                let monotonic = now.saturating_duration_since(then);
                Some(wall.map_or(monotonic, |wall| wall.max(monotonic)))
            }
            _ => wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s4_2_3_a_clock_step_never_makes_a_response_younger() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let then = Moment { wall: at(1_000), monotonic: Some(Instant::now()) };
        tokio::time::advance(Duration::from_secs(5)).await;
        let monotonic = Some(Instant::now());
        let since = |now: Moment| now.since(&then).map(|d| d.as_secs());
        assert_eq!(since(Moment { wall: at(1_005), monotonic }), Some(5));
        assert_eq!(since(Moment { wall: at(0), monotonic }), Some(5), "set back");
        assert_eq!(since(Moment { wall: at(2_000), monotonic }), Some(1_000), "set forth");
        assert_eq!(since(Moment { wall: at(0), monotonic: None }), None, "nobody knows");
    }
}
