//! Invalidations are carried out: in force at once, then told to the store, which forgets what it can and keeps what a restart must not undo.
use super::Engine;
use crate::{
    CacheKey, Receipt,
    invalidation::{
        Cause, Draft, Floors, Made, Mode, Target,
        record::{self, STATE_NUMBER, State},
        sequence,
    },
    stored::Kind,
};
use bytes::Bytes;
use futures_util::future::join_all;
use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::sync::oneshot;

/// An invalidation that is in force.
pub(crate) struct InForce {
    pub(super) number: u64,
    time: SystemTime,
    /// The number of the newest one before it.
    pub(super) before: u64,
    /// Whether the store did at once what it was told.
    pub(super) first: oneshot::Receiver<bool>,
}

impl InForce {
    pub(crate) async fn receipt(self) -> Receipt {
        let Self { number, time, first, .. } = self;
        Receipt { number, time, is_durable: first.await.unwrap_or_default() }
    }
}

/// How long to wait between attempts to tell a store that fails.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// Notes that are withdrawn together.
const AT_ONCE: usize = 256;

/// What is still to be told.
struct Errand {
    /// The rule, until it is noted.
    note: Option<(u64, Bytes)>,
    has_forgotten: bool,
    gone: Vec<u64>,
    /// What is to be deleted, and the number of each in the table of flights.
    keys: Vec<(u64, CacheKey)>,
}

impl Engine {
    /// What an operator asks for.
    pub(crate) fn invalidate_as_told(
        self: &Arc<Self>,
        mode: Mode,
        targets: Vec<Target>,
    ) -> InForce {
        let uris = targets.iter().filter_map(|target| match target {
            Target::Uri(key) if mode == Mode::Hard => Some(key.clone()),
            _ => None,
        });
        let keys = uris.collect();
        self.invalidate(Draft { mode, cause: Cause::Operator, targets }, keys)
    }

    /// What the answer to an unsafe request says (RFC 9111 section 4.4): these keys, others of their URIs, and these groups.
    pub(crate) fn invalidate_as_answered(
        self: &Arc<Self>,
        mut keys: Vec<CacheKey>,
        groups: Vec<Target>,
    ) -> InForce {
        let mut targets = groups;
        for at in 0..keys.len() {
            let Some(key) = keys.get(at).cloned() else { continue };
            match key.bare() {
                Some(bare) => {
                    targets.push(Target::Uri(bare.clone()));
                    keys.push(bare);
                }
                None => targets.push(Target::Uri(key)),
            }
        }
        self.invalidate(Draft { mode: Mode::Hard, cause: Cause::Answer, targets }, keys)
    }

    /// In force when this returns; the task only tells the store, whoever waits for it.
    fn invalidate(self: &Arc<Self>, draft: Draft, keys: Vec<CacheKey>) -> InForce {
        let now = self.clock.read();
        let keep = self.policy.rules_live().max(self.shared.known.rules_live());
        let Made { rule, before, gone, has_forgotten } = self.shared.rules.make(draft, now, keep);
        let number = |key: CacheKey| (self.shared.flights.invalidate(&key), key);
        let keys = keys.into_iter().map(number).collect();
        self.shared.counters.invalidation();
        let note = (!rule.targets.is_empty()).then(|| (rule.number, record::encode_rule(&rule)));
        let errand = Errand { note, has_forgotten, gone, keys };
        let (told, first) = oneshot::channel();
        tokio::spawn(Arc::clone(self).run_errand(errand, told));
        InForce { number: rule.number, time: rule.at, before, first }
    }

    /// The store has failed to delete what is invalid: it is told again.
    pub(super) fn delete_later(self: &Arc<Self>, key: &CacheKey) {
        let keys = vec![(sequence::next(), key.clone())];
        let errand = Errand { note: None, has_forgotten: false, gone: Vec::new(), keys };
        tokio::spawn(Arc::clone(self).run_errand(errand, oneshot::channel().0));
    }

