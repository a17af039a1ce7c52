//! Who leads and who follows: the seat of one request (RFC 9111 section 4, collapsed requests).
use super::{
    Engine,
    begin::Asked,
    flight::{Elsewhere, Fit, Landed, Landing, Lead, Seat, Supply},
    look_up::LookUp,
};
use crate::{
    invalidation::Validity,
    semantics::{cache_status::Detail, reuse::Verdict},
    stored::Membership,
};
use std::time::Duration;
use tokio::{
    sync::oneshot::{self, error::RecvError},
    time::{Instant, error::Elapsed, timeout_at},
};

/// What came of looking for a seat.
pub(super) enum Place {
    Lead(Lead, Box<LookUp>),
    Shared(Landed, Supply),
    /// It goes past the cache, for this reason if there is one to tell.
    Alone(Option<Detail>, Box<LookUp>),
}

/// How often a request looks for a seat: at first, once more if its variant lies elsewhere, and once more if the fetch it waited for
/// failed.
const SEATS: usize = 3;

/// A limit that an operator meant as "none"; an instant that far ahead still exists.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Engine {
    /// Leads or waits, for no longer than the policy says; `early` is when what is stale answers.
    pub(super) async fn find_seat(
        &self,
        asked: &Asked,
        mut look: Box<LookUp>,
        early: Option<Instant>,
    ) -> Place {
        let limit = self.policy.limits.wait_timeout.min(LONGEST_WAIT);
        let deadline = Instant::now() + limit;
        let mut has_failed = false;
        // What was made invalid before, this request may not get; what is made invalid while it waits, it may.
        let known = self.shared.rules.newest();
        for _ in 0..SEATS {
            let (landed, supply) = match self.take_seat(asked, &look) {
                Seat::Lead(lead) => return Place::Lead(lead, look),
                Seat::Full => return Place::Alone(Some(Detail::FetchLimit), look),
                Seat::Elsewhere(place) => {
                    *look = look.at(place);
                    continue;
                }
                Seat::Landed(landed, supply) => (landed, supply),
                Seat::Follow(flight) => match self.follow(flight, &look, early, deadline).await {
                    // A tag that nobody knew of then was invalidated before this request asked.
                    Ok(Ok(Landing::Shared(landed, _)))
                        if known > landed.head.fetch && self.is_gone(asked, &landed) =>
                    {
                        continue;
                    }
                    Ok(Ok(Landing::Shared(landed, supply))) => (landed, supply),
                    Ok(Ok(Landing::Unshareable)) => {
                        return Place::Alone(Some(Detail::Unshareable), look);
                    }
                    Ok(Ok(Landing::Over)) => {
                        *look = Box::pin(self.look_up(&asked.primary, &asked.head)).await;
                        match self.fresh(asked, &look) {
                            Some(landed) => landed,
                            None => continue,
                        }
                    }
                    // The fetch failed. One of those who waited tries again, but only once.
                    Ok(Err(_)) if has_failed => return Place::Alone(None, look),
                    Ok(Err(_)) => {
                        has_failed = true;
                        continue;
                    }
                    Err(_) => return Place::Alone(Some(Detail::WaitTimeout), look),
                },
            };
            match self.variant_for(asked, &landed) {
                Some(place) => *look = look.at(place),
                None if !landed.head.suffices(&asked.head) => return Place::Alone(None, look),
                None => return Place::Shared(landed, supply),
            }
        }
        Place::Alone(None, look)
    }

    /// Waits for a fetch until the deadline. What is stale answers before where the policy says so: whoever comes while the origin is slow waits no longer than the first one.
    async fn follow(
        &self,
        mut flight: oneshot::Receiver<Landing>,
        look: &LookUp,
        early: Option<Instant>,
        deadline: Instant,
    ) -> Result<Result<Landing, RecvError>, Elapsed> {
        if let Some(early) = early.filter(|early| *early < deadline) {
            if let Ok(landing) = timeout_at(early, &mut flight).await {
                return Ok(landing);
            }
            if let Some((landed, supply)) = self.stale_for_all(look) {
                return Ok(Ok(Landing::Shared(landed, supply)));
            }
        }
        timeout_at(deadline, flight).await
    }

    /// What is stale, where it may answer since the origin fails or is slow (RFC 5861 section 4).
    pub(super) fn stale_for_all(&self, look: &LookUp) -> Option<(Landed, Supply)> {
        let stale = self.stale_for_error(look, &self.clock.read())?;
        let landed = Landed { on_error: true, ..Landed::stored(look.key.clone(), stale) };
        let supply = landed.open()?;
        Some((landed, supply))
    }

    pub(super) fn take_seat(&self, asked: &Asked, look: &LookUp) -> Seat {
        let limit = self.policy.limits.max_fetches;
        // Not under the lock of the table: a clock is the user's.
        let now = self.clock.read();
        let is_old =
            |fetch| self.shared.rules.concern(&asked.primary, &Membership::default(), fetch);
        self.shared.flights.join(&asked.primary, &look.key, limit, is_old, |landed| {
            if !landed.head.suffices(&asked.head) {
                return Fit::Stale;
            }
            if let Some(place) = self.variant_for(asked, landed) {
                return Fit::OtherVariant(place);
            }
            // The table of flights has been asked already, and is locked.
            if self.shared.rules.validity(&asked.primary, &landed.head) != Validity::Valid {
                return Fit::Stale;
            }
            let freshness = landed.head.freshness(&now);
            match self.judge(&asked.directives, &landed.head, freshness) {
                Verdict::Fresh | Verdict::StaleWhileRevalidate => Fit::Fits,
                Verdict::MustAsk(_) => Fit::Stale,
            }
        })
    }

    /// The variant that this request selects, if it is not the one that landed (RFC 9111 section 4.1).
    fn variant_for(&self, asked: &Asked, landed: &Landed) -> Option<Elsewhere> {
        let (generation, shape) = landed.head.rare.variant.as_ref()?;
        let key = asked.primary.variant(*generation, shape, &asked.head.headers);
        let generation = *generation;
        (key != landed.key).then_some(Elsewhere { key, generation })
    }

    /// What is stale answers where the origin fails, also if a rule has made it so.
    fn is_gone(&self, asked: &Asked, landed: &Landed) -> bool {
        match self.shared.rules.validity(&asked.primary, &landed.head) {
            Validity::Valid => false,
            Validity::Soft(_) => !landed.on_error,
            Validity::Hard => true,
        }
    }

    fn fresh(&self, asked: &Asked, look: &LookUp) -> Option<(Landed, Supply)> {
        let found = look.found.clone()?;
        let freshness = found.head.freshness(&self.clock.read());
        if self.judge_found(&asked.directives, look, &found, freshness) != Verdict::Fresh {
            return None;
        }
        let landed = Landed::stored(look.key.clone(), found);
        let supply = landed.open()?;
        Some((landed, supply))
    }
}
