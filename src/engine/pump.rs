//! From the origin's body to the rope, as fast as the readers allow.
use super::{flight::Lead, within::within};
use crate::{
    CachePolicy,
    error::Cut,
    policy::Limits,
    semantics::{directives::Directives, trailers},
    stored::rope::{Room, Rope, Writer},
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, Sleep, sleep},
};

/// All of a body has arrived.
pub(crate) struct Arrived {
    /// Those that others may have as well.
    pub(crate) trailers: Option<HeaderMap>,
}

/// `None` if it has not all arrived. `directives` are those of the response.
pub(crate) async fn pump<B>(
    body: B,
    directives: &Directives,
    writer: &Writer,
    rope: &Rope,
    lead: &Lead,
    policy: &CachePolicy,
) -> Option<Arrived>
where
    B: Body<Data = Bytes>,
{
    let limits = &policy.limits;
    let mut body = pin!(body);
    let mut arrived = 0_u64;
    let mut trailer_section = None;
    let mut patience = Patience::new(limits, rope);
    let mut is_shared = true;
    loop {
        let mut frame = poll_fn(|cx| {
            if writer.is_abandoned(cx.waker()) {
                return Poll::Ready(Incoming::Abandoned);
            }
            body.as_mut().poll_frame(cx).map(|frame| match frame {
                None => Incoming::End,
                Some(Err(_)) => Incoming::Broken,
                Some(Ok(frame)) => Incoming::Frame(frame),
            })
        });
        let incoming = match within(limits.body_timeout, &mut frame).await {
            Ok(incoming) => incoming,
            Err(_) => {
                // Those who come now fetch for themselves: this one may never end.
                if std::mem::take(&mut is_shared) {
                    lead.leave_table();
                    rope.refuse_store(Cut::NotStored);
                }
                frame.await
            }
        };
        match incoming {
            Incoming::Frame(frame) => match frame.into_data() {
                Ok(chunk) => {
                    arrived = arrived.saturating_add(chunk.len() as u64);
                    if rope.declared().is_some_and(|declared| arrived > declared) {
                        return None;
                    }
                    if arrived > limits.max_object {
                        rope.refuse_store(Cut::TooLarge);
                    }
                    let is_first = arrived == chunk.len() as u64;
                    writer.push(chunk);
                    // However much more is ready: those who wait get the first byte first.
                    if is_first && !body.is_end_stream() && rope.declared() != Some(arrived) {
                        yield_now().await;
                    }
                    if patience.make_room(writer).await.is_err() {
                        return None;
                    }
                }
                Err(frame) => trailer_section = frame.into_trailers().ok(),
            },
            Incoming::End => break,
            Incoming::Broken | Incoming::Abandoned => return None,
        }
    }
    if rope.declared().is_some_and(|declared| arrived != declared) {
        return None;
    }
    let trailers = trailer_section.and_then(|section| {
        trailers::storable(section, directives, policy.own_tag_fields(), limits.max_head)
    });
    Some(Arrived { trailers })
}

enum Incoming {
    Frame(Frame<Bytes>),
    End,
    Broken,
    /// Nobody reads any more.
    Abandoned,
}

/// How long to wait for readers that are slow.
struct Patience<'a> {
    /// For how long slow clients may still hold up others who read along.
    left: Duration,
    /// And for how long those who wait for the store: it is not used up when they are left behind.
    left_behind: Duration,
    /// How long a store that is the only reader may pause.
    store_timeout: Duration,
    rope: &'a Rope,
}

/// The timers of one wait.
#[derive(Default)]
struct Timers {
    stall: Timer,
    behind: Timer,
    store: Timer,
}

/// Runs from when it is first asked.
#[derive(Default)]
struct Timer(Option<(Instant, Pin<Box<Sleep>>)>);

impl Timer {
    fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let begin = || (Instant::now(), Box::pin(sleep(limit)));
        let (_, timer) = self.0.get_or_insert_with(begin);
        timer.as_mut().poll(cx)
    }

    /// Takes from `left` for how long it has run.
    fn charge(&self, left: &mut Duration) {
        if let Some((since, _)) = &self.0 {
            *left = left.saturating_sub(since.elapsed());
        }
    }
}

impl<'a> Patience<'a> {
    fn new(limits: &Limits, rope: &'a Rope) -> Self {
        let &Limits { stall_timeout, store_timeout, .. } = limits;
        Self { left: stall_timeout, left_behind: stall_timeout, store_timeout, rope }
    }

    /// Waits until the window has room. An error means that nobody reads any more.
    async fn make_room(&mut self, writer: &Writer) -> Result<(), ()> {
        let mut timers = Timers::default();
        let room = poll_fn(|cx| self.poll_room(writer, &mut timers, cx)).await;
        timers.stall.charge(&mut self.left);
        timers.behind.charge(&mut self.left_behind);
        room
    }

    fn poll_room(
        &self,
        writer: &Writer,
        timers: &mut Timers,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        loop {
            // Each arm that goes on changes the answer: those who are too slow are not asked any more.
            match writer.room(cx.waker()) {
                Room::Free => return Poll::Ready(Ok(())),
                Room::Closed => return Poll::Ready(Err(())),
                Room::Paced => return Poll::Pending,
                Room::Stalled => {
                    ready!(timers.stall.poll(self.left, cx));
                    writer.leave_laggards_behind();
                }
                Room::Awaited => {
                    ready!(timers.behind.poll(self.left_behind, cx));
                    writer.leave_laggards_behind();
                }
                Room::StoreOnly => {
                    ready!(timers.store.poll(self.store_timeout, cx));
                    self.rope.refuse_store(Cut::TooSlow);
                }
            }
        }
    }
}
