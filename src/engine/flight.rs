//! Collapsed requests (RFC 9111 section 4): one fetch for a key, and all who wait for it.
//!
//! ```text
//!   waiting ----- land ------> landed: who waited and who comes gets the response, its body arriving
//!      |  \------ release ---> gone: it cannot be shared, all who waited are told so
//!      \--------- drop ------> gone: it failed, all who waited are told so
//! ```
//!
//! Fetches are numbered. An invalidation takes a number too: it concerns the fetches with lower ones (section 4.4).
mod active;
mod invalidated;
mod landed;

use crate::{
    CacheKey,
    invalidation::sequence,
    store::Hashed,
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard},
};
use active::Active;
use invalidated::Invalidated;
pub(crate) use landed::{Landed, Source, Supply};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, atomic::Ordering},
};
use tokio::sync::oneshot;

#[derive(Clone, Debug, Default)]
pub(crate) struct Flights(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// False if a look-up need not ask whether something was invalidated.
    has_invalidations: AtomicBool,
    /// Everything that was asked for before this is invalid: more was invalidated than could be remembered, and the store does not delete it.
    floor: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// A key has its hash, with a seed of this process.
    flights: HashMap<CacheKey, Arc<Flight>, Hashed>,
    active: Active,
    /// The newest of those that nobody may join.
    newest_alone: u64,
    /// The newest of what is no fetch, and may update what is stored.
    newest_update: u64,
    invalidated: Invalidated,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    primary: CacheKey,
    /// Under which it was begun; `None` if nobody may join it.
    key: Option<CacheKey>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Waiting(Vec<oneshot::Sender<Landing>>),
    Landed { landed: Landed, late: Vec<oneshot::Sender<Landing>> },
}

/// What those are told who waited.
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
#[derive(Debug)]
pub(crate) enum Landing {
    Shared(Landed, Supply),
    /// It cannot be shared: do not wait for another one.
    Unshareable,
    /// It has ended, and the store has what it brought, if anything.
    Over,
}

/// Where a request sits.
#[derive(Debug)]
pub(crate) enum Seat {
    /// It fetches.
    Lead(Lead),
    /// It waits. An error means that the fetch failed.
    Follow(oneshot::Receiver<Landing>),
    /// It need not wait.
    Landed(Landed, Supply),
    /// A fetch is under way for this URI, but this request selects another variant of it.
    Elsewhere(Elsewhere),
    /// Too many fetches are under way.
    Full,
}

/// The place of another variant.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) key: CacheKey,
    pub(crate) generation: u64,
}

/// How a response that is arriving fits a request that comes late.
#[derive(Debug)]
pub(crate) enum Fit {
    Fits,
    OtherVariant(Elsewhere),
    Stale,
}

/// Held by the one fetch for a key. Dropping it ends the flight; if it has not landed, it has failed.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Flights,
    flight: Arc<Flight>,
    /// Under which it can be found as well, since it has landed there.
    landed_at: Option<Box<CacheKey>>,
}

impl Flights {
    /// A seat in the flight for `key`, which is the key of a variant or the primary key itself. `is_old` tells of the number of a fetch whether a rule concerns it.
    pub(crate) fn join(
        &self,
        primary: &CacheKey,
        key: &CacheKey,
        limit: usize,
        is_old: impl FnOnce(u64) -> bool,
        fits: impl FnOnce(&Landed) -> Fit,
    ) -> Seat {
        let mut table = self.lock();
        if let Some(flight) = table.flights.get(key)
            && flight.number >= self.0.floor.load(Ordering::Acquire)
            && !table.is_invalidated(primary, flight.number)
            && !is_old(flight.number)
        {
            let mut state = flight.lock();
            match &mut *state {
                State::Waiting(waiting) => {
                    let (sender, receiver) = oneshot::channel();
                    add(waiting, sender);
                    return Seat::Follow(receiver);
                }
                State::Landed { landed, late } => match fits(landed) {
                    Fit::Fits => {
                        if let Some(supply) = landed.open() {
                            return Seat::Landed(landed.clone(), supply);
                        }
                        let (sender, receiver) = oneshot::channel();
                        add(late, sender);
                        return Seat::Follow(receiver);
                    }
                    Fit::OtherVariant(place) => return Seat::Elsewhere(place),
                    Fit::Stale => {}
                },
            }
        }
        self.board(&mut table, primary, Some(key), limit).map_or(Seat::Full, Seat::Lead)
    }

