//! Content (RFC 9110 section 6.4) as a handle: clone it, read it many times, read parts of it.
use super::rope::{Next, Reader, Rope};
use crate::{
    BoxError, StoreError,
    error::{ContentError, Cut},
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
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
    trailers: Option<Arc<HeaderMap>>,
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
    #[cfg(feature = "tiered")]
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
            Source::Other(Other::Arriving { rope, .. }) => rope.declared(),
            Source::Other(Other::Elsewhere { len, .. }) => Some(*len),
            #[cfg(feature = "tiered")]
            Source::Other(Other::Once { len, .. }) => *len,
        }
    }

    /// True if there is nothing to read. Content that is arriving is not known to be empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// As [`read`](Self::read), where the handle is not needed any more.
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
            Source::Other(Other::Arriving { rope, first }) => {
                let made = first.lock().unwrap_or_else(PoisonError::into_inner).reader.take();
                made.or_else(|| rope.store_reader()).map_or(Reading::Failed, Reading::Arriving)
            }
            Source::Other(Other::Elsewhere { len, open }) => {
                Reading::Elsewhere { body: open(0..*len), left: *len }
            }
            #[cfg(feature = "tiered")]
            Source::Other(Other::Once { body, .. }) => {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
                body.map_or(Reading::Failed, |body| Reading::Chain(VecDeque::from([body])))
            }
        };
        ContentBody { reading, trailers: self.trailers.clone() }
    }

    /// Reads a part of it, without trailers.
    pub fn read_range(&self, range: Range<u64>) -> ContentBody {
        let range = range.start..range.end.min(self.len().unwrap_or(range.end));
        let reading = match &self.source {
            Source::Bytes(bytes) => Reading::Bytes(slice(bytes, &range)),
            Source::Other(Other::Arriving { rope, .. }) => {
                rope.reader(range).map_or(Reading::Failed, Reading::Arriving)
            }
            Source::Other(Other::Elsewhere { open, .. }) => Reading::Elsewhere {
                left: range.end.saturating_sub(range.start),
                body: open(range),
            },
            #[cfg(feature = "tiered")]
            Source::Other(Other::Once { .. }) => Reading::Failed,
        };
        ContentBody { reading, trailers: None }
    }

    /// Reads all of it into memory, into one buffer of just the right size. What a store does that keeps bytes.
    ///
    /// # Errors
    /// If the content breaks off.
    ///
    /// # Cancel safety
    /// Dropping the future drops what was read.
    pub async fn collect(&self) -> Result<Self, StoreError> {
        if let Source::Bytes(_) = &self.source {
            return Ok(self.clone());
        }
        let mut body = self.read();
        let (mut bytes, mut trailers) = (self.buffer(), None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Self::from_buffer(bytes).with_trailers(trailers))
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
        buffer.reserve(expected.min(RESERVED_AT_ONCE));
        buffer
    }

    /// The bytes, if they are in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::Other(_) => None,
        }
    }

    /// The trailer fields, once they are known.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// What was read, in a buffer of its size.
    pub(crate) fn from_buffer(buffer: BytesMut) -> Self {
        if buffer.len() == buffer.capacity() {
            return buffer.freeze().into();
        }
        let mut bytes = Vec::from(buffer);
        bytes.shrink_to_fit();
        Bytes::from(bytes).into()
    }

    /// What a store reads: a rope, a reader that was there before the first chunk, and room for it if it is small.
    pub(crate) fn arriving(rope: Rope, first: Reader, room: BytesMut) -> Self {
        let first = Arc::new(Mutex::new(First { reader: Some(first), room }));
        Self { source: Source::Other(Other::Arriving { rope, first }), trailers: None }
    }

    /// What can be read once more: `body` has all of it, in part perhaps from memory.
    #[cfg(feature = "tiered")]
    pub(crate) fn once(len: Option<u64>, body: ContentBody) -> Self {
        Self {
            source: Source::Other(Other::Once { len, body: Arc::new(Mutex::new(Some(body))) }),
            trailers: None,
        }
    }
}

