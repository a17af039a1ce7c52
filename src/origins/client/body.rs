//! The body of a response: it may not pause for too long.
use crate::origins::OriginError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

/// Response body of [`HttpOrigin`](super::HttpOrigin). An error means that it is not complete: the connection broke, or the origin paused for longer than
/// [`between_bytes_timeout`](super::HttpOriginBuilder::between_bytes_timeout).
///
/// # Cancel safety
/// Dropping it before its end closes the connection.
#[derive(Default)]
pub struct HttpBody(Option<Reading>);

struct Reading {
    body: Incoming,
    limit: Duration,
    /// Runs while somebody waits for the origin.
    pause: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// Of the connection, among those in use.
    _place: OwnedSemaphorePermit,
}

impl HttpBody {
    pub(super) fn new(body: Incoming, limit: Duration, place: OwnedSemaphorePermit) -> Self {
        let reading = Reading { body, limit, pause: None, is_waiting: false, _place: place };
        Self((!reading.body.is_end_stream()).then_some(reading))
    }
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let Some(reading) = &mut self.0 else { return Poll::Ready(None) };
        let frame = match Pin::new(&mut reading.body).poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(OriginError::failed)),
            Poll::Pending if reading.poll_pause(cx).is_pending() => return Poll::Pending,
            Poll::Pending => Some(Err(OriginError::timed_out())),
        };
        reading.is_waiting = false;
        if !matches!(frame, Some(Ok(_))) || reading.body.is_end_stream() {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|reading| reading.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |reading| reading.body.size_hint())
    }
}

impl Reading {
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // So far away that it never comes, if the limit is that long.
        let deadline = || Instant::now().checked_add(self.limit);
        if !self.is_waiting {
            let Some(deadline) = deadline() else { return Poll::Pending };
            match &mut self.pause {
                Some(pause) => pause.as_mut().reset(deadline),
                None => self.pause = Some(Box::pin(sleep_until(deadline))),
            }
            self.is_waiting = true;
        }
        self.pause.as_mut().map_or(Poll::Pending, |pause| pause.as_mut().poll(cx))
    }
}

impl fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpBody")
    }
}