    /// A fetch that nobody may join. `None` if too many are under way.
    pub(crate) fn alone(&self, primary: &CacheKey, limit: usize) -> Option<Lead> {
        self.board(&mut self.lock(), primary, None, limit)
    }

    /// The number of an exchange that is no fetch, and may update what is stored: that of a HEAD.
    pub(crate) fn number_update(&self) -> u64 {
        let mut table = self.lock();
        table.newest_update = sequence::next();
        table.newest_update
    }

    fn board(
        &self,
        table: &mut Table,
        primary: &CacheKey,
        key: Option<&CacheKey>,
        limit: usize,
    ) -> Option<Lead> {
        if table.active.len() >= limit {
            return None;
        }
        // Drawn under the lock, so that within one table numbers come in order.
        let number = sequence::next();
        table.active.begin(number);
        let flight = Arc::new(Flight {
            number,
            primary: primary.clone(),
            key: key.cloned(),
            state: Mutex::new(State::Waiting(Vec::new())),
        });
        match key {
            Some(key) => drop(table.flights.insert(key.clone(), Arc::clone(&flight))),
            None => table.newest_alone = number,
        }
        Some(Lead { flights: self.clone(), flight, landed_at: None })
    }

    /// From now on nothing is reused that was asked for before. Look-up and fetches see it at once; what is stored already has to be
    /// deleted by the caller, who then tells so by [`deleted`](Self::deleted).
    pub(crate) fn invalidate(&self, primary: &CacheKey) -> u64 {
        let mut table = self.lock();
        let number = sequence::next();
        if !table.invalidated.add(primary, number) {
            self.0.floor.fetch_max(number, Ordering::AcqRel);
        }
        self.0.has_invalidations.store(true, Ordering::Release);
        number
    }

    /// The store has deleted what it had: only fetches that are under way need the memory of it.
    pub(crate) fn deleted(&self, primary: &CacheKey, number: u64) {
        let mut table = self.lock();
        table.invalidated.deleted(primary, number);
        table.prune();
        self.note_invalidations(&table);
    }

    /// Was this response asked for before its URI was invalidated?
    pub(crate) fn is_invalidated(&self, primary: &CacheKey, fetch: u64) -> bool {
        fetch < self.0.floor.load(Ordering::Acquire)
            || self.0.has_invalidations.load(Ordering::Acquire)
                && self.lock().is_invalidated(primary, fetch)
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.lock().active.len() as u64
    }

