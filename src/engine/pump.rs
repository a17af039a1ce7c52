//! From the origin's body to the rope, as fast as the readers allow.
use super::flight::Lead;
use crate::{
    policy::Limits,
    stored::rope::{Room, Rope, Writer},
};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// Any way out but the last line truncates the rope.
pub(crate) async fn pump<B>(body: B, writer: Writer, rope: &Rope, lead: &Lead, limits: &Limits)
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut arrived = 0_u64;
    let mut trailers = None;
    let mut patience = Patience(limits.stall_timeout);
    loop {
        let frame = poll_fn(|cx| {
            if writer.is_abandoned(cx.waker()) {
                return Poll::Ready(Incoming::Abandoned);
            }
            body.as_mut().poll_frame(cx).map(|frame| match frame {
                None => Incoming::End,
                Some(Err(_)) => Incoming::Broken,
                Some(Ok(frame)) => Incoming::Frame(frame),
            })
        });
        match frame.await {
            Incoming::Frame(frame) => match frame.into_data() {
                Ok(chunk) => {
                    arrived = arrived.saturating_add(chunk.len() as u64);
                    if rope.declared().is_some_and(|declared| arrived > declared) {
                        return;
                    }
                    if arrived > limits.max_object {
                        rope.refuse_store();
                    }
                    writer.push(chunk);
                    if patience.make_room(&writer).await.is_err() {
                        return;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Incoming::End => break,
            Incoming::Broken | Incoming::Abandoned => return,
        }
    }
    if rope.declared().is_some_and(|declared| arrived != declared) {
        return;
    }
    if !lead.may_store() {
        rope.refuse_store();
    }
    writer.finish(trailers);
}

enum Incoming {
    Frame(Frame<Bytes>),
    End,
    Broken,
    /// Nobody reads any more.
    Abandoned,
}

/// The time for which slow readers may still hold up others.
struct Patience(Duration);

impl Patience {
    /// Waits until the window has room. An error means that nobody reads any more.
    async fn make_room(&mut self, writer: &Writer) -> Result<(), ()> {
        let mut stall: Option<(Instant, Pin<Box<Sleep>>)> = None;
        let room = poll_fn(|cx| self.poll_room(writer, &mut stall, cx)).await;
        if let Some((since, _)) = stall {
            self.0 = self.0.saturating_sub(since.elapsed());
        }
        room
    }

    fn poll_room(
        &self,
        writer: &Writer,
        stall: &mut Option<(Instant, Pin<Box<Sleep>>)>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        loop {
            match writer.room(cx.waker()) {
                Room::Free => return Poll::Ready(Ok(())),
                Room::Closed => return Poll::Ready(Err(())),
                Room::Paced => return Poll::Pending,
                Room::Stalled => {
                    let (_, timer) =
                        stall.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(self.0))));
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    // Changes the answer: those who hold up are not asked any more.
                    writer.leave_laggards_behind();
                }
            }
        }
    }
}
