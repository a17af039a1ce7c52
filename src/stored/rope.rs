//! A body that is arriving: one writer, any number of readers, bounded memory.
//!
//! ```text
//!              first                                  end
//!                |  chunks kept (at most the window)   |
//!   ---- freed --+---+---+---+---+---+---+---+---+---+-+   <- writer
//!                ^           ^                       ^
//!             laggard     reader                  reader, waiting
//! ```
//!
//! While no more has arrived than the window holds, everything stays, and a reader may come late. Above that, chunks are
//! freed behind the slowest reader, which so paces the writer. If it holds up other clients for longer than it may, it is left behind: it goes on
//! from the store once the response is stored, or is cut. Until then it is held up by who is slower than the store. The store is a reader too: it never holds up a client, and
//! no client is left behind for its sake alone.
//!
//! A writer that is dropped before [`Writer::finish`] truncates the rope: no reader can take it for complete.
mod reader;

pub(crate) use reader::{Next, Reader};

use super::Content;
use crate::{
    error::Cut,
    sync::{Mutex, MutexGuard},
};
use bytes::Bytes;
use http::HeaderMap;
use slab::Slab;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

/// What has arrived so far, and the promise of the rest.
#[derive(Clone, Debug)]
pub(crate) struct Rope(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    window: Window,
    /// The length that the head declared.
    declared: Option<u64>,
}

/// How many bytes may be kept.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// By one rope.
    pub(crate) each: usize,
    /// By all ropes with this count. Above that each keeps only what it must to go on.
    pub(crate) all: usize,
    /// What they keep now.
    pub(crate) kept: Arc<AtomicUsize>,
}

impl Window {
    /// What a rope may keep while all together keep too much.
    const SCARCE: usize = 64 * 1024;

    fn now(&self) -> usize {
        let is_scarce = self.kept.load(Ordering::Relaxed) > self.all;
        if is_scarce { self.each.min(Self::SCARCE) } else { self.each }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let kept = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).kept;
        self.window.kept.fetch_sub(kept, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk that is kept, and where in the content it starts.
    first: u64,
    start: u64,
    /// Bytes in `chunks`.
    kept: usize,
    end: Option<End>,
    readers: Slab<Place>,
    /// The writer, when it waits for room.
    writer: Option<Waker>,
    /// The writer, when it waits for the origin: woken if nobody reads any more.
    abandoned: Option<Waker>,
    /// What the store has, once it has it, or that it has nothing.
    settled: Option<Option<Content>>,
}

#[derive(Debug)]
enum End {
    Complete(Option<Arc<HeaderMap>>),
    Cut(Cut),
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    role: Role,
    /// The number of the chunk it wants next.
    next: u64,
    hold: Hold,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Store,
}

/// How a reader is tied to the rope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Chunks stay for it.
    Attached,
    /// It goes on from the store when the response is there, if it does not catch up.
    Behind,
    /// The same, and it has asked for what has been freed: it waits for the store.
    Waiting,
    /// It gets an error.
    Cut(Cut),
}

/// May the writer go on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Nobody reads any more.
    Closed,
    /// The window is full, and that holds up nobody who could go faster.
    Paced,
    /// The window is full since a client reads slowly, and somebody else has to wait.
    Stalled,
    /// The window is full since a client reads slowly, and somebody who was left behind waits for the store to have it all.
    Awaited,
    /// The window is full since the store reads slowly, and nobody else reads.
    StoreOnly,
}

#[derive(Debug)]
pub(crate) struct Writer(Rope);

/// A rope for content of the `declared` length.
pub(crate) fn channel(window: Window, declared: Option<u64>) -> (Writer, Rope) {
    let rope = Rope(Arc::new(Shared { state: Mutex::default(), window, declared }));
    (Writer(rope.clone()), rope)
}

impl Rope {
    /// A client's reader for this range, if the bytes that it starts with have not been freed.
    pub(crate) fn reader(&self, wanted: Range<u64>) -> Option<Reader> {
        self.attach(Role::Client, wanted)
    }

    /// A client's reader for everything.
    pub(crate) fn whole(&self) -> Option<Reader> {
        self.attach(Role::Client, 0..u64::MAX)
    }

    /// A store's reader.
    pub(crate) fn store_reader(&self) -> Option<Reader> {
        self.attach(Role::Store, 0..u64::MAX)
    }

    pub(crate) fn declared(&self) -> Option<u64> {
        self.0.declared
    }

    /// Tells those who were left behind what the store has: the content, or nothing.
    pub(crate) fn settle(&self, content: Option<Content>) {
        let mut state = self.lock();
        state.settled = Some(content);
        wake_readers(state);
    }

    /// True if somebody waits for [`settle`](Self::settle).
    pub(crate) fn has_left_behind(&self) -> bool {
        self.lock().readers.iter().any(|(_, place)| place.is_left_behind())
    }

    /// The response will not be stored: its store gets this error instead of an end.
    pub(crate) fn refuse_store(&self, cut: Cut) {
        let mut state = self.lock();
        state.cut_store(cut);
        wake_readers(state);
    }

    fn attach(&self, role: Role, wanted: Range<u64>) -> Option<Reader> {
        let mut state = self.lock();
        // What is broken is offered to nobody who comes now.
        let is_broken = role == Role::Client && matches!(state.end, Some(End::Cut(_)));
        if wanted.start < state.start || is_broken {
            return None;
        }
        let (next, offset) = (state.first, state.start);
        let id = state.readers.insert(Place { role, next, hold: Hold::Attached, waker: None });
        drop(state);
        Some(Reader { rope: self.clone(), id, offset, wanted })
    }

