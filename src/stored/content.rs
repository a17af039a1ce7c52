//! Content (RFC 9110 section 6.4) as a handle: clone it, read it many times, read parts of it.
use super::{
    pieces::{Filling, PIECE, Pieces},
    reading::{ContentBody, Gate, Reading},
    rope::{Reader, Rope},
};
use crate::{BoxError, StoreError, error::Cut};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// A handle on the content of a response. Clones are cheap and share the bytes.
///
/// # Example: from bytes, and read in part
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use http_body_util::BodyExt;
/// use tower_cdn::Content;
///
/// let content = Content::from(bytes::Bytes::from_static(b"hello"));
/// assert_eq!(content.len(), Some(5));
/// let part = content.read_range(1..3).collect().await.unwrap();
/// assert_eq!(part.to_bytes(), "el");
/// # });
/// ```
#[derive(Clone)]
pub struct Content {
    source: Source,
    pub(super) trailers: Option<Arc<HeaderMap>>,
}

type Open = dyn Fn(Range<u64>) -> UnsyncBoxBody<Bytes, BoxError> + Send + Sync;

#[derive(Clone)]
enum Source {
    Bytes(Bytes),
    Other(Other),
}

/// Apart from the bytes, which are kept in large numbers: the whole takes no more room than they then.
#[derive(Clone)]
enum Other {
    /// In memory, but not in one piece.
    Pieces(Pieces),
    /// Read by a store: the first reader was made before anything arrived.
    Arriving {
        rope: Rope,
        first: Arc<Mutex<First>>,
    },
    Elsewhere {
        len: u64,
        open: Arc<Open>,
    },
    /// Read by one store after another has begun to.
    Once {
        len: Option<u64>,
        body: Arc<Mutex<Option<ContentBody>>>,
    },
}

/// For the first who reads content that arrives.
struct First {
    reader: Option<Reader>,
    /// Where its bytes may be put, if they are few.
    room: BytesMut,
    /// For all who read it.
    gate: Option<Gate>,
}

impl Content {
    /// Content that lives elsewhere. `open` is called for each reading with the range of bytes wanted, never beyond `len`, and gives
    /// just these, or an error.
    pub fn from_fn<B>(len: u64, open: impl Fn(Range<u64>) -> B + Send + Sync + 'static) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let open = Arc::new(move |range| open(range).map_err(Into::into).boxed_unsync());
        Self { source: Source::Other(Other::Elsewhere { len, open }), trailers: None }
    }

    /// The same content with trailer fields behind it (RFC 9110 section 6.5).
    #[must_use]
    pub fn with_trailers(mut self, trailers: Option<HeaderMap>) -> Self {
        self.trailers = trailers.filter(|trailers| !trailers.is_empty()).map(Arc::new);
        self
    }

