//! A body whose error comes a moment after what was before it.
//!
//! hyper's server gathers the head of a response and the first parts of its body before it writes.
//! If the body fails while it gathers, it drops the connection and all that; over HTTP/2 the reset
//! of the stream overtakes it. The client then sees no response at all. So the error waits: that
//! makes hyper write what it has.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// For HTTP/1 any time would do; for HTTP/2 the task of the connection has to have its turn.
const PAUSE: Duration = Duration::from_millis(10);

type BoxError = Box<dyn Error + Send + Sync>;

pin_project_lite::pin_project! {
    /// Passes on what `body` yields, and its error last.
    #[derive(Debug)]
    pub(crate) struct ErrorLast<B> {
        #[pin]
        body: B,
        error: Option<Delayed>,
    }
}

#[derive(Debug)]
struct Delayed {
    error: BoxError,
    sleep: Pin<Box<Sleep>>,
}

impl<B> ErrorLast<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, error: None }
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for ErrorLast<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if this.error.is_none() {
            match ready!(this.body.poll_frame(cx)) {
                Some(Err(error)) => {
                    let sleep = Box::pin(sleep(PAUSE));
                    *this.error = Some(Delayed { error: error.into(), sleep });
                }
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                None => return Poll::Ready(None),
            }
        }
        if let Some(delayed) = this.error {
            ready!(delayed.sleep.as_mut().poll(cx));
        }
        // Once: hyper asks no more of a body that failed.
        Poll::Ready(this.error.take().map(|delayed| Err(delayed.error)))
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    #[tokio::test(start_paused = true)]
    async fn an_error_comes_last_and_not_at_once() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err("broken")];
        let mut body = ErrorLast::new(StreamBody::new(stream::iter(frames)));
        let first = body.frame().now_or_never().flatten().expect("at once").expect("a frame");
        assert_eq!(first.into_data().ok().as_deref(), Some(&b"half"[..]));
        assert!(body.frame().now_or_never().is_none());
        let error = body.frame().await.expect("an end").expect_err("an error");
        assert_eq!(error.to_string(), "broken");
        assert!(body.frame().await.is_none());
    }
}
