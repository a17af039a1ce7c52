//! The bodies of requests and of responses inside the cache. Both have an empty one.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::Peer;

type BoxError = Box<dyn Error + Send + Sync>;

/// A client's body, or the empty one of a request that is made here.
#[derive(Debug, Default)]
pub(crate) struct RequestBody(Option<Uploading>);

#[derive(Debug)]
struct Uploading {
    body: Incoming,
    client: Arc<Peer>,
    has_ended: bool,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming, client: &Arc<Peer>) -> Self {
        if body.is_end_stream() {
            return Self::default();
        }
        Self(Some(Uploading { body, client: Arc::clone(client), has_ended: false }))
    }

    /// How long the client may send nothing of it, if there is one.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.0.as_ref().map(|uploading| uploading.client.patience())
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if !self.has_ended {
            self.client.went_unheard();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(Uploading { body, has_ended, .. }) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut *body).poll_frame(cx);
        *has_ended |= matches!(frame, Poll::Ready(None)) || body.is_end_stream();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|uploading| uploading.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |it| it.body.size_hint())
    }
}

/// The origin's body, or a text that is made here.
pub(crate) struct OriginBody(Kind);

enum Kind {
    Text(Full<Bytes>),
    Arriving(Arriving),
}

struct Arriving {
    body: Incoming,
    /// How long it may pause while somebody waits for it.
    limit: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// Of the request among those that are under way.
    _place: Option<OwnedSemaphorePermit>,
}

impl OriginBody {
    pub(crate) fn arriving(
        body: Incoming,
        limit: Option<Duration>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let arriving = Arriving { body, limit, pause: None, is_waiting: false, _place: place };
        // What has no body needs no place any more.
        if arriving.body.is_end_stream() { Self::default() } else { Self(Kind::Arriving(arriving)) }
    }
}

impl Default for OriginBody {
    fn default() -> Self {
        Self(Kind::Text(Full::default()))
    }
}

impl From<Full<Bytes>> for OriginBody {
    fn from(text: Full<Bytes>) -> Self {
        Self(Kind::Text(text))
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let arriving = match &mut self.0 {
            Kind::Text(text) => return Pin::new(text).poll_frame(cx).map_err(Into::into),
            Kind::Arriving(arriving) => arriving,
        };
        let frame = match Pin::new(&mut arriving.body).poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Into::into)),
            Poll::Pending if arriving.poll_pause(cx).is_pending() => return Poll::Pending,
            Poll::Pending => Some(Err(Paused.into())),
        };
        arriving.is_waiting = false;
        if !matches!(frame, Some(Ok(_))) {
            *self = Self::default();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Text(text) => text.is_end_stream(),
            Kind::Arriving(arriving) => arriving.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Text(text) => text.size_hint(),
            Kind::Arriving(arriving) => arriving.body.size_hint(),
        }
    }
}

impl Arriving {
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting {
            // If the limit is that long it never comes.
            let deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
            let Some(deadline) = deadline else { return Poll::Pending };
            match &mut self.pause {
                Some(pause) => pause.as_mut().reset(deadline),
                None => self.pause = Some(Box::pin(sleep_until(deadline))),
            }
            self.is_waiting = true;
        }
        self.pause.as_mut().map_or(Poll::Pending, |pause| pause.as_mut().poll(cx))
    }
}

/// The origin paused for too long within a body.
#[derive(Debug)]
struct Paused;

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin paused for too long")
    }
}

impl Error for Paused {}