    async fn run_errand(self: Arc<Self>, mut errand: Errand, told: oneshot::Sender<bool>) {
        let mut told = Some(told);
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            let is_done = self.tell(&mut errand).await;
            if let Some(told) = told.take() {
                _ = told.send(is_done);
            }
            match pause {
                Some(pause) if !is_done => tokio::time::sleep(pause).await,
                _ => return,
            }
        }
    }

    /// Tells the store; what it does not do stays in the errand.
    async fn tell(&self, errand: &mut Errand) -> bool {
        if let Some((number, note)) = &errand.note
            && self.note_at(*number, Some(note.clone())).await
        {
            errand.note = None;
        }
        // What the floors say now must be kept before the rules that said it go.
        if errand.has_forgotten && self.note_state(0).await {
            errand.has_forgotten = false;
        }
        if !errand.has_forgotten {
            errand.gone = self.withdraw(std::mem::take(&mut errand.gone)).await;
        }
        for (number, key) in std::mem::take(&mut errand.keys) {
            if self.delete_before(&key, number).await {
                self.shared.flights.deleted(&key, number);
            } else {
                errand.keys.push((number, key));
            }
        }
        errand.note.is_none()
            && !errand.has_forgotten
            && errand.gone.is_empty()
            && errand.keys.is_empty()
    }

    /// Withdraws notes, many at once, since a store may make one step of them. Returns those that are left.
    async fn withdraw(&self, numbers: Vec<u64>) -> Vec<u64> {
        // Mostly a rule takes the place of one other.
        if let [number] = *numbers {
            return if self.note_at(number, None).await { Vec::new() } else { numbers };
        }
        let mut left = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            let done = join_all(some.iter().map(|number| self.note_at(*number, None))).await;
            let failed = some.iter().zip(done).filter(|(_, is_done)| !is_done);
            left.extend(failed.map(|(number, _)| *number));
        }
        left
    }

    /// Deletes what was asked for before. False if the store failed.
    async fn delete_before(&self, key: &CacheKey, number: u64) -> bool {
        let there = self.get_at(key).await.map(|(kind, _)| kind);
        // Not while somebody adds to the list that he has read: it would be back, with all that is invalid.
        let is_list = matches!(there, Some(Kind::Variants(_)));
        let _turn = if is_list { self.shared.indexing.lock(key).await } else { None };
        match there {
            Some(Kind::Response(head)) if head.fetch > number => return true,
            Some(_) => self.shared.deleted.add(key),
            None => {}
        }
        self.delete_at(key).await
    }

    /// What the store has kept of the rules, and of the numbers that were given. Asked once, before anything else.
    pub(crate) fn restore(&self) {
        let notes =
            catch_unwind(AssertUnwindSafe(|| self.shared.store.notes())).unwrap_or_else(|_| {
                self.fault("notes", "panicked");
                vec![(STATE_NUMBER, Bytes::new())]
            });
        let (mut state, mut rules, mut is_damaged) = (State::default(), Vec::new(), false);
        for (number, note) in notes {
            if number == STATE_NUMBER {
                match record::decode_state(note) {
                    Ok(read) => state = read,
                    Err(_) => is_damaged = true,
                }
            } else {
                match record::decode_rule(number, note) {
                    Ok(rule) => rules.push(rule),
                    Err(_) => is_damaged = true,
                }
            }
        }
        let newest = rules.iter().map(|rule| rule.number).max().unwrap_or_default();
        let of_time = sequence::of_time(self.clock.now());
        sequence::go_beyond(state.reserved.max(newest).max(of_time));
        if is_damaged {
            // Nobody knows what it said.
            self.fault("notes", "damaged");
            state.floors = Floors::everything(sequence::next());
        }
        self.shared.notes.reserved.store(state.reserved, Ordering::Relaxed);
        let gone = self.shared.rules.restore(rules, state.floors);
        self.shared.notes.lock_gone().extend(gone);
    }

    /// Before the store keeps a response that was fetched with this number: no later process may give the number again. False if the store failed.
    pub(super) async fn reserve(&self, number: u64) -> bool {
        self.is_reserved(number) || self.note_state(number).await
    }

    pub(super) fn is_reserved(&self, number: u64) -> bool {
        number <= self.shared.notes.reserved.load(Ordering::Acquire)
    }

    /// Notes what has to be known beside the rules, with numbers reserved up to this one at least.
    async fn note_state(&self, number: u64) -> bool {
        let _turn = self.shared.notes.turn.lock().await;
        let before = self.shared.notes.reserved.load(Ordering::Acquire);
        if number > 0 && number <= before {
            // Somebody else has, while this one waited for its turn.
            return true;
        }
        let reserved = if number > before { number.saturating_add(BLOCK) } else { before };
        let state = record::encode_state(&self.shared.rules.state(reserved));
        let is_noted = self.note_at(STATE_NUMBER, Some(state)).await;
        if is_noted {
            self.shared.notes.reserved.store(reserved, Ordering::Release);
            // Those that were found superfluous at the start.
            let gone = std::mem::take(&mut *self.shared.notes.lock_gone());
            self.withdraw(gone).await;
        }
        is_noted
    }
}

/// So many numbers are reserved at once.
const BLOCK: u64 = 1 << 20;

/// What the store has been told to keep.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// No later process gives numbers up to this one.
    reserved: AtomicU64,
    /// Rules that said nothing any more when they were read.
    gone: Mutex<Vec<u64>>,
    /// The state is noted by one at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Notes {
    fn lock_gone(&self) -> MutexGuard<'_, Vec<u64>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which keys something was deleted, so that the next one who asks can be told why there is nothing.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    keys: Mutex<HashSet<CacheKey>>,
    count: AtomicUsize,
}

/// More are not remembered: all that is lost is a word in `Cache-Status`.
const MAX_DELETED: usize = 4_096;

impl Deleted {
    fn add(&self, key: &CacheKey) {
        let mut keys = self.lock();
        if keys.len() < MAX_DELETED {
            keys.insert(key.clone());
        }
        self.count.store(keys.len(), Ordering::Release);
    }

    pub(super) fn take(&self, key: &CacheKey) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut keys = self.lock();
        let was_there = keys.remove(key);
        self.count.store(keys.len(), Ordering::Release);
        was_there
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<CacheKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
