//! The life of one origin exchange: send, judge the answer, share it or hand it back.
//!
//! Runs in its own task. Nobody who waits for it owns it, so a client that leaves cancels nothing.
use super::{
    Engine, Origin,
    flight::{Landed, Lead, Source, Supply},
    look_up::{Found, LookUp},
    pump::pump,
    reception::{Arrival, Reception},
};
use crate::{
    StoredHead, StoredResponse,
    clock::Moment,
    policy::Limits,
    semantics::{
        directives::RequestDirectives,
        reuse::{self, Verdict},
        storing::{self, NotStored},
        validation,
    },
    stored::{Content, ResponseHead, rope},
};

use futures_util::future::{Either, join, select};
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, request, response};
use http_body::Body;
use std::{pin::pin, sync::Arc};
use tokio::{sync::oneshot, time::timeout};

/// What is to be fetched.
pub(crate) struct Fetch<Q> {
    /// The client's request.
    pub(crate) head: request::Parts,
    pub(crate) body: Q,
    pub(crate) look: LookUp,
    /// What the client asked of caches.
    pub(crate) directives: RequestDirectives,
}

/// What the request that started the fetch gets.
pub(crate) enum Fetched<B> {
    /// Anyone may have it.
    Landed { landed: Landed, supply: Supply, origin: FromOrigin },
    /// Only the request that asked may have it.
    Private { response: Response<B>, reason: NotStored },
}

/// What the origin had to do with it.
#[derive(Default)]
pub(crate) struct FromOrigin {
    /// The status of its answer; `None` if it was not asked, or did not answer.
    pub(crate) status: Option<StatusCode>,
    /// The response is being stored.
    pub(crate) stored: bool,
    /// Those of its answer, for the one who asked.
    pub(crate) extensions: Extensions,
}

type Reply<O, Q> =
    oneshot::Sender<Result<Fetched<<O as Origin<Q>>::Body>, <O as Origin<Q>>::Error>>;

/// The whole exchange. Whatever ends it early, a panic included, drops the lead: the flight has failed then.
pub(crate) async fn run<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    fetch: Fetch<Q>,
    mut lead: Lead,
    reply: Reply<O, Q>,
) where
    O: Origin<Q>,
    Q: Send + 'static,
{
    // Between look-up and seat another flight may have landed.
    let Fetch { head, body, look, directives } = fetch;
    let look = match engine.look_again(&lead, &head.headers, &directives, look).await {
        Again::Fresh(landed) => {
            lead.land(&landed);
            return answer::<O, Q>(reply, landed, FromOrigin::default());
        }
        Again::As(look) => look,
    };

    let stale = look.found.clone();
    let conditional = prepare(&head, stale.as_ref());
    let request_time = engine.clock.read();
    let sending = origin.send(Request::from_parts(conditional, body));
    let fallback = stale
        .clone()
        .map(|stale| Landed { on_error: true, ..Landed::stored(look.key.clone(), stale) });
    let (sent, reply) = match wait(&engine, &lead, fallback.as_ref(), sending, reply).await {
        Waited::Answered(sent, reply) => (sent, reply),
        Waited::TooLate(sending, reply) => {
            // Nobody else waits for it any more; the one who asked does, as without a cache.
            drop(lead);
            return finish_alone::<O, Q>(sending, reply).await;
        }
        Waited::GivenUp => return,
    };
    let response_time = engine.clock.read();
    let (parts, body) = match sent {
        Ok(response) => response.into_parts(),
        Err(error) => {
            match stale.filter(|stale| engine.may_serve_on_error(&stale.head, &response_time)) {
                Some(stale) => land_stale::<O, Q>(lead, look, stale, None, reply),
                None => {
                    if let Some(reply) = reply {
                        _ = reply.send(Err(error));
                    }
                }
            }
            return;
        }
    };

    let arrival = |headers: HeaderMap, status: StatusCode| Arrival {
        request_headers: &head.headers,
        status,
        headers,
        request_time,
        response_time,
        fetch: lead.number(),
    };
    match meaning(&engine, &parts, stale, &response_time) {
        Meaning::StillGood(stale) => {
            let mut headers = stale.head.headers.clone();
            validation::freshen(&mut headers, &parts.headers);
            let received =
                engine.receive(lead.primary(), &look, arrival(headers, stale.head.status));
            engine.freshen::<O, Q>(lead, look, stale, received, parts, reply).await;
        }
        Meaning::Failed(stale) => {
            land_stale::<O, Q>(lead, look, stale, Some(parts.status), reply);
        }
        Meaning::Contradiction(stale) => {
            // What is stored is not what the origin speaks of: it answers this once, and the next request asks without conditions.
            engine.delete_at(&look.key).await;
            land_stale::<O, Q>(lead, look, stale, Some(parts.status), reply);
        }
        Meaning::Response => {
            let received =
                engine.receive(lead.primary(), &look, arrival(parts.headers.clone(), parts.status));
            let received = received.and_then(|received| {
                framed(&parts, &body, engine.policy.limits.max_object)?;
                Ok(received)
            });
            match received {
                Ok(received) => {
                    engine.store::<O, Q>(lead, look, received, parts, body, reply).await
                }
                Err(reason) => {
                    engine.decline::<O, Q>(lead, look, reason, (parts, body), reply).await;
                }
            }
        }
    }
}

