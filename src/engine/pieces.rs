//! Content put together from pieces (RFC 9111 section 3.4).
use super::look_up::Found;
use crate::{
    BoxError, ContentBody,
    stored::{Content, Parts, Piece, Whose},
};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Reads the pieces of two contents into one. `None` if one of them is not there.
pub(crate) async fn join(
    old: &Found,
    new: &Content,
    new_parts: &Parts,
    pieces: &[Piece],
) -> Option<Content> {
    let mut bytes = Vec::new();
    for (whose, range) in pieces {
        let part = match whose {
            Whose::Old => old.content.read_range(old.head.part.as_ref()?.locate(range)?),
            Whose::New => new.read_range(new_parts.locate(range)?),
        };
        bytes.extend_from_slice(&part.collect().await.ok()?.to_bytes());
    }
    bytes.shrink_to_fit();
    Some(Content::from(Bytes::from(bytes)))
}

pin_project! {
    /// A body between two stored pieces.
    pub(crate) struct Around<B> {
        before: Option<ContentBody>,
        #[pin]
        middle: B,
        is_over: bool,
        after: ContentBody,
    }
}

impl<B> Around<B> {
    pub(crate) fn new(before: ContentBody, middle: B, after: ContentBody) -> Self {
        Self { before: Some(before), middle, is_over: false, after }
    }
}

impl<B> Body for Around<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(before) = this.before {
            match ready!(Pin::new(before).poll_frame(cx)) {
                Some(frame) => return Poll::Ready(Some(frame)),
                None => *this.before = None,
            }
        }
        if !*this.is_over {
            match ready!(this.middle.poll_frame(cx)) {
                Some(frame) => return Poll::Ready(Some(frame.map_err(Into::into))),
                None => *this.is_over = true,
            }
        }
        Pin::new(this.after).poll_frame(cx)
    }
}
