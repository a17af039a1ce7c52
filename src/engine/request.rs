//! The life of one request that could not be answered at once, top to bottom.
//!
//! ```text
//! look up ------ nothing --------------------------+
//!     | found                                      |
//! judge -------- fresh ------------> deliver       |
//!     |--------- stale, allowed ---> deliver, and refresh behind
//!     |--------- only-if-cached ---> 504           |
//!     | must ask                                   |
//!     +--------------------------------------------+
//!                                                  v
//!                               take a seat: lead or follow
//!                                  | shared         | nothing to share
//!                                  v                v
//!                               deliver          forward alone
//! ```
use super::{
    Engine, Origin,
    begin::Asked,
    deliver::{Delivery, deliver},
    exit::Age,
    fetch::{self, Fetch},
    fetched::{Fetched, FromOrigin},
    flight::{Landed, Lead, Seat, Supply},
    forward::{forward, forward_or_stale},
    head::forward_head,
    look_up::{Found, LookUp},
    seat::Place,
};
use crate::{
    CacheBody, CacheKey, CacheStatus, DoNotCollapse,
    semantics::{
        cache_status::{Detail, Forward},
        conditional,
        freshness::Freshness,
        reuse::Verdict,
        validation,
    },
};
use http::{HeaderMap, Method, Response, StatusCode, header, request};
use std::{
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

pub(super) type Answer<O, Q> =
    Result<Response<CacheBody<<O as Origin<Q>>::Body>>, <O as Origin<Q>>::Error>;

/// A request that takes part, and what is known already of what is stored for it.
pub(crate) async fn respond<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Option<Box<LookUp>>,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let look = match look {
        Some(look) => look,
        // Boxed, as what comes seldom is here, so that a usual miss need not take the room.
        None => Box::new(Box::pin(engine.look_up(&asked.primary, &asked.head)).await),
    };
    let reason = match &look.found {
        None => look.miss(),
        Some(found) => {
            let freshness = found.head.freshness(&engine.clock.read());
            match engine.judge_found(&asked.directives, &look, found, freshness) {
                Verdict::Fresh => {
                    let again = || Some((origin, body));
                    return Ok(engine.hit_with(&asked, (&look.key, found), freshness, None, again));
                }
                Verdict::StaleWhileRevalidate => {
                    let detail = Some(Detail::StaleWhileRevalidate);
                    let again = || Some((origin.clone(), engine.spare.body()?));
                    let place = (&look.key, found);
                    let response = engine.hit_with(&asked, place, freshness, detail, again);
                    refresh(engine, origin, asked, body, look);
                    return Ok(response);
                }
                Verdict::MustAsk(reason) => reason,
            }
        }
    };
    if look.invalidated {
        engine.shared.counters.invalidated();
    }
    if asked.directives.only_if_cached {
        return Ok(engine.refuse(StatusCode::GATEWAY_TIMEOUT, Detail::OnlyIfCached));
    }
    if asked.head.method == Method::HEAD {
        return Box::pin(forward_head(&engine, origin, asked, body, look, reason)).await;
    }
    ask(engine, origin, asked, body, look, reason).await
}

/// The inner service has to be asked, by this request or by another one.
async fn ask<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Box<LookUp>,
    reason: Forward,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let status = look.forwarded(reason);
    let early =
        engine.policy.limits.stale_deadline.and_then(|limit| Instant::now().checked_add(limit));
    // RFC 9111 section 4.3.2: they are the origin's to evaluate, so it has to see them.
    if asked.asks && conditional::is_for_origin(&asked.head.headers) {
        return forward(&engine, origin, asked, body, status).await;
    }
    if engine.fetches_part(&asked.head, &look) {
        // Others want other parts.
        return match engine.shared.flights.alone(&asked.primary, engine.policy.limits.max_fetches) {
            Some(lead) => lead_fetch(engine, origin, asked, body, look, lead, status).await,
            None => {
                let status = status.detail_of(Detail::FetchLimit);
                forward_or_stale(&engine, origin, asked, body, look, (status, early)).await
            }
        };
    }
    let may_collapse =
        engine.policy.collapse && asked.head.extensions.get::<DoNotCollapse>().is_none();
    if !may_collapse || engine.shared.unshareable.remembers(&look.key) {
        return ask_alone(engine, origin, asked, body, look, (status, early)).await;
    }
    match engine.find_seat(&asked, look, early).await {
        Place::Lead(lead, look) => {
            lead_fetch(engine, origin, asked, body, look, lead, status).await
        }
        Place::Shared(landed, supply) => {
            let status = CacheStatus { collapsed: true, ..status };
            let again = || Some((origin, body));
            let supply = engine.mended(supply, &asked, (&landed.key, &landed.head), again);
            Ok(engine.share(&asked, landed, supply, FromOrigin::default(), status))
        }
        Place::Alone(detail, look) => {
            let status = CacheStatus { detail, ..status };
            forward_or_stale(&engine, origin, asked, body, look, (status, early)).await
        }
    }
}