/// The request that is sent: no conditions of the client, those of the cache instead (RFC 9111 section 4.3.1).
fn prepare(head: &request::Parts, stale: Option<&Found>) -> request::Parts {
    let mut head = head.clone();
    head.method = Method::GET;
    for name in &validation::CLIENT_CONDITIONS {
        head.headers.remove(name);
    }
    if let Some(stale) = stale {
        validation::add_validators(&mut head.headers, &stale.head.headers);
    }
    head
}

enum Again {
    Fresh(Landed),
    As(LookUp),
}

impl Engine {
    async fn look_again(
        &self,
        lead: &Lead,
        request: &HeaderMap,
        directives: &RequestDirectives,
        before: LookUp,
    ) -> Again {
        let look = self.look_up(lead.primary(), request).await;
        let Some(found) = look.found.clone() else { return Again::As(look) };
        let is_new = before.found.is_none_or(|old| old.head.fetch != found.head.fetch);
        let verdict = reuse::judge(
            directives,
            &found.head.directives,
            found.head.freshness(&self.clock.read()),
            &self.policy.stale,
        );
        if is_new && verdict == Verdict::Fresh {
            Again::Fresh(Landed::stored(look.key, found))
        } else {
            Again::As(look)
        }
    }

    fn may_serve_on_error(&self, stale: &ResponseHead, now: &Moment) -> bool {
        let freshness = stale.freshness(now);
        reuse::may_serve_on_error(&stale.directives, freshness, &self.policy.stale)
    }
}

enum Waited<F, T, R> {
    Answered(T, Option<R>),
    /// No head came in time, and somebody still waits.
    TooLate(F, R),
    /// No head came in time, and nobody waits.
    GivenUp,
}

/// Waits for the head; answers with what is stale where the policy sets a deadline for that, or if no head comes in time.
async fn wait<F, T, B, E>(
    engine: &Engine,
    lead: &Lead,
    fallback: Option<&Landed>,
    sending: F,
    reply: oneshot::Sender<Result<Fetched<B>, E>>,
) -> Waited<std::pin::Pin<Box<F>>, T, oneshot::Sender<Result<Fetched<B>, E>>>
where
    F: Future<Output = T>,
{
    let Limits { fetch_timeout, stale_deadline, .. } = engine.policy.limits;
    let mut sending = Box::pin(sending);
    let mut left = fetch_timeout;
    let mut reply = Some(reply);
    let deadlines =
        [stale_deadline.filter(|deadline| *deadline < fetch_timeout), Some(fetch_timeout)];
    for deadline in deadlines.into_iter().flatten() {
        let part = deadline.saturating_sub(fetch_timeout.saturating_sub(left));
        left = left.saturating_sub(part);
        if let Ok(sent) = timeout(part, &mut sending).await {
            return Waited::Answered(sent, reply);
        }
        let now = engine.clock.read();
        if let Some(landed) = fallback.filter(|l| engine.may_serve_on_error(&l.head, &now)) {
            lead.tide_over(landed);
            if let (Some(reply), Some(supply)) = (reply.take(), landed.open()) {
                let (landed, origin) = (landed.clone(), FromOrigin::default());
                _ = reply.send(Ok(Fetched::Landed { landed, supply, origin }));
            }
        }
    }
    match reply {
        Some(reply) if !reply.is_closed() => Waited::TooLate(sending, reply),
        _ => Waited::GivenUp,
    }
}

