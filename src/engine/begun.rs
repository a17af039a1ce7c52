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

/// What has come of a body, and the rest of it.
pub(super) struct Begun<'a, B> {
    first: Option<thread::Result<Next>>,
    rest: Pin<&'a mut B>,
}

type Next = Option<Result<Frame<Bytes>, BoxError>>;

impl<'a, B> Begun<'a, B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    /// Nothing was asked for.
    pub(super) fn untouched(rest: Pin<&'a mut B>) -> Self {
        Self { first: None, rest }
    }

    /// The content, if all of it is there in one piece of this length. It waits for nothing.
    pub(super) async fn whole(mut rest: Pin<&'a mut B>, length: u64) -> Result<Bytes, Self> {
        if length == 0 && rest.is_end_stream() {
            return Ok(Bytes::new());
        }
        let polled = poll_fn(|cx| {
            let poll = || rest.as_mut().poll_frame(cx).map(|next| next.map(convert));
            Poll::Ready(catch_unwind(AssertUnwindSafe(poll)))
        });
        let first = match polled.await {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(Some(Ok(frame)))) if rest.is_end_stream() => match frame.into_data() {
                Ok(content) if content.len() as u64 == length => return Ok(content),
                Ok(content) => Some(Ok(Some(Ok(Frame::data(content))))),
                Err(frame) => Some(Ok(Some(Ok(frame)))),
            },
            Ok(Poll::Ready(next)) => Some(Ok(next)),
            // It goes on where the body is read: the head goes out before it.
            Err(panic) => Some(Err(panic)),
        };
        Err(Self { first, rest })
    }
}

fn convert(frame: Result<Frame<Bytes>, impl Into<BoxError>>) -> Result<Frame<Bytes>, BoxError> {
    frame.map_err(Into::into)
}

impl<B> Body for Begun<'_, B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        match self.first.take() {
            Some(Ok(next)) => Poll::Ready(next),
            Some(Err(panic)) => resume_unwind(panic),
            None => self.rest.as_mut().poll_frame(cx).map(|next| next.map(convert)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}
