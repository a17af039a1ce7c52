//! Bodies of the origin: at once, made on demand, or fed by the test.
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    collections::VecDeque,
    marker::{PhantomData, PhantomPinned},
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

pin_project! {
    /// The body of an answer of the origin. `Send`, but neither `Sync` nor `Unpin` nor `Default`, like the worst of real ones.
    #[derive(Debug)]
    pub(crate) struct OriginBody {
        source: Source,
        pulled: Arc<AtomicU64>,
        // Shows as the size hint.
        exact: Option<u64>,
        not_sync: PhantomData<Cell<()>>,
        #[pin]
        not_unpin: PhantomPinned,
    }
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
            not_sync: PhantomData,
            not_unpin: PhantomPinned,
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
        let this = self.project();
        let piece = match this.source {
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
                this.pulled.fetch_add(1, Ordering::SeqCst);
                Some(Ok(Frame::data(bytes)))
            }
            Piece::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Piece::Panic => std::panic::resume_unwind(Box::new("the origin's body panics")),
            Piece::Error => {
                *this.source = Source::Over;
                Some(Err(OriginError("body broke")))
            }
            Piece::End => {
                *this.source = Source::Over;
                None
            }
        })
    }

    /// Known in advance where the length is, as with most bodies of a known length.
    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ready(pieces) => self.exact.is_some() && pieces.is_empty(),
            Source::Over => true,
            Source::Fed(_) | Source::Made(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Feeds one body of the origin. Dropping it leaves the body without an end.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: UnboundedSender<Piece>,
    pulled: Arc<AtomicU64>,
}

impl Feed {
    pub(crate) fn chunk(&self, data: impl Into<Bytes>) {
        self.send(Piece::Data(data.into()));
    }

    pub(crate) fn trailers(&self, fields: &[(&'static str, &'static str)]) {
        let mut trailers = HeaderMap::new();
        for (name, value) in fields {
            trailers.append(*name, http::HeaderValue::from_static(value));
        }
        self.send(Piece::Trailers(trailers));
    }

    /// The body breaks.
    pub(crate) fn breaks(self) {
        self.send(Piece::Error);
    }

    /// The body panics when it is polled.
    pub(crate) fn panics(self) {
        self.send(Piece::Panic);
    }

    pub(crate) fn end(self) {
        self.send(Piece::End);
    }

    /// How many chunks were taken out of the body.
    pub(crate) fn pulled(&self) -> u64 {
        self.pulled.load(Ordering::SeqCst)
    }

    /// True if nobody reads the body any more.
    pub(crate) fn is_dropped(&self) -> bool {
        self.sender.is_closed()
    }

    fn send(&self, piece: Piece) {
        // Whether somebody still reads is what `is_dropped` tells.
        _ = self.sender.send(piece);
    }
}