/// The answer came too late to be shared.
async fn finish_alone<O: Origin<Q>, Q>(
    sending: impl Future<Output = Result<Response<O::Body>, O::Error>> + Unpin,
    mut reply: Reply<O, Q>,
) {
    let sent = match select(sending, pin!(reply.closed())).await {
        Either::Left((sent, _)) => sent,
        Either::Right(_) => return,
    };
    let private = |response| Fetched::Private { response, reason: NotStored::Late };
    _ = reply.send(sent.map(private));
}

/// What an answer means for what is stored.
enum Meaning {
    /// 304 (section 4.3.3).
    StillGood(Found),
    /// The origin fails, and what is stale may answer (RFC 5861 section 4).
    Failed(Found),
    /// A 304 that speaks of something else than what it was asked about.
    Contradiction(Found),
    /// A response of its own.
    Response,
}

fn meaning(
    engine: &Engine,
    parts: &response::Parts,
    stale: Option<Found>,
    now: &Moment,
) -> Meaning {
    match stale {
        Some(stale) if parts.status == StatusCode::NOT_MODIFIED => {
            if validation::identifies(&stale.head.headers, &parts.headers) {
                Meaning::StillGood(stale)
            } else {
                Meaning::Contradiction(stale)
            }
        }
        Some(stale)
            if reuse::is_origin_failure(parts.status)
                && engine.may_serve_on_error(&stale.head, now) =>
        {
            Meaning::Failed(stale)
        }
        _ => Meaning::Response,
    }
}

/// What the body and the inner service say against storing.
fn framed(parts: &response::Parts, body: &impl Body, max_object: u64) -> Result<(), NotStored> {
    if parts.extensions.get::<crate::DoNotStore>().is_some() {
        return Err(NotStored::Declined);
    }
    let declared = storing::content_length(&parts.headers).ok().flatten();
    match (declared, body.size_hint().exact()) {
        (Some(declared), Some(exact)) if declared != exact => Err(NotStored::Framing),
        (_, Some(exact)) if exact > max_object => Err(NotStored::TooLarge),
        _ => Ok(()),
    }
}

fn answer<O: Origin<Q>, Q>(reply: Reply<O, Q>, landed: Landed, origin: FromOrigin) {
    if let Some(supply) = landed.open() {
        _ = reply.send(Ok(Fetched::Landed { landed, supply, origin }));
    }
}

fn land_stale<O: Origin<Q>, Q>(
    mut lead: Lead,
    look: LookUp,
    stale: Found,
    status: Option<StatusCode>,
    reply: Option<Reply<O, Q>>,
) {
    let landed = Landed { on_error: true, ..Landed::stored(look.key, stale) };
    lead.land(&landed);
    if let Some(reply) = reply {
        answer::<O, Q>(reply, landed, FromOrigin { status, ..FromOrigin::default() });
    }
}

impl Engine {
    /// Section 4.3.4: the stored response with its new fields goes to all, and to its place.
    async fn freshen<O: Origin<Q>, Q>(
        &self,
        mut lead: Lead,
        look: LookUp,
        stale: Found,
        received: Result<Reception, NotStored>,
        update: response::Parts,
        reply: Option<Reply<O, Q>>,
    ) {
        let Ok(Reception { key, head, own }) = received else {
            // It may not be stored any longer: it answers this once.
            self.delete_at(&look.key).await;
            let landed = Landed::stored(look.key, stale);
            if let Some(reply) = reply {
                let status = Some(update.status);
                answer::<O, Q>(reply, landed, FromOrigin { status, ..FromOrigin::default() });
            }
            return lead.release();
        };
        let head = Arc::new(head);
        let found = Found { head: Arc::clone(&head), content: stale.content.clone() };
        let landed = Landed::stored(key.clone(), found);
        lead.land(&landed);
        if let Some(reply) = reply {
            let origin = FromOrigin {
                status: Some(update.status),
                stored: true,
                extensions: update.extensions,
            };
            answer::<O, Q>(reply, with_own_fields(landed, own), origin);
        }
        if !lead.may_store() {
            return;
        }
        let stored_head =
            StoredHead { key: key.clone(), kind: crate::stored::Kind::Response(Arc::clone(&head)) };
        if key == look.key && self.freshen_at(&key, stored_head.clone()).await {
            self.counters.stored();
        } else {
            // It has moved by a new Vary, or the store has lost it.
            if key != look.key {
                self.delete_at(&look.key).await;
            }
            let response = StoredResponse { head: stored_head, content: stale.content };
            self.keep(&lead, &look, &key, &head, response, async {}).await;
        }
        self.withdraw_if_invalidated(&lead, &key).await;
    }

