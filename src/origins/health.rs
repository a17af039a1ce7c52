//! Whether an origin is asked at all.
use super::FailoverPolicy;
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// What is known of the health of one origin.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// How many probes there were: the number of the latest.
    probes: u64,
}

#[derive(Debug)]
enum State {
    /// It is asked. So many failures in a row so far.
    Up { failures: u32 },
    /// It is skipped until then; afterwards one request probes it.
    Down { until: Instant, failed_probes: u32, probe: Option<u64> },
}

impl Default for State {
    fn default() -> Self {
        Self::Up { failures: 0 }
    }
}

/// How an origin may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Up,
    /// Its pause is over, and nobody probes it.
    Due,
    Down,
}

/// What changed by a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    WentDown,
    CameBack,
}

/// Who reports a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporter {
    /// A request.
    Request,
    /// The probe of this number.
    Probe(u64),
    /// An active check.
    Check,
}

/// The permission to ask an origin once. Dropped without a report it says nothing about the origin.
#[derive(Debug)]
pub(crate) struct Permit {
    health: Arc<Health>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// The one request that may find out whether the origin is back, by its number.
    Probe(u64),
    /// No origin is better.
    LastResort,
}

impl Health {
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.lock().state {
            State::Up { .. } => Standing::Up,
            State::Down { until, probe: None, .. } if until <= now => Standing::Due,
            State::Down { .. } => Standing::Down,
        }
    }

    /// Permission to ask, if it is up, or if it is to be probed and this request may do that.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant, may_probe: bool) -> Option<Permit> {
        let Inner { state, probes } = &mut *self.lock();
        let kind = match state {
            State::Up { .. } => Kind::Ordinary,
            State::Down { until, probe: probe @ None, .. } if may_probe && *until <= now => {
                *probes = probes.wrapping_add(1);
                *probe = Some(*probes);
                Kind::Probe(*probes)
            }
            State::Down { .. } => return None,
        };
        Some(Permit { health: Arc::clone(self), kind })
    }

    /// Permission to ask although it is down, since all are.
    pub(crate) fn admit_anyway(self: &Arc<Self>) -> Permit {
        Permit { health: Arc::clone(self), kind: Kind::LastResort }
    }

    /// When its pause ends, if it is down.
    pub(crate) fn until(&self) -> Option<Instant> {
        match self.lock().state {
            State::Up { .. } => None,
            State::Down { until, .. } => Some(until),
        }
    }

    pub(crate) fn succeeded(&self) -> Change {
        match mem::take(&mut self.lock().state) {
            State::Up { .. } => Change::None,
            State::Down { .. } => Change::CameBack,
        }
    }

    /// Of one that is down only the probe under way and the checks tell something new.
    pub(crate) fn failed(
        &self,
        policy: &FailoverPolicy,
        now: Instant,
        reporter: Reporter,
    ) -> Change {
        let down = |failed_probes| State::Down {
            until: now + policy.nth_pause(failed_probes),
            failed_probes,
            probe: None,
        };
        let state = &mut self.lock().state;
        match state {
            State::Up { failures } => {
                *failures = failures.saturating_add(1);
                if *failures < policy.failures {
                    return Change::None;
                }
                *state = down(0);
                Change::WentDown
            }
            State::Down { failed_probes, probe, .. } => {
                let is_news = match reporter {
                    Reporter::Request => false,
                    Reporter::Probe(number) => *probe == Some(number),
                    Reporter::Check => true,
                };
                if is_news {
                    *state = down(failed_probes.saturating_add(1));
                }
                Change::None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(crate) fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe(_))
    }

    /// The origin answered.
    pub(crate) fn succeeded(self) -> Change {
        self.health.succeeded()
    }

    /// The origin did not answer, or that it is not well.
    pub(crate) fn failed(self, policy: &FailoverPolicy, now: Instant) -> Change {
        let reporter = match self.kind {
            Kind::Probe(number) => Reporter::Probe(number),
            Kind::Ordinary | Kind::LastResort => Reporter::Request,
        };
        self.health.failed(policy, now, reporter)
    }
}

impl Drop for Permit {
    /// A probe without a result leaves its place to the next one. After a report there is nothing to leave.
    fn drop(&mut self) {
        if let Kind::Probe(number) = self.kind
            && let State::Down { probe, .. } = &mut self.health.lock().state
            && *probe == Some(number)
        {
            *probe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    fn fail(health: &Arc<Health>) -> Change {
        let permit = health.admit(Instant::now(), true).expect("it is asked");
        permit.failed(&FailoverPolicy::default(), Instant::now())
    }

    fn fail_often(health: &Arc<Health>) {
        for _ in 0..3 {
            fail(health);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_limit() {
        let health = Arc::<Health>::default();
        assert_eq!([fail(&health), fail(&health)], [Change::None; 2]);
        assert_eq!(fail(&health), Change::WentDown);
        for seconds in [5, 10, 20, 40, 60, 60] {
            advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert_eq!(health.standing(Instant::now()), Standing::Down, "{seconds}");
            assert!(health.admit(Instant::now(), true).is_none());
            advance(Duration::from_millis(1)).await;
            assert_eq!(health.standing(Instant::now()), Standing::Due, "{seconds}");
            fail(&health);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_a_cancelled_one_makes_room() {
        let health = Arc::<Health>::default();
        fail_often(&health);
        advance(Duration::from_secs(5)).await;
        let now = Instant::now();
        assert!(health.admit(now, false).is_none(), "what is sent once does not probe");
        let probe = health.admit(now, true).expect("a probe");
        assert!(health.admit(now, true).is_none());
        drop(probe);
        let probe = health.admit(now, true).expect("the next one");
        assert_eq!(probe.succeeded(), Change::CameBack);
        assert_eq!(health.standing(now), Standing::Up);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_failure_does_not_prolong_the_pause() {
        let health = Arc::<Health>::default();
        let late = health.admit(Instant::now(), true).expect("it is asked");
        fail_often(&health);
        let until = health.until();
        advance(Duration::from_secs(2)).await;
        assert_eq!(late.failed(&FailoverPolicy::default(), Instant::now()), Change::None);
        assert_eq!(health.until(), until);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_probe_frees_only_its_own_place() {
        let health = Arc::<Health>::default();
        fail_often(&health);
        advance(Duration::from_secs(5)).await;
        let probe = health.admit(Instant::now(), true).expect("a probe");
        assert_eq!(health.admit_anyway().succeeded(), Change::CameBack);
        fail_often(&health);
        advance(Duration::from_secs(5)).await;
        let next = health.admit(Instant::now(), true).expect("a probe");
        let until = health.until();
        probe.failed(&FailoverPolicy::default(), Instant::now());
        assert_eq!(health.until(), until, "it tells of another time");
        assert!(health.admit(Instant::now(), true).is_none(), "the next one is under way");
        drop(next);
    }
}
