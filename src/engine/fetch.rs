//! The life of one origin exchange: send, judge the answer, share it or hand it back.
//!
//! ```text
//! look again ---- now fresh ------------------------------> land
//! plan:  whole | validate | part | complete
//! send ---------- error ----------> stale if allowed, else the error to the one who asked
//!     |---------- no head in time -> stale if allowed, else shared with nobody; a contradiction as below
//! meaning ------- still good -----> freshen, land
//!     |---------- failed ---------> land what is stale
//!     |---------- response -------> may store? land it, its body arriving : to the one who asked only
//!     |---------- contradiction --> ask again, without conditions
//! ```
//!
//! Runs in its own task as soon as it has to wait. Nobody who waits for it owns it, so a client that leaves cancels nothing.
use super::{
    Engine, Origin,
    begin::Asked,
    fetched::{Fetched, FromOrigin, Reply},
    flight::{Landed, Lead, Supply},
    landing::{Course, fields_for_one},
    look_up::{Found, LookUp},
    plan::{Meaning, Plan},
    within::within,
};
use crate::{
    BoxError, CacheKey,
    clock::Moment,
    policy::Limits,
    semantics::{cache_status::Detail, reuse::Verdict, storing::NotStored, validation},
    stored::{Kind, ResponseHead},
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, ready, select},
};
use http::{Request, Response, StatusCode, request, response};
use http_body::Body;
use std::{
    mem::swap,
    pin::{Pin, pin},
    sync::Arc,
};

/// What is to be fetched.
pub(crate) struct Fetch<Q> {
    pub(crate) asked: Arc<Asked>,
    pub(crate) body: Q,
    pub(crate) look: Box<LookUp>,
}

/// The whole exchange. Whatever ends it early, a panic included, drops the lead: the flight has failed then.
pub(crate) async fn run<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    fetch: Fetch<Q>,
    lead: Lead,
    reply: Reply<O::Body, O::Error>,
) where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let Fetch { asked, body, look } = fetch;
    let head = &asked.head;
    let again = engine.look_again(&lead, &asked, look).await;
    let mut course = Course { engine, lead, look: again.look, reply: Some(reply) };
    if let Some(landed) = again.landed {
        return course.land(landed, FromOrigin::default());
    }

    let plan = Plan::of(&course, head);
    let spare = plan.has_conditions().then(|| origin.clone());
    let request = Request::from_parts(plan.prepare(&course.engine, &asked), body);
    let course = match course.exchange(&plan, Box::pin(origin.send(request))).await {
        Exchanged::Answered(course, sent) => {
            let Some(course) = course.settle(head, &plan, sent).await else { return };
            course
        }
        Exchanged::LateContradiction(course) => course,
        Exchanged::Over => return,
    };

    // The answer fits no condition that was sent. The client's body is spent; another one has to be made.
    course.remove_contradicted().await;
    let body = course.engine.spare.body::<Q>();
    let (Some(origin), Some(body)) = (spare, body) else { return course.land_unvalidated() };
    let course = course.without_stored();
    let request = Request::from_parts(Plan::Whole.prepare(&course.engine, &asked), body);
    let sending = Box::pin(origin.send(request));
    let again = match course.exchange(&Plan::Whole, sending).await {
        Exchanged::Answered(course, sent) => course.settle(head, &Plan::Whole, sent).await,
        Exchanged::LateContradiction(course) => Some(course),
        Exchanged::Over => None,
    };
    if let Some(course) = again {
        course.refuse(StatusCode::BAD_GATEWAY, Detail::Contradiction);
    }
}

/// An answer, when it was asked for and when it came.
pub(crate) struct Sent<B> {
    pub(crate) parts: response::Parts,
    pub(crate) body: B,
    pub(crate) times: (Moment, Moment),
}

