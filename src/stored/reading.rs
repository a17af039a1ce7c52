//! Content while it is read.
use super::{
    pieces::Slices,
    rope::{Next, Reader},
};
use crate::{
    BoxError,
    error::{ContentError, Cut},
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// One reading of a [`Content`](crate::Content). A body that ends without an error is complete.
pub struct ContentBody {
    pub(super) reading: Reading,
    pub(super) trailers: Option<Arc<HeaderMap>>,
}

pub(super) enum Reading {
    /// Not yet yielded; empty once it was.
    Bytes(Bytes),
    /// Some are left.
    Pieces(Slices),
    Arriving(Reader),
    /// The same, with an end that has to wait.
    Held(Box<(Reader, Gate)>),
    Elsewhere {
        body: UnsyncBoxBody<Bytes, BoxError>,
        left: u64,
        /// What it is if that is not what comes.
        cut: Cut,
    },
    /// One after the other.
    Chain(VecDeque<ContentBody>),
    Failed,
}

/// Opens when it has come true; never, if that was false.
pub(super) type Gate = Shared<BoxFuture<'static, bool>>;

impl Reading {
    pub(super) fn of_pieces(slices: Slices) -> Self {
        if slices.len() == 0 { Self::Bytes(Bytes::new()) } else { Self::Pieces(slices) }
    }

    pub(super) fn of_rope(reader: Option<Reader>, gate: Option<Gate>) -> Self {
        match (reader, gate) {
            (None, _) => Self::Failed,
            (Some(reader), None) => Self::Arriving(reader),
            (Some(reader), Some(gate)) => Self::Held(Box::new((reader, gate))),
        }
    }
}

fn poll_held((reader, gate): &mut (Reader, Gate), cx: &mut Context<'_>) -> Poll<Next> {
    match ready!(reader.poll_next(cx.waker())) {
        Next::End(trailers) => Poll::Ready(match ready!(gate.poll_unpin(cx)) {
            true => Next::End(trailers),
            false => Next::Cut(Cut::NotStored),
        }),
        next => Poll::Ready(next),
    }
}

impl ContentBody {
    pub(crate) fn arriving(reader: Reader) -> Self {
        Self { reading: Reading::Arriving(reader), trailers: None }
    }

    /// A body of the inner service, which has to be so long.
    pub(crate) fn of_origin<B>(body: B, len: u64) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self { reading: Reading::Elsewhere { body, left: len, cut: Cut::Origin }, trailers: None }
    }

    /// One body behind the other, with the trailers of the last one.
    pub(crate) fn chain(bodies: Vec<Self>) -> Self {
        Self { reading: Reading::Chain(bodies.into()), trailers: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let end = match &mut self.reading {
                Reading::Bytes(bytes) if bytes.is_empty() => None,
                Reading::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
                Reading::Pieces(slices) => {
                    let slice = slices.next().ok_or(ContentError(Cut::Store));
                    if slices.len() == 0 {
                        self.reading = Reading::Bytes(Bytes::new());
                    }
                    Some(slice.map(Frame::data))
                }
                Reading::Arriving(reader) => {
                    let next = ready!(reader.poll_next(cx.waker()));
                    if let Some(end) = self.take(next) { end } else { continue }
                }
                Reading::Held(held) => {
                    let next = ready!(poll_held(held, cx));
                    if let Some(end) = self.take(next) { end } else { continue }
                }
                Reading::Elsewhere { body, left, cut } => {
                    match ready!(Pin::new(body).poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                            match left.checked_sub(len) {
                                Some(rest) => *left = rest,
                                None => {
                                    let cut = *cut;
                                    return self.fail(cut);
                                }
                            }
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Some(Err(error)) => return self.fail_with(error),
                        None if *left > 0 => Some(Err(ContentError(*cut))),
                        // A body need not bear to be asked again.
                        None => {
                            self.reading = Reading::Bytes(Bytes::new());
                            None
                        }
                    }
                }
                Reading::Chain(bodies) => {
                    let Some(body) = bodies.front_mut() else { return Poll::Ready(None) };
                    match ready!(body.poll_next(cx)) {
                        // What has come before was for another part.
                        Some(Ok(frame)) if frame.is_trailers() && bodies.len() > 1 => continue,
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

    /// What comes of the next of a rope; nothing yet if it goes on elsewhere.
    fn take(&mut self, next: Next) -> Option<Option<Result<Frame<Bytes>, ContentError>>> {
        Some(match next {
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
                return None;
            }
            Next::Cut(cut) => Some(Err(ContentError(cut))),
        })
    }

    fn fail(&mut self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.fail_with(ContentError(cut).into())
    }

    fn fail_with(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.reading = Reading::Bytes(Bytes::new());
        self.trailers = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ContentBody {
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // What most hits are, where the caller can inline it.
        match &mut *self {
            Self { reading: Reading::Bytes(bytes), .. } if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self { reading: Reading::Bytes(_), trailers: None } => Poll::Ready(None),
            body => body.poll_next(cx),
        }
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
            Reading::Pieces(slices) => SizeHint::with_exact(slices.len()),
            Reading::Arriving(reader) => reader.size_hint(),
            Reading::Held(held) => held.0.size_hint(),
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
