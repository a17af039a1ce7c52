//! One who reads a rope.
use super::{End, Hold, Rope, State};
use crate::{error::Cut, stored::Content};
use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;
use std::{
    ops::Range,
    sync::Arc,
    task::{Poll, Waker},
};

/// What comes next for a reader.
#[derive(Debug)]
pub(crate) enum Next {
    Chunk(Bytes),
    End(Option<Arc<HeaderMap>>),
    /// Go on with this range of what is stored now.
    Stored(Content, Range<u64>),
    Cut(Cut),
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) rope: Rope,
    pub(super) id: usize,
    /// Where in the content the next chunk starts.
    pub(super) offset: u64,
    /// The part that is wanted.
    pub(super) wanted: Range<u64>,
}

impl Reader {
    /// Only this part of what is left is wanted.
    pub(crate) fn narrow(&mut self, wanted: Range<u64>) {
        self.wanted = wanted;
    }

    pub(crate) fn poll_next(&mut self, waker: &Waker) -> Poll<Next> {
        loop {
            if self.offset >= self.wanted.end {
                return Poll::Ready(Next::End(None));
            }
            let Poll::Ready(next) = self.poll_chunk(waker) else { return Poll::Pending };
            let Next::Chunk(chunk) = next else { return Poll::Ready(next) };
            let start = self.offset;
            self.offset = start.saturating_add(chunk.len() as u64);
            let within = |offset: u64| {
                usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX).min(chunk.len())
            };
            let (from, to) = (within(self.wanted.start), within(self.wanted.end));
            if from < to {
                return Poll::Ready(Next::Chunk(chunk.slice(from..to)));
            }
        }
    }

    fn poll_chunk(&self, waker: &Waker) -> Poll<Next> {
        let mut state = self.rope.lock();
        let (first, last) = (state.first, state.last());
        let State { readers, chunks, writer, settled, end, .. } = &mut *state;
        let Some(place) = readers.get_mut(self.id) else {
            return Poll::Ready(Next::Cut(Cut::Origin));
        };
        if let Hold::Cut(cut) = place.hold {
            return Poll::Ready(Next::Cut(cut));
        }
        // One that was left behind may still be in time for what is kept, and catch up.
        let kept = place.next.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(chunk) = kept.and_then(|at| chunks.get(at)) {
            place.next = place.next.saturating_add(1);
            if place.next == last {
                place.hold = Hold::Attached;
            }
            // Only who frees a chunk, or has caught up and may be held up now, can change whether there is room.
            let may_change_room = place.next == first.saturating_add(1) || place.next == last;
            let chunk = chunk.clone();
            let writer = if may_change_room { writer.take() } else { None };
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Next::Chunk(chunk));
        }
        match (place.hold, end, settled) {
            (Hold::Attached, Some(End::Complete(trailers)), _) => {
                return Poll::Ready(Next::End(trailers.clone()));
            }
            // What is cut is never stored, so that the store is not waited for either.
            (_, Some(End::Cut(cut)), _) => return Poll::Ready(Next::Cut(*cut)),
            (Hold::Behind | Hold::Waiting, _, Some(Some(content))) => {
                let from = self.offset.max(self.wanted.start);
                return Poll::Ready(Next::Stored(content.clone(), from..self.wanted.end));
            }
            (Hold::Behind | Hold::Waiting, _, Some(None)) => {
                return Poll::Ready(Next::Cut(Cut::TooSlow));
            }
            _ => {}
        }
        place.waker = Some(waker.clone());
        let writer = match place.hold {
            // From now on others may hold it up.
            Hold::Behind => {
                place.hold = Hold::Waiting;
                writer.take()
            }
            Hold::Attached | Hold::Waiting | Hold::Cut(_) => None,
        };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Pending
    }

    /// The length that the head declared.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.rope.declared()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let end = self.wanted.end.min(self.rope.declared().unwrap_or(u64::MAX));
        if end == u64::MAX {
            return SizeHint::default();
        }
        SizeHint::with_exact(end.saturating_sub(self.offset.max(self.wanted.start)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.rope.lock();
        state.readers.try_remove(self.id);
        let writer = state.writer.take();
        let is_last = state.attached().next().is_none();
        let abandoned = if is_last { state.abandoned.take() } else { None };
        drop(state);
        writer.into_iter().chain(abandoned).for_each(Waker::wake);
    }
}