impl<B, E> Course<B, E> {
    /// Sends the request.
    async fn exchange<F>(mut self, plan: &Plan, sending: Pin<Box<F>>) -> Exchanged<B, E>
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let request_time = self.engine.clock.read();
        let sent = match self.wait(sending).await {
            Waited::Answered(sent) => sent,
            Waited::TooLate(sending) => return Box::pin(self.finish_alone(plan, sending)).await,
            Waited::GivenUp => return Exchanged::Over,
        };
        let response_time = self.engine.clock.read();
        match sent {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                Exchanged::Answered(
                    self,
                    Sent { parts, body, times: (request_time, response_time) },
                )
            }
            Err(error) => {
                match self.stale_for_error(&response_time) {
                    Some(stale) => self.land_stale(stale, None),
                    None => self.fail(error),
                }
                Exchanged::Over
            }
        }
    }

    /// The answer comes too late to be shared. Nobody else waits for it any more; the one who asked does, as without a cache. What answers a condition or a
    /// range of the cache is no answer to him as it is.
    async fn finish_alone<F>(self, plan: &Plan, sending: Pin<Box<F>>) -> Exchanged<B, E>
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Self { engine, lead, look, reply } = self;
        let primary = lead.primary().clone();
        drop(lead);
        let Some(mut reply) = reply else { return Exchanged::Over };
        let sent = match select(sending, pin!(reply.closed())).await {
            Either::Left((sent, _)) => sent,
            Either::Right(_) => return Exchanged::Over,
        };
        let (parts, body) = match sent {
            Ok(response) => response.into_parts(),
            Err(error) => {
                _ = reply.send(Err(error));
                return Exchanged::Over;
            }
        };
        // What is stale has answered before, if it may.
        let fetched = match plan.meaning(&parts, || None) {
            Meaning::StillGood(stale) => still_good_for_one(look.key, stale, parts),
            Meaning::Completed(filled) => filled.for_one(parts, body, NotStored::Late),
            Meaning::Contradiction => {
                let limit = engine.policy.limits.max_fetches;
                match engine.shared.flights.alone(&primary, limit) {
                    Some(lead) => {
                        let course = Self { engine, lead, look, reply: Some(reply) };
                        return Exchanged::LateContradiction(course);
                    }
                    None => Fetched::Nothing {
                        status: StatusCode::BAD_GATEWAY,
                        detail: Detail::FetchLimit,
                    },
                }
            }
            Meaning::Failed(_) | Meaning::Part(..) | Meaning::Response => {
                let response = Response::from_parts(parts, body);
                Fetched::Private { response, reason: NotStored::Late }
            }
        };
        _ = reply.send(Ok(fetched));
        Exchanged::Over
    }

    /// What the conditions were about goes, but nothing that has taken its place or was validated since.
    async fn remove_contradicted(&self) {
        let Self { engine, look, .. } = self;
        let Some(found) = look.found.as_ref().or(look.part.as_ref()) else { return };
        let there = engine.get_at(&look.key).await.map(|(kind, _)| kind);
        let is_same = |there: &ResponseHead| {
            there.content == found.head.content && there.fetch == found.head.fetch
        };
        if matches!(there, Some(Kind::Response(there)) if is_same(&there)) {
            engine.delete_at(&look.key).await;
        }
    }

    /// Acts on an answer. `Some` if it contradicts the plan. Each way is boxed by itself: the usual one need not take the room of the others, and those who
    /// wait for an answer need not take that of any.
    fn settle<'a>(
        self,
        request: &'a request::Parts,
        plan: &Plan,
        sent: Sent<B>,
    ) -> BoxFuture<'a, Option<Self>>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        E: Send + 'static,
    {
        match plan.meaning(&sent.parts, || self.stale_for_error(&sent.times.1)) {
            Meaning::StillGood(stale) => self.freshen(request, stale, sent).map(|()| None).boxed(),
            Meaning::Failed(stale) => {
                self.land_stale(stale, Some(sent.parts.status));
                ready(None).boxed()
            }
            Meaning::Part(range, complete) => {
                self.store_part(request, range, complete, sent).map(|()| None).boxed()
            }
            Meaning::Completed(filled) => self.complete(request, filled, sent).boxed(),
            Meaning::Response => self.store_or_decline(request, sent).map(|()| None).boxed(),
            Meaning::Contradiction => ready(Some(self)).boxed(),
        }
    }

    /// Waits for the head. Answers with what is stale where the policy sets a deadline for that, or if no head comes in time.
    async fn wait<F: Future>(&mut self, mut sending: Pin<Box<F>>) -> Waited<F> {
        let Limits { fetch_timeout, stale_deadline, .. } = self.engine.policy.limits;
        let early = stale_deadline.unwrap_or(fetch_timeout).min(fetch_timeout);
        for part in [early, fetch_timeout.saturating_sub(early)] {
            if let Ok(sent) = within(part, &mut sending).await {
                return Waited::Answered(sent);
            }
            if let Some(stale) = self.stale_for_error(&self.engine.clock.read()) {
                self.tide_over(stale);
            }
        }
        match &self.reply {
            Some(reply) if !reply.is_closed() => Waited::TooLate(sending),
            _ => Waited::GivenUp,
        }
    }

    pub(super) fn stale_for_error(&self, now: &Moment) -> Option<Found> {
        self.engine.stale_for_error(&self.look, now)
    }
}

