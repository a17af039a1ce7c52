//! The body of a request on its way to an origin: it tells when it is over, and whether it broke.
use crate::BoxError;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// The client's body, or none.
pub(super) struct Upload<Q> {
    body: Option<Pin<Box<Q>>>,
    /// Dropped at the end.
    ended: Option<oneshot::Sender<()>>,
    broke: Arc<AtomicBool>,
}

impl<Q: Body> Upload<Q> {
    pub(super) fn of(body: Q) -> Self {
        Self { body: (!body.is_end_stream()).then(|| Box::pin(body)), ..Self::empty() }
    }

    pub(super) fn empty() -> Self {
        Self { body: None, ended: None, broke: Arc::default() }
    }

    /// Resolves at the end of the body, or when it is dropped.
    pub(super) fn ended(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.ended = self.body.is_some().then_some(sender);
        receiver
    }

    /// Becomes true if the client breaks the body off.
    pub(super) fn broke(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.broke)
    }
}

impl<Q> Body for Upload<Q>
where
    Q: Body,
    Q::Error: Into<BoxError>,
{
    type Data = Q::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Q::Data>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let is_over = frame.is_none() || body.is_end_stream();
        if let Some(Err(_)) = frame {
            self.broke.store(true, Ordering::Release);
        }
        if is_over {
            self.ended = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}
