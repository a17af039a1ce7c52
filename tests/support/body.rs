//! Bodies of the origin: at once, made on demand, or fed by the test.
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::OriginError;

/// What comes next in a body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    Error,
    Panic,
    End,
}

/// The body of an answer of the origin. `Send`, but neither `Sync` nor `Unpin`, like the worst of real ones.
#[derive(Debug)]
pub(crate) struct OriginBody {
    source: Source,
    pulled: Arc<AtomicU64>,
    /// Shows as the size hint.
    exact: Option<u64>,
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
    _not_unpin: std::marker::PhantomPinned,
}

#[derive(Debug)]
enum Source {
    Ready(VecDeque<Piece>),
    Fed(UnboundedReceiver<Piece>),
    /// Chunks of the second number's size, as many as the first one, each made when it is asked for.
    Made(u64, usize),
    Over,
}

impl OriginBody {
    fn new(source: Source, exact: Option<u64>) -> Self {
        Self {
            source,
            pulled: Arc::default(),
            exact,
            _not_sync: std::marker::PhantomData,
            _not_unpin: std::marker::PhantomPinned,
        }
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::new(Source::Ready(VecDeque::from([Piece::Data(bytes)])), Some(len))
    }

    pub(crate) fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self::new(Source::Ready(pieces.into_iter().collect()), None)
    }

    pub(crate) fn fed() -> (Self, Feed) {
        let (sender, receiver) = unbounded_channel();
        let body = Self::new(Source::Fed(receiver), None);
        let feed = Feed { sender, pulled: Arc::clone(&body.pulled) };
        (body, feed)
    }

    /// `count` chunks of `size` bytes, and a counter of those that were pulled.
    pub(crate) fn made(count: u64, size: usize) -> (Self, Arc<AtomicU64>) {
        let body = Self::new(Source::Made(count, size), None);
        let pulled = Arc::clone(&body.pulled);
        (body, pulled)
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        // Nothing in it is pinned structurally.
        let this = project(self);
        let piece = match &mut this.0 {
            Source::Ready(pieces) => pieces.pop_front().unwrap_or(Piece::End),
            Source::Fed(receiver) => match receiver.poll_recv(cx) {
                Poll::Ready(Some(piece)) => piece,
                // A test that forgets its feed has not ended the body.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            },
            Source::Made(0, _) | Source::Over => Piece::End,
            Source::Made(left, size) => {
                *left -= 1;
                Piece::Data(Bytes::from(vec![b'x'; *size]))
            }
        };
        Poll::Ready(match piece {
            Piece::Data(bytes) => {
                this.1.fetch_add(1, Ordering::SeqCst);
                Some(Ok(Frame::data(bytes)))
            }
            Piece::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Piece::Panic => panic!("the origin's body panics, as it should"),
            Piece::Error => {
                this.0 = Source::Over;
                Some(Err(OriginError("body broke")))
            }
            Piece::End => {
                this.0 = Source::Over;
                None
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

struct Projected<'a>(&'a mut Source, &'a AtomicU64);