/// A length that was only declared reserves no more than this.
const RESERVED_AT_ONCE: usize = 1024 * 1024;

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

/// One reading of a [`Content`]. A body that ends without an error is complete.
pub struct ContentBody {
    reading: Reading,
    trailers: Option<Arc<HeaderMap>>,
}

enum Reading {
    /// Not yet yielded; empty once it was.
    Bytes(Bytes),
    Arriving(Reader),
    Elsewhere {
        body: UnsyncBoxBody<Bytes, BoxError>,
        left: u64,
    },
    /// One after the other.
    Chain(VecDeque<ContentBody>),
    Failed,
}

impl ContentBody {
    pub(crate) fn arriving(reader: Reader) -> Self {
        Self { reading: Reading::Arriving(reader), trailers: None }
    }

    /// One body behind the other, without trailers.
    pub(crate) fn chain(bodies: Vec<Self>) -> Self {
        Self { reading: Reading::Chain(bodies.into()), trailers: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let end = match &mut self.reading {
                Reading::Bytes(bytes) if bytes.is_empty() => None,
                Reading::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
                Reading::Arriving(reader) => match ready!(reader.poll_next(cx.waker())) {
                    Next::Chunk(bytes) => Some(Ok(Frame::data(bytes))),
                    Next::End(trailers) => {
                        self.trailers = trailers;
                        self.reading = Reading::Bytes(Bytes::new());
                        None
                    }
                    Next::Stored(content, range) => {
                        if content.len().is_some_and(|len| range.end >= len) {
                            self.trailers = content.trailers.clone();
                        }
                        self.reading = content.read_range(range).reading;
                        continue;
                    }
                    Next::Cut(cut) => Some(Err(ContentError(cut))),
                },
                Reading::Elsewhere { body, left } => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                        match left.checked_sub(len) {
                            Some(rest) => *left = rest,
                            None => return self.fail(Cut::Store),
                        }
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Some(Err(error)) => {
                        self.reading = Reading::Bytes(Bytes::new());
                        return Poll::Ready(Some(Err(error)));
                    }
                    None if *left > 0 => Some(Err(ContentError(Cut::Store))),
                    None => None,
                },
                Reading::Chain(bodies) => {
                    let Some(body) = bodies.front_mut() else { return Poll::Ready(None) };
                    match ready!(body.poll_next(cx)) {
                        Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                        Some(Err(error)) => {
                            bodies.clear();
                            return Poll::Ready(Some(Err(error)));
                        }
                        None => {
                            bodies.pop_front();
                            continue;
                        }
                    }
                }
                Reading::Failed => Some(Err(ContentError(Cut::Store))),
            };
            return match end {
                Some(Err(ContentError(cut))) => self.fail(cut),
                Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
                None => {
                    let trailers = self.trailers.take().map(|trailers| (*trailers).clone());
                    Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
                }
            };
        }
    }

    fn fail(&mut self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.reading = Reading::Bytes(Bytes::new());
        self.trailers = None;
        Poll::Ready(Some(Err(ContentError(cut).into())))
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.reading, Reading::Bytes(bytes) if bytes.is_empty())
            && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let size = self.size();
        match size.exact() {
            // A server that knows the size of HTTP/1.1 content leaves no room for trailers (RFC 9112 section 6.3).
            Some(exact) if self.trailers.is_some() => {
                let mut open = SizeHint::new();
                open.set_lower(exact);
                open
            }
            _ => size,
        }
    }
}

impl ContentBody {
    fn size(&self) -> SizeHint {
        match &self.reading {
            Reading::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Reading::Arriving(reader) => reader.size_hint(),
            Reading::Elsewhere { left, .. } => SizeHint::with_exact(*left),
            Reading::Chain(bodies) => {
                let sizes = bodies.iter().map(|body| body.size_hint().exact());
                sizes.sum::<Option<u64>>().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Reading::Failed => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ContentBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentBody")
    }
}