/// This request fetches, for itself and all who follow.
async fn lead_fetch<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Box<LookUp>,
    lead: Lead,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    // It may come to an answer from what is stored, and that may be anywhere but in memory.
    let spare = (!engine.shared.peek_tells_all).then(|| origin.clone());
    let fetch = Fetch { asked: Arc::clone(&asked), body, look };
    let (reply, answer) = oneshot::channel();
    let run = Box::pin(fetch::run(Arc::clone(&engine), origin, fetch, lead, reply));
    Ok(match begin(run, answer).await? {
        Fetched::Landed { landed, supply, origin } => {
            let again = || Some((spare?, engine.spare.body()?));
            let supply = engine.mended(supply, &asked, (&landed.key, &landed.head), again);
            engine.share(&asked, landed, supply, origin, status)
        }
        fetched => engine.conclude(&asked, fetched, status),
    })
}

/// This request fetches for itself: nobody waits for it, but what it brings may be stored.
async fn ask_alone<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Box<LookUp>,
    (status, early): (CacheStatus, Option<Instant>),
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let is_unshareable = engine.shared.unshareable.remembers(&look.key);
    let status = if is_unshareable { status.detail_of(Detail::Unshareable) } else { status };
    // Most likely it cannot be stored: better that the origin sees what the client asks for.
    let conditions = &validation::CLIENT_CONDITIONS;
    if is_unshareable
        && look.found.is_none()
        && conditions.iter().any(|name| asked.head.headers.contains_key(name))
    {
        return forward(&engine, origin, asked, body, status).await;
    }
    match engine.shared.flights.alone(&asked.primary, engine.policy.limits.max_fetches) {
        Some(lead) => lead_fetch(engine, origin, asked, body, look, lead, status).await,
        None => {
            let status = status.detail_of(Detail::FetchLimit);
            forward_or_stale(&engine, origin, asked, body, look, (status, early)).await
        }
    }
}

/// Fetches behind the client's back, unless somebody does already.
fn refresh<O, Q>(engine: Arc<Engine>, origin: O, asked: Arc<Asked>, body: Q, look: Box<LookUp>)
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    if let Seat::Lead(lead) = engine.take_seat(&asked, &look) {
        let (reply, _nobody) = oneshot::channel();
        let fetch = Fetch { asked, body, look };
        // Boxed, since a task is moved about before it runs.
        tokio::spawn(Box::pin(fetch::run(engine, origin, fetch, lead, reply)));
    }
}

/// A fetch outlives the request that started it: it goes on in a task of its own. But it begins here, and one that need not wait, as with an inner service of
/// this process and a store in memory, is over before a task would have been made for it.
async fn begin<B, E>(
    mut run: Pin<Box<impl Future<Output = ()> + Send + 'static>>,
    mut answer: oneshot::Receiver<Result<Fetched<B>, E>>,
) -> Result<Fetched<B>, E> {
    let begun = poll_fn(|cx| {
        // Who has an answer already gets it, whatever happens to the rest.
        Poll::Ready(catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))))
    });
    let outcome = match begun.await {
        Ok(Poll::Pending) => return receive(tokio::spawn(run), answer).await,
        Ok(Poll::Ready(())) => Ok(()),
        Err(panic) => Err(panic),
    };
    match (answer.try_recv(), outcome) {
        (Ok(fetched), _) => fetched,
        (Err(_), Ok(())) => Ok(broken_off()),
        (Err(_), Err(panic)) => resume_unwind(panic),
    }
}

/// What the fetch brings. A panic of the inner service goes on in the request that asked.
pub(super) async fn receive<B, E>(
    task: JoinHandle<()>,
    answer: oneshot::Receiver<Result<Fetched<B>, E>>,
) -> Result<Fetched<B>, E> {
    if let Ok(fetched) = answer.await {
        return fetched;
    }
    match task.await {
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => pending().await,
        Ok(()) => Ok(broken_off()),
    }
}

/// What was to be sent broke off before it could be opened.
fn broken_off<B>() -> Fetched<B> {
    Fetched::Nothing { status: StatusCode::BAD_GATEWAY, detail: Detail::Contradiction }
}