    /// Section 3: the response goes to all while it arrives, and the store is one more reader of it.
    async fn store<O: Origin<Q>, Q>(
        &self,
        mut lead: Lead,
        look: LookUp,
        received: Reception,
        parts: response::Parts,
        body: O::Body,
        reply: Option<Reply<O, Q>>,
    ) {
        let Reception { key, head, own } = received;
        let head = Arc::new(head);
        let origin =
            FromOrigin { status: Some(parts.status), stored: true, extensions: parts.extensions };
        let stored_head =
            StoredHead { key: key.clone(), kind: crate::stored::Kind::Response(Arc::clone(&head)) };
        self.unshareable.forget(&key);

        let declared = storing::content_length(&parts.headers).ok().flatten();
        let (writer, rope) =
            rope::channel(self.policy.limits.window, declared.or_else(|| body.size_hint().exact()));
        let landed = Landed {
            key: key.clone(),
            head: Arc::clone(&head),
            source: Source::Arriving(rope.clone()),
            on_error: false,
        };
        let Some(first) = rope.store_reader() else { return };
        lead.land(&landed);
        if let Some(reply) = reply {
            answer::<O, Q>(reply, with_own_fields(landed, own), origin);
        }
        let content = Content::arriving(rope.clone(), first);
        let (arrived, is_there) = oneshot::channel::<()>();
        let pumping = async {
            pump(body, writer, &rope, &lead, &self.policy.limits).await;
            drop(arrived);
        };
        let putting = async {
            let response = StoredResponse { head: stored_head, content };
            let arrived = async { _ = is_there.await };
            let kept = self.keep(&lead, &look, &key, &head, response, arrived).await;
            if rope.has_left_behind() {
                let stored = if kept { self.get_at(&key).await } else { None };
                rope.settle(stored.map(|stored| stored.content));
            } else {
                rope.settle(None);
            }
        };
        join(pumping, putting).await;
        self.withdraw_if_invalidated(&lead, &key).await;
    }

    /// The response goes to the one who asked. Nobody waits for the next one in vain.
    async fn decline<O: Origin<Q>, Q>(
        &self,
        lead: Lead,
        look: LookUp,
        reason: NotStored,
        (parts, body): (response::Parts, O::Body),
        reply: Option<Reply<O, Q>>,
    ) {
        self.unshareable.remember(&look.key, self.policy.limits.unshareable_for);
        lead.release();
        // What was there is there no more.
        let gone = matches!(parts.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if let Some(reply) = reply {
            let response = Response::from_parts(parts, body);
            _ = reply.send(Ok(Fetched::Private { response, reason }));
        }
        if gone && look.found.is_some() {
            self.delete_at(&look.key).await;
        }
    }

    /// Puts a response in its place, and in the list of variants if it is one.
    async fn keep(
        &self,
        lead: &Lead,
        look: &LookUp,
        key: &crate::CacheKey,
        head: &ResponseHead,
        response: StoredResponse,
        arrived: impl Future<Output = ()>,
    ) -> bool {
        let kept = self.put_at(key, response, arrived).await;
        if kept && lead.may_store() {
            match (&head.variant, &look.index) {
                (Some((generation, shape)), _) => {
                    self.index_variant(lead.primary(), key, *generation, shape).await;
                }
                // A response without Vary took the place of the list.
                (None, Some(index)) => {
                    for variant in index.keys() {
                        self.delete_at(variant).await;
                    }
                }
                (None, None) => {}
            }
        }
        kept
    }

    /// The store may have got it after it was invalidated.
    async fn withdraw_if_invalidated(&self, lead: &Lead, key: &crate::CacheKey) {
        if self.flights.is_invalidated(lead.primary(), lead.number()) {
            self.delete_at(key).await;
        }
    }
}

/// The one who asked gets all fields, also those that nobody else may have.
fn with_own_fields(landed: Landed, own: Option<HeaderMap>) -> Landed {
    let Some(headers) = own else { return landed };
    let head = ResponseHead { headers, ..(*landed.head).clone() };
    Landed { head: Arc::new(head), ..landed }
}
