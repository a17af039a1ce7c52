//! The body of a request on its way to the origin, and a clock that knows whose turn it is.
//!
//! A large upload may take an hour before the origin has reason to answer. So the time the origin
//! has for its response head does not run while the proxy waits for the client's bytes: for these there is
//! another one, until the head is there. Then the request may go on for as long as the response does.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use crate::wire::Piece;

/// The wait for the response head ended without it.
#[derive(Debug)]
pub(crate) enum Late {
    Origin,
    /// The client sent nothing for so long.
    Client(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The client has owed the next part of the body since this instant.
    Client(Instant),
    /// The origin has to take, or to answer, what was handed over at this instant.
    Origin(Instant),
    /// The client's body broke.
    Broken,
}

/// For who waits for the response, and for the body if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// `None` without a body: it is the origin's turn from the start, and nobody changes that.
    turn: Option<Arc<Mutex<Turn>>>,
    /// How long the client may send nothing.
    patience: Option<Duration>,
}

impl Clock {
    fn turn(&self) -> Turn {
        match &self.turn {
            Some(turn) => *turn.lock().unwrap_or_else(PoisonError::into_inner),
            None => Turn::Origin(self.start),
        }
    }

    fn set(&self, now: Turn) {
        if let Some(turn) = &self.turn {
            *turn.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// The client is asked for more, perhaps once again.
    fn ask(&self) {
        let Some(turn) = &self.turn else { return };
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*turn, Turn::Client(_)) {
            *turn = Turn::Client(Instant::now());
        }
    }

    /// When to look again whose turn it is, and since when: either's may begin or end meanwhile.
    fn next_look(&self, limit: Duration) -> Instant {
        let (origin, client) = match (self.turn(), self.patience) {
            (Turn::Origin(since), None) => return since + limit,
            (Turn::Origin(since), Some(patience)) => (since + limit, Instant::now() + patience),
            (Turn::Client(since), Some(patience)) => (Instant::now() + limit, since + patience),
            (Turn::Client(_), None) | (Turn::Broken, _) => return Instant::now() + limit,
        };
        origin.min(client)
    }

    /// Whether the request could not be sent whole, by the fault of the client.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.turn(), Turn::Broken)
    }

    /// Waits for `head` until it has been the origin's turn for `limit`, or the client's for too long.
    pub(crate) async fn bound<F: Future>(
        &self,
        limit: Duration,
        mut head: Pin<&mut F>,
    ) -> Result<F::Output, Late> {
        loop {
            if let Ok(head) = timeout_at(self.next_look(limit), head.as_mut()).await {
                return Ok(head);
            }
            let is_over = |since: Instant, limit| since + limit <= Instant::now();
            match (self.turn(), self.patience) {
                (Turn::Origin(since), _) if is_over(since, limit) => return Err(Late::Origin),
                (Turn::Client(since), Some(patience)) if is_over(since, patience) => {
                    return Err(Late::Client(patience));
                }
                (Turn::Broken, _) => return Err(Late::Origin),
                (Turn::Origin(_) | Turn::Client(_), _) => {}
            }
        }
    }
}

/// A request's body that keeps a [`Clock`].
#[derive(Debug)]
pub(crate) struct Upload<B> {
    /// `None` is an empty one.
    body: Option<B>,
    clock: Clock,
}

impl<B: Body> Upload<B> {
    /// The body, and the clock that starts now. The client may send nothing for as long as `patience`.
    pub(crate) fn new(body: B, patience: Option<Duration>) -> (Self, Clock) {
        let start = Instant::now();
        let turn = (!body.is_end_stream()).then(|| Arc::new(Mutex::new(Turn::Origin(start))));
        let clock = Clock { start, turn, patience };
        (Self { body: Some(body), clock: clock.clone() }, clock)
    }

    /// Another one with the same clock, if it is empty.
    pub(crate) fn emptied(&self) -> Option<Self> {
        let is_empty = self.body.as_ref().is_none_or(Body::is_end_stream);
        is_empty.then(|| Self { body: None, clock: self.clock.clone() })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Upload<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let poll = Pin::new(body).poll_frame(cx);
        match &poll {
            Poll::Pending => self.clock.ask(),
            Poll::Ready(Some(Err(_))) => self.clock.set(Turn::Broken),
            Poll::Ready(_) => self.clock.set(Turn::Origin(Instant::now())),
        }
        poll.map_ok(|frame| frame.map_data(Piece))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use std::convert::Infallible;
    use std::future::pending;
    use std::pin::pin;
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Sends ten bytes, each after that time.
    fn slow(pause: Duration) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            let frame = Ok(Frame::data(Bytes::from_static(b"x")));
            (sent < 10).then_some((frame, sent + 1))
        });
        Box::pin(StreamBody::new(frames))
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_says_nothing_has_the_limit() {
        let (_body, clock) = Upload::new(http_body_util::Empty::<Bytes>::new(), None);
        let start = Instant::now();
        assert!(clock.bound(LIMIT, pin!(pending::<()>())).await.is_err());
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_does_not_run_while_the_client_is_slow() {
        let (mut upload, clock) = Upload::new(slow(LIMIT * 10), Some(LIMIT * 11));
        let start = Instant::now();
        let head = async {
            while upload.frame().await.is_some() {}
            tokio::time::sleep(LIMIT / 2).await;
        };
        assert!(clock.bound(LIMIT, pin!(head)).await.is_ok());
        assert_eq!(start.elapsed(), LIMIT * 110 + LIMIT / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_has_its_own_limit() {
        for patience in [LIMIT / 2, LIMIT * 3] {
            let (mut upload, clock) = Upload::new(slow(LIMIT * 10), Some(patience));
            let start = Instant::now();
            let head = async {
                // It is asked more than once.
                while timeout(patience / 4, upload.frame()).await.is_err() {}
            };
            let late = clock.bound(LIMIT, pin!(head)).await;
            assert!(matches!(late, Err(Late::Client(time)) if time == patience), "{late:?}");
            assert_eq!(start.elapsed(), patience);
        }
    }
}