enum Waited<F: Future> {
    Answered(F::Output),
    /// No head came in time, and the one who asked still waits.
    TooLate(Pin<Box<F>>),
    /// No head came in time, and nobody waits.
    GivenUp,
}

/// What is stored, with what a late 304 says of it, for the one who asked.
fn still_good_for_one<B>(key: CacheKey, stale: Found, update: response::Parts) -> Fetched<B> {
    let mut headers = stale.head.headers.clone();
    validation::freshen(&mut headers, &update.headers);
    let headers = fields_for_one(headers, &update.headers);
    let head = ResponseHead { headers, ..(*stale.head).clone() };
    let supply = Supply::Stored(stale.content.clone());
    let landed = Landed::stored(key, Found { head: Arc::new(head), content: stale.content });
    let (status, extensions) = (Some(update.status), update.extensions);
    let origin = FromOrigin { status, extensions, ..FromOrigin::default() };
    Fetched::Landed { landed, supply, origin }
}

/// What came of sending a request.
enum Exchanged<B, E> {
    Answered(Course<B, E>, Sent<B>),
    /// The answer fits nothing that was asked, and came when nobody else waited for it any more. The course has a new seat.
    LateContradiction(Course<B, E>),
    /// The exchange has found its end.
    Over,
}

struct Again {
    look: Box<LookUp>,
    /// Another flight has landed between look-up and seat.
    landed: Option<Landed>,
}

impl Engine {
    async fn look_again(&self, lead: &Lead, asked: &Asked, mut before: Box<LookUp>) -> Again {
        let was_nothing = before.found.is_none() && before.index.is_none();
        let nothing = if was_nothing { self.peek_nothing(lead.primary()) } else { None };
        let mut look = match nothing {
            Some(nothing) => nothing,
            None => Box::pin(self.look_up(lead.primary(), &asked.head)).await,
        };
        // Where there was a list of variants and there is none now, what it had may be invalid: it may not come back with its generation.
        if before.index.is_none() {
            look.generation = look.generation.or(before.generation);
        }
        let is_new = |found: &Found| {
            before.found.as_ref().is_none_or(|old| old.head.fetch != found.head.fetch)
        };
        let fresh = look.found.as_ref().filter(|found| {
            let freshness = found.head.freshness(&self.clock.read());
            is_new(found)
                && self.judge_found(&asked.directives, &look, found, freshness) == Verdict::Fresh
        });
        let landed = fresh.map(|found| Landed::stored(look.key.clone(), found.clone()));
        if look.found.is_none() {
            swap(&mut look.key, &mut before.key);
        }
        *before = look;
        Again { landed, look: before }
    }
}