impl Engine {
    /// The client's request as it is forwarded.
    pub(super) fn marked(&self, asked: Arc<Asked>) -> request::Parts {
        let mut head = Arc::try_unwrap(asked).map_or_else(|a| a.head.clone(), |a| a.head);
        self.mark(head.version, &mut head.headers);
        head
    }

    fn hit_with<O, Q>(
        self: &Arc<Self>,
        asked: &Arc<Asked>,
        (key, found): (&CacheKey, &Found),
        freshness: Freshness,
        detail: Option<Detail>,
        again: impl FnOnce() -> Option<(O, Q)>,
    ) -> Response<CacheBody<O::Body>>
    where
        O: Origin<Q>,
        Q: Send + 'static,
    {
        let supply = Supply::Stored(found.content.clone());
        let delivery = Delivery {
            head: &found.head,
            fields: &found.head.headers,
            supply: self.mended(supply, asked, (key, &found.head), again),
            asks: asked.asks,
        };
        let status = CacheStatus { detail, ..CacheStatus::hit(freshness.ttl()) };
        let mut response = Response::new(CacheBody::empty());
        deliver(&asked.head, delivery, &mut response);
        self.complete(&mut response, Age::Current(freshness.current_age), status);
        response
    }

    pub(super) fn conclude<B>(
        &self,
        asked: &Asked,
        fetched: Fetched<B>,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        match fetched {
            Fetched::Landed { landed, supply, origin } => {
                self.share(asked, landed, supply, origin, status)
            }
            Fetched::Part { response } => {
                let status = CacheStatus { stored: true, ..status };
                self.exit(response.map(CacheBody::stored), status)
            }
            Fetched::Combined { response, reason } => {
                let forward_status = Some(StatusCode::PARTIAL_CONTENT);
                let detail = status.detail.unwrap_or(Detail::NotStored(reason));
                let status = CacheStatus { forward_status, ..status }.detail_of(detail);
                self.exit(response.map(CacheBody::stored), status)
            }
            Fetched::Nothing { status, detail } => self.refuse(status, detail),
            Fetched::Private { response, reason } => {
                if response.status() == StatusCode::NOT_MODIFIED
                    && !asks_for_304(&asked.head.headers)
                {
                    // Nobody asked whether something was modified: this is no answer.
                    return self.refuse(StatusCode::BAD_GATEWAY, Detail::NotStored(reason));
                }
                let status = status.detail.map_or_else(
                    || status.detail_of(Detail::NotStored(reason)),
                    |detail| status.detail_of(detail),
                );
                self.exit(response.map(CacheBody::forwarded), status)
            }
        }
    }

    /// The answer from a response that anyone may have.
    pub(super) fn share<B>(
        &self,
        asked: &Asked,
        landed: Landed,
        supply: Supply,
        origin: FromOrigin,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        let freshness = landed.head.freshness(&self.clock.read());
        // RFC 9111 section 5.1: an Age tells that the origin did not generate or validate it for this request.
        let is_new = origin.status.is_some() && !landed.on_error;
        let fields = origin.fields.as_ref().unwrap_or(&landed.head.headers);
        let has_age = fields.get(header::AGE).is_some_and(|age| !age.is_empty());
        let age = if is_new && !has_age { Age::New } else { Age::Current(freshness.current_age) };
        let mut response = Response::new(CacheBody::empty());
        match origin.fields {
            Some(fields) if !asked.asks => {
                *response.status_mut() = landed.head.status;
                *response.headers_mut() = fields;
                *response.body_mut() = supply.whole();
            }
            fields => {
                let head = &landed.head;
                let fields = fields.as_ref().unwrap_or(&head.headers);
                let delivery = Delivery { head, fields, supply, asks: asked.asks };
                deliver(&asked.head, delivery, &mut response);
            }
        }
        *response.extensions_mut() = origin.extensions;
        let status = CacheStatus {
            ttl: Some(freshness.ttl()),
            stored: origin.stored,
            forward_status: origin.status.filter(|status| *status != response.status()),
            detail: match status.detail {
                _ if landed.on_error => Some(Detail::StaleIfError),
                Some(Detail::Unshareable) => None,
                detail => detail,
            },
            ..status
        };
        self.complete(&mut response, age, status);
        response
    }
}

fn asks_for_304(request: &HeaderMap) -> bool {
    request.contains_key(header::IF_NONE_MATCH) || request.contains_key(header::IF_MODIFIED_SINCE)
}