    /// Nothing panics while it holds the lock; if something did, the state would still be sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    pub(crate) fn push(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        state.kept = state.kept.saturating_add(chunk.len());
        self.0.0.window.kept.fetch_add(chunk.len(), Ordering::Relaxed);
        state.chunks.push_back(chunk);
        wake_readers(state);
    }

    /// The content is complete.
    pub(crate) fn finish(self, trailers: Option<HeaderMap>) {
        let trailers = trailers.filter(|t| !t.is_empty()).map(Arc::new);
        self.end(|_| End::Complete(trailers));
    }

    /// May more be pushed? If not now, `waker` is woken when the answer may have changed.
    pub(crate) fn room(&self, waker: &Waker) -> Room {
        let mut state = self.0.lock();
        let room = state.room(&self.0.0.window);
        if room != Room::Free && room != Room::Closed {
            state.writer = Some(waker.clone());
        }
        if state.store_was_cut() {
            wake_readers(state);
        }
        room
    }

    /// Does somebody still read? If so, `waker` is woken when nobody does any more.
    pub(crate) fn is_abandoned(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        let abandoned = state.attached().next().is_none();
        if !abandoned {
            state.abandoned = Some(waker.clone());
        }
        abandoned
    }

    /// Those who hold up others have done so for long enough.
    pub(crate) fn leave_laggards_behind(&self) {
        let mut state = self.0.lock();
        let hold = if state.has_store() { Hold::Behind } else { Hold::Cut(Cut::TooSlow) };
        let first = state.first;
        for (_, place) in &mut state.readers {
            if place.is_laggard(first) && place.role == Role::Client {
                place.hold = hold;
            }
        }
        wake_readers(state);
    }

    fn end(&self, end: impl FnOnce(&State) -> End) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(end(&state));
        }
        wake_readers(state);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(|state| {
            // Where nobody reads along, not even a store, that is why it ends: who was left behind has waited in vain.
            let is_abandoned = state.attached().next().is_none();
            End::Cut(if is_abandoned { Cut::TooSlow } else { Cut::Origin })
        });
    }
}

impl State {
    fn last(&self) -> u64 {
        self.first.saturating_add(self.chunks.len() as u64)
    }

    fn attached(&self) -> impl Iterator<Item = &Place> {
        self.readers.iter().map(|(_, place)| place).filter(|place| place.hold == Hold::Attached)
    }

    fn has_store(&self) -> bool {
        self.attached().any(|place| place.role == Role::Store)
    }

    /// Somebody waits for what the store will have.
    fn store_is_awaited(&self) -> bool {
        self.settled.is_none()
            && self.has_store()
            && self.readers.iter().any(|(_, place)| place.hold == Hold::Waiting)
    }

    /// A store that was cut and has not heard of it.
    fn store_was_cut(&self) -> bool {
        self.readers.iter().any(|(_, place)| {
            place.role == Role::Store && place.hold != Hold::Attached && place.waker.is_some()
        })
    }

    fn cut_store(&mut self, cut: Cut) {
        for (_, place) in &mut self.readers {
            if place.role == Role::Store {
                place.hold = Hold::Cut(cut);
            }
        }
    }

    fn room(&mut self, window: &Window) -> Room {
        loop {
            let Some(slowest) = self.attached().map(|place| place.next).min() else {
                return Room::Closed;
            };
            self.free(slowest, window);
            if self.kept <= window.now() {
                return Room::Free;
            }
            let (first, last) = (self.first, self.last());
            let client_waits =
                self.attached().any(|place| place.role == Role::Client && place.next == last);
            let store_lags =
                self.attached().any(|place| place.role == Role::Store && place.is_laggard(first));
            if store_lags && client_waits {
                self.cut_store(Cut::TooSlow);
                continue;
            }
            let clients_lag =
                self.attached().any(|place| place.role == Role::Client && place.is_laggard(first));
            let has_client = self.attached().any(|place| place.role == Role::Client);
            return match (clients_lag, has_client) {
                (true, _) if client_waits => Room::Stalled,
                (true, _) if self.store_is_awaited() => Room::Awaited,
                (_, true) => Room::Paced,
                (_, false) => Room::StoreOnly,
            };
        }
    }

    /// Frees what all attached readers have, as far as the window is exceeded.
    fn free(&mut self, slowest: u64, window: &Window) {
        while self.kept > window.now() && self.first < slowest {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.kept = self.kept.saturating_sub(chunk.len());
            window.kept.fetch_sub(chunk.len(), Ordering::Relaxed);
            self.first = self.first.saturating_add(1);
            self.start = self.start.saturating_add(chunk.len() as u64);
        }
    }
}

impl Place {
    fn is_laggard(&self, first: u64) -> bool {
        self.hold == Hold::Attached && self.next == first
    }

    fn is_left_behind(&self) -> bool {
        matches!(self.hold, Hold::Behind | Hold::Waiting)
    }
}

/// Wakes all readers that wait, after the lock is released.
fn wake_readers(mut state: MutexGuard<'_, State>) {
    let wakers: Vec<Waker> =
        state.readers.iter_mut().filter_map(|(_, place)| place.waker.take()).collect();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(all(test, tower_cdn_loom))]
mod interleavings;