    fn note_invalidations(&self, table: &Table) {
        self.0.has_invalidations.store(!table.invalidated.is_empty(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn is_invalidated(&self, primary: &CacheKey, fetch: u64) -> bool {
        self.invalidated.concerns(primary, fetch, || self.active.contains(fetch))
    }

    /// Forgets invalidations that concern nothing any more.
    fn prune(&mut self) {
        let oldest = self.active.oldest().unwrap_or(u64::MAX);
        self.invalidated.prune(oldest);
    }

    fn is_at(&self, key: &CacheKey, number: u64) -> bool {
        self.flights.get(key).is_some_and(|flight| flight.number == number)
    }
}

impl Flight {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// The number of the fetch.
    pub(crate) fn number(&self) -> u64 {
        self.flight.number
    }

    pub(crate) fn primary(&self) -> &CacheKey {
        &self.flight.primary
    }

    /// Under which the flight can be found; none if nobody may join it.
    fn keys(&self) -> impl Iterator<Item = &CacheKey> {
        self.flight.key.iter().chain(self.landed_at.as_deref())
    }

    /// The response is there: all who wait get it now if they may, its body still arriving. It can be found under its own key as well.
    pub(crate) fn land(&mut self, landed: &Landed, may_share: bool) {
        if self.flight.key.is_some() && !self.keys().any(|key| *key == landed.key) {
            let mut table = self.flights.lock();
            table.flights.insert(landed.key.clone(), Arc::clone(&self.flight));
            // A fetch lands once.
            debug_assert!(self.landed_at.is_none());
            self.landed_at = Some(Box::new(landed.key.clone()));
        }
        let before = std::mem::replace(
            &mut *self.flight.lock(),
            State::Landed { landed: landed.clone(), late: Vec::new() },
        );
        match before {
            State::Waiting(waiting) if may_share => tell(waiting, landed),
            State::Waiting(waiting) => refuse(waiting),
            State::Landed { .. } => {}
        }
    }

    /// Those who wait get this one; who comes later waits for the fetch.
    pub(crate) fn tide_over(&self, landed: &Landed) {
        if let State::Waiting(waiting) = &mut *self.flight.lock() {
            tell(std::mem::take(waiting), landed);
        }
    }

    /// The response cannot be shared: nobody waits any longer.
    pub(crate) fn release(self) {
        self.leave_table();
        if let State::Waiting(waiting) = &mut *self.flight.lock() {
            refuse(std::mem::take(waiting));
        }
    }

    /// Nothing has invalidated the response since it was asked for, and no newer fetch has taken its place.
    pub(crate) fn may_store(&self) -> bool {
        let table = self.flights.lock();
        self.flight.number >= self.flights.0.floor.load(Ordering::Acquire)
            && !table.is_invalidated(self.primary(), self.flight.number)
            && self.keys().all(|key| table.is_at(key, self.flight.number))
    }

    /// May the same have been fetched since by somebody who could not wait for this one?
    pub(crate) fn has_rivals(&self) -> bool {
        let number = self.flight.number;
        self.flight.key.is_none() || self.flights.lock().newest_alone > number
    }

    /// May what it validates have been updated since by something that was asked for later?
    pub(crate) fn has_newer_updates(&self) -> bool {
        let table = self.flights.lock();
        let newest = table.newest_alone.max(table.newest_update);
        self.flight.key.is_none() || newest > self.flight.number
    }

    /// Nobody finds the flight any more.
    pub(crate) fn leave_table(&self) {
        let mut table = self.flights.lock();
        for key in self.keys() {
            if table.is_at(key, self.flight.number) {
                table.flights.remove(key);
            }
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.leave_table();
        if let State::Landed { late, .. } = &mut *self.flight.lock() {
            for sender in std::mem::take(late) {
                _ = sender.send(Landing::Over);
            }
        } else {
            // Senders that are dropped tell that it failed.
            *self.flight.lock() = State::Waiting(Vec::new());
        }
        let mut table = self.flights.lock();
        if table.active.end(self.flight.number) {
            table.prune();
        }
        self.flights.note_invalidations(&table);
    }
}

fn tell(waiting: Vec<oneshot::Sender<Landing>>, landed: &Landed) {
    for sender in waiting {
        if let Some(supply) = landed.open() {
            _ = sender.send(Landing::Shared(landed.clone(), supply));
        }
    }
}

fn refuse(waiting: Vec<oneshot::Sender<Landing>>) {
    for sender in waiting {
        _ = sender.send(Landing::Unshareable);
    }
}

/// Those who left do not pile up.
fn add(waiting: &mut Vec<oneshot::Sender<Landing>>, sender: oneshot::Sender<Landing>) {
    if waiting.len() == waiting.capacity() {
        waiting.retain(|sender| !sender.is_closed());
    }
    waiting.push(sender);
}

#[cfg(all(test, tower_cdn_loom))]
mod interleavings;
