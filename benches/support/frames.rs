//! Long bodies: many frames that are all the same bytes, so that they take no memory however long they are.
use super::{origin::fields, request::Ask};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};
use tower::Service;

pub(crate) const FRAME: usize = 64 * 1024;

/// How many frames of any body were sent.
pub(crate) static SENT: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Frames {
    frame: Bytes,
    left: usize,
    /// Whether it has others do something before each frame, as a socket does.
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All frames are there.
    AtOnce,
    /// The next one is not there yet.
    Waiting,
    Come,
}

/// What becomes of a long response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Long {
    /// It says that it may not be stored, and passes.
    Declined,
    /// It fits into the store.
    Stored,
    /// Nobody knows until it arrives that it does not fit.
    Outgrown,
}

impl Long {
    pub(crate) fn max_object(self) -> u64 {
        match self {
            Self::Declined | Self::Stored => 1 << 30,
            Self::Outgrown => 1 << 20,
        }
    }
}

/// Answers with so many frames.
#[derive(Clone)]
pub(crate) struct LongOrigin {
    pub(crate) frames: usize,
    pub(crate) kind: Long,
    pub(crate) pace: Pace,
}

impl Service<Ask> for LongOrigin {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        let mut response = Response::new(Frames::new(self.frames, self.pace));
        *response.headers_mut() = fields(0);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        if matches!(self.kind, Long::Declined) {
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        ready(Ok(response))
    }
}

impl Frames {
    pub(crate) fn new(count: usize, pace: Pace) -> Self {
        Self { frame: vec![b'x'; FRAME].into(), left: count, pace }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pace == Pace::Waiting {
            self.pace = Pace::Come;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.pace == Pace::Come {
            self.pace = Pace::Waiting;
        }
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        SENT.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.frame.clone()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    /// Its length is not told, as with a response in chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
