//! A body whose first frame is asked for before anybody reads it: content that is there already, as that of a service in this process mostly is, needs no rope.
use crate::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
    thread,
};

/// What has come of a body, and the rest of it, which is dropped with this.
pub(super) struct ReadAhead<'a, B> {
    first: Option<thread::Result<Next>>,
    rest: Pin<&'a mut Option<B>>,
}

type Next = Option<Result<Frame<Bytes>, BoxError>>;

impl<'a, B> ReadAhead<'a, B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    /// Nothing was asked for.
    pub(super) fn nothing(body: Pin<&'a mut Option<B>>) -> Self {
        Self { first: None, rest: body }
    }

    /// The content, if all of it is there in one piece of this length. It waits for nothing.
    pub(super) async fn all(body: Pin<&'a mut Option<B>>, length: u64) -> Result<Bytes, Self> {
        let mut ahead = Self::nothing(body);
        if length == 0 && ahead.is_end_stream() {
            return Ok(Bytes::new());
        }
        let polled =
            poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| ahead.poll_rest(cx)))));
        ahead.first = match polled.await {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(Some(Ok(frame)))) if ahead.is_end_stream() => match frame.into_data() {
                Ok(content) if content.len() as u64 == length => return Ok(content),
                Ok(content) => Some(Ok(Some(Ok(Frame::data(content))))),
                Err(frame) => Some(Ok(Some(Ok(frame)))),
            },
            Ok(Poll::Ready(next)) => Some(Ok(next)),
            // It goes on where the body is read: the head goes out before it.
            Err(panic) => Some(Err(panic)),
        };
        Err(ahead)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match self.rest.as_mut().as_pin_mut() {
            Some(rest) => rest.poll_frame(cx).map(|next| next.map(convert)),
            None => Poll::Ready(None),
        }
    }
}

/// Not only when the pinned place goes: that may be when a store has done.
impl<B> Drop for ReadAhead<'_, B> {
    fn drop(&mut self) {
        self.rest.set(None);
    }
}

fn convert(frame: Result<Frame<Bytes>, impl Into<BoxError>>) -> Result<Frame<Bytes>, BoxError> {
    frame.map_err(Into::into)
}

impl<B> Body for ReadAhead<'_, B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        match self.first.take() {
            Some(Ok(next)) => Poll::Ready(next),
            Some(Err(panic)) => resume_unwind(panic),
            None => self.poll_rest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.rest.as_ref().as_pin_ref().is_none_or(|rest| rest.is_end_stream())
    }
}
