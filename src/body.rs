//! The body of a response: the inner service's own, untouched, or stored content.
use crate::{BoxError, ContentBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// Response body of [`CdnCache`](crate::CdnCache): the inner service's own body, unboxed and untouched, or stored content,
    /// which may still be arriving. An error means that the body is not complete.
    ///
    /// If a body breaks off at once, hyper's server may close the connection before it has sent the head; `examples/edge/last.rs` shows how to let the head go
    /// out first.
    ///
    /// # Cancel safety
    /// Dropping a forwarded body drops the inner service's. Dropping a stored one does nothing to anybody else.
    #[derive(Debug)]
    pub struct CacheBody<B> { #[pin] inner: Inner<B> }
}

pin_project! {
    #[project = InnerProj]
    #[derive(Debug)]
    enum Inner<B> {
        Forwarded { #[pin] body: B },
        Stored { body: ContentBody },
        Begun { read: VecDeque<Next>, rest: Pin<Box<CacheBody<B>>> },
        Empty,
    }
}

type Next = Result<Frame<Bytes>, BoxError>;

impl<B> CacheBody<B> {
    pub(crate) fn forwarded(body: B) -> Self {
        Self { inner: Inner::Forwarded { body } }
    }

    pub(crate) fn stored(body: ContentBody) -> Self {
        Self { inner: Inner::Stored { body } }
    }

    /// What was read of a body already, and the rest of it.
    pub(crate) fn begun(read: VecDeque<Next>, rest: Pin<Box<Self>>) -> Self {
        Self { inner: Inner::Begun { read, rest } }
    }

    pub(crate) fn empty() -> Self {
        Self { inner: Inner::Empty }
    }
}

/// An empty body: what layers outside ask for that answer on their own, such as a timeout.
impl<B> Default for CacheBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Forwarded { body } => body.poll_frame(cx).map_err(Into::into),
            InnerProj::Stored { body } => Pin::new(body).poll_frame(cx),
            InnerProj::Begun { read, rest } => match read.pop_front() {
                Some(next) => Poll::Ready(Some(next)),
                None => rest.as_mut().poll_frame(cx),
            },
            InnerProj::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Forwarded { body } => body.is_end_stream(),
            Inner::Stored { body } => body.is_end_stream(),
            Inner::Begun { read, rest } => read.is_empty() && rest.is_end_stream(),
            Inner::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Forwarded { body } => body.size_hint(),
            Inner::Stored { body } => body.size_hint(),
            Inner::Begun { read, rest } => read.iter().flatten().filter_map(Frame::data_ref).fold(
                rest.size_hint(),
                |mut hint, data| {
                    let more = data.len() as u64;
                    if let Some(upper) = hint.upper() {
                        hint.set_upper(upper.saturating_add(more));
                    }
                    hint.set_lower(hint.lower().saturating_add(more));
                    hint
                },
            ),
            Inner::Empty => SizeHint::with_exact(0),
        }
    }
}