    /// The length in bytes. `None` while it is arriving and nobody knows.
    pub fn len(&self) -> Option<u64> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes.len() as u64),
            Source::Other(Other::Pieces(pieces)) => Some(pieces.len()),
            Source::Other(Other::Arriving { rope, .. }) => rope.declared(),
            Source::Other(Other::Elsewhere { len, .. }) => Some(*len),
            Source::Other(Other::Once { len, .. }) => *len,
        }
    }

    /// True if there is nothing to read. Content that is arriving is not known to be empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// As [`read`](Self::read), where the handle is not needed any more.
    #[inline]
    pub(crate) fn into_body(self) -> ContentBody {
        match self.source {
            Source::Bytes(bytes) => {
                ContentBody { reading: Reading::Bytes(bytes), trailers: self.trailers }
            }
            Source::Other(_) => self.read(),
        }
    }

    /// Reads all of it. An error in the body, or its end before [`len`](Self::len), means that it is not complete.
    pub fn read(&self) -> ContentBody {
        let reading = match &self.source {
            Source::Bytes(bytes) => Reading::Bytes(bytes.clone()),
            Source::Other(Other::Pieces(pieces)) => Reading::of_pieces(pieces.read(0..u64::MAX)),
            Source::Other(Other::Arriving { rope, first }) => {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                let (made, gate) = (first.reader.take(), first.gate.clone());
                drop(first);
                Reading::of_rope(made.or_else(|| rope.store_reader()), gate)
            }
            Source::Other(Other::Elsewhere { len, open }) => {
                Reading::Elsewhere { body: open(0..*len), left: *len, cut: Cut::Store }
            }
            Source::Other(Other::Once { body, .. }) => {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
                body.map_or(Reading::Failed, |body| Reading::Chain([body].into()))
            }
        };
        ContentBody { reading, trailers: self.trailers.clone() }
    }

    /// Reads a part of it, without trailers. What lies beyond its end is left out.
    pub fn read_range(&self, range: Range<u64>) -> ContentBody {
        let range = range.start..range.end.min(self.len().unwrap_or(range.end));
        if range.is_empty() {
            return ContentBody { reading: Reading::Bytes(Bytes::new()), trailers: None };
        }
        let reading = match &self.source {
            Source::Bytes(bytes) => Reading::Bytes(slice(bytes, &range)),
            Source::Other(Other::Pieces(pieces)) => Reading::of_pieces(pieces.read(range)),
            Source::Other(Other::Arriving { rope, first }) => {
                let gate = first.lock().unwrap_or_else(PoisonError::into_inner).gate.clone();
                Reading::of_rope(rope.reader(range), gate)
            }
            Source::Other(Other::Elsewhere { open, .. }) => Reading::Elsewhere {
                left: range.end.saturating_sub(range.start),
                body: open(range),
                cut: Cut::Store,
            },
            Source::Other(Other::Once { .. }) => Reading::Failed,
        };
        ContentBody { reading, trailers: None }
    }

    /// Reads all of it into memory, into buffers of the right size. What a store does that keeps bytes.
    ///
    /// What is longer than 1 MiB is copied into several, of that length at most. But a large frame of long content is kept as it is, however long, if it is nearly all of its buffer and nobody
    /// else has that any more.
    ///
    /// # Errors
    /// If the content breaks off.
    ///
    /// # Cancel safety
    /// Dropping the future drops what was read.
    pub async fn collect(&self) -> Result<Self, StoreError> {
        self.collect_within(|_| Ok(())).await
    }

    /// As [`collect`](Self::collect), as long as so many bytes fit.
    pub(crate) async fn collect_within(
        &self,
        mut fit: impl FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        if self.is_in_memory() {
            return Ok(self.clone());
        }
        fit(self.len().unwrap_or(0))?;
        let mut body = self.read();
        let (mut bytes, mut trailers) = (Filling::into(self.buffer(), self.len()), None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    fit(bytes.len().saturating_add(data.len() as u64))?;
                    bytes.push(data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(bytes.finish().with_trailers(trailers))
    }

    /// An empty buffer to read it into: the room behind the values of its head, if there is any, which only the first one gets.
    pub(crate) fn buffer(&self) -> BytesMut {
        let mut buffer = match &self.source {
            Source::Other(Other::Arriving { first, .. }) => {
                std::mem::take(&mut first.lock().unwrap_or_else(PoisonError::into_inner).room)
            }
            Source::Bytes(_) | Source::Other(_) => BytesMut::new(),
        };
        let expected = usize::try_from(self.len().unwrap_or(0)).unwrap_or(usize::MAX);
        // A length that was only declared reserves no more.
        buffer.reserve(expected.min(PIECE));
        buffer
    }

    /// The bytes, if they are in memory and in one piece. What is longer than 1 MiB and was read by [`collect`](Self::collect) or by `MemoryStore` is not.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::Other(_) => None,
        }
    }

    /// Reading it neither waits nor fails.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Bytes(_) | Source::Other(Other::Pieces(_)))
    }

    /// The trailer fields, once they are known.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    pub(super) fn of_pieces(pieces: Pieces) -> Self {
        Self { source: Source::Other(Other::Pieces(pieces)), trailers: None }
    }

    /// What a store reads: a rope, a reader that was there before the first chunk, and room for it if it is small.
    pub(crate) fn arriving(rope: Rope, first: Reader, room: BytesMut) -> Self {
        let first = Arc::new(Mutex::new(First { reader: Some(first), room, gate: None }));
        Self { source: Source::Other(Other::Arriving { rope, first }), trailers: None }
    }

    /// Who reads it from now on comes to its end when this has come true, and gets an error if it does not. False if the content is not arriving.
    pub(crate) fn hold_end(&self, until: impl Future<Output = bool> + Send + 'static) -> bool {
        let Source::Other(Other::Arriving { first, .. }) = &self.source else { return false };
        first.lock().unwrap_or_else(PoisonError::into_inner).gate = Some(until.boxed().shared());
        true
    }

    /// What can be read once more: `body` has all of it, in part perhaps from memory.
    pub(crate) fn once(len: Option<u64>, body: ContentBody) -> Self {
        Self {
            source: Source::Other(Other::Once { len, body: Arc::new(Mutex::new(Some(body))) }),
            trailers: None,
        }
    }
}

fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (at(range.start), at(range.end));
    if start >= end { Bytes::new() } else { bytes.slice(start..end) }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Bytes(bytes), trailers: None }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("len", &self.len()).finish_non_exhaustive()
    }
}
