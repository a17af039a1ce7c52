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
    fetch::{self, Fetch, Fetched, FromOrigin},
    flight::{Fit, Landed, Landing, Lead, Seat, Supply},
    look_up::{Found, LookUp},
};
use crate::{
    CacheBody, CacheStatus, StoredHead,
    clock::Moment,
    key,
    semantics::{
        cache_status::{Detail, Forward},
        freshness::Freshness,
        invalidation,
        reuse::{self, Verdict},
        storing, validation,
    },
    stored::Kind,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, header, response};
use std::{future::pending, panic::resume_unwind, sync::Arc};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

type Answer<O, Q> = Result<Response<CacheBody<<O as Origin<Q>>::Body>>, <O as Origin<Q>>::Error>;

/// A request that takes part.
pub(crate) async fn respond<O, Q>(engine: Arc<Engine>, origin: O, asked: Asked<Q>) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let look = engine.look_up(&asked.primary, &asked.head.headers).await;
    let now = engine.clock.read();
    let reason = match &look.found {
        None => look.miss(),
        Some(found) => {
            let freshness = found.head.freshness(&now);
            match engine.judge(&asked, found, freshness) {
                Verdict::Fresh => return Ok(engine.hit_with(&asked, found, freshness, None)),
                Verdict::StaleWhileRevalidate => {
                    let detail = Some(Detail::StaleWhileRevalidate);
                    let response = engine.hit_with(&asked, found, freshness, detail);
                    refresh(engine, origin, asked, look);
                    return Ok(response);
                }
                Verdict::MustAsk(reason) => reason,
            }
        }
    };
    if asked.directives.only_if_cached {
        return Ok(engine.refuse(StatusCode::GATEWAY_TIMEOUT, Detail::OnlyIfCached));
    }
    if asked.head.method == Method::HEAD {
        return forward_head(&engine, origin, asked, look, reason).await;
    }
    ask(engine, origin, asked, look, reason).await
}

/// A request that may make stored responses invalid (RFC 9111 section 4.4).
pub(crate) async fn respond_to_unsafe<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    request: Request<Q>,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let (head, body) = request.into_parts();
    let method = head.method.clone();
    let target = engine.keys.key(&head).ok().map(|keyed| keyed.key);
    let uri = engine.keys.target_uri(&head);
    let response = origin.send(Request::from_parts(head, body)).await?;
    if invalidation::invalidates(&method, response.status()) {
        let named = uri.map(|uri| key::named_keys(&engine.keys, &uri, response.headers()));
        for key in target.into_iter().chain(named.into_iter().flatten()) {
            engine.invalidate(&key).await;
        }
    }
    let status = CacheStatus::forwarded(Forward::Method);
    Ok(engine.exit(response.map(CacheBody::forwarded), status))
}

/// How often a request looks for a seat: once, once more if its variant lies elsewhere, once more if the fetch it waited for failed.
const SEATS: usize = 3;

/// The inner service has to be asked, by this request or by another one.
async fn ask<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Asked<Q>,
    mut look: LookUp,
    reason: Forward,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let status = CacheStatus::forwarded(reason);
    if !engine.policy.collapse || engine.unshareable.remembers(&look.key) {
        return ask_alone(engine, origin, asked, look, status).await;
    }
    for _ in 0..SEATS {
        let (landed, supply) = match engine.take_seat(&asked, &look) {
            Seat::Lead(lead) => return lead_fetch(engine, origin, asked, look, lead, status).await,
            Seat::Full => {
                return forward(&engine, origin, asked, status.detail_of(Detail::FetchLimit)).await;
            }
            Seat::Elsewhere(key) => {
                look.key = key;
                continue;
            }
            Seat::Landed(landed, supply) => (landed, supply),
            Seat::Follow(flight) => {
                match timeout(engine.policy.limits.wait_timeout, flight).await {
                    Ok(Ok(Landing::Shared(landed, supply))) => (landed, supply),
                    Ok(Ok(Landing::Unshareable)) => {
                        return forward(
                            &engine,
                            origin,
                            asked,
                            status.detail_of(Detail::Unshareable),
                        )
                        .await;
                    }
                    Ok(Ok(Landing::Over)) => {
                        look = engine.look_up(&asked.primary, &asked.head.headers).await;
                        match engine.fresh(&asked, &look) {
                            Some(landed) => landed,
                            None => continue,
                        }
                    }
                    // The fetch has failed: one of those who waited tries again.
                    Ok(Err(_)) => continue,
                    Err(_) => {
                        return forward(
                            &engine,
                            origin,
                            asked,
                            status.detail_of(Detail::WaitTimeout),
                        )
                        .await;
                    }
                }
            }
        };
        match engine.variant_for(&asked, &landed) {
            Some(key) => look.key = key,
            None => {
                let shown = CacheStatus { collapsed: true, ..status };
                return Ok(engine.share(&asked, landed, supply, FromOrigin::default(), shown));
            }
        }
    }
    forward(&engine, origin, asked, status).await
}

/// This request fetches, for itself and all who follow.
async fn lead_fetch<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Asked<Q>,
    look: LookUp,
    lead: Lead,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let Asked { head, body, primary, directives } = asked;
    let fetch = Fetch { head: head.clone(), body, look, directives };
    let (task, answer) = start(&engine, origin, fetch, lead);
    let fetched = receive(task, answer).await?;
    let asked = Asked { head, body: (), primary, directives };
    Ok(engine.conclude(&asked, fetched, status))
}

/// This request fetches for itself: nobody waits for it, but what it brings may be stored.
async fn ask_alone<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    asked: Asked<Q>,
    look: LookUp,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let status =
        if engine.policy.collapse { status.detail_of(Detail::Unshareable) } else { status };
    // Most likely it cannot be stored: better that the origin sees what the client asks for.
    let conditions = &validation::CLIENT_CONDITIONS;
    if conditions.iter().any(|name| asked.head.headers.contains_key(name)) {
        return forward(&engine, origin, asked, status).await;
    }
    match engine.flights.alone(&asked.primary, engine.policy.limits.max_fetches) {
        Some(lead) => lead_fetch(engine, origin, asked, look, lead, status).await,
        None => forward(&engine, origin, asked, status.detail_of(Detail::FetchLimit)).await,
    }
}

/// Fetches behind the client's back, unless somebody does already.
fn refresh<O, Q>(engine: Arc<Engine>, origin: O, asked: Asked<Q>, look: LookUp)
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    if let Seat::Lead(lead) = engine.take_seat(&asked, &look) {
        let Asked { head, body, directives, .. } = asked;
        drop(start(&engine, origin, Fetch { head, body, look, directives }, lead));
    }
}

type Fetching<O, Q> =
    oneshot::Receiver<Result<Fetched<<O as Origin<Q>>::Body>, <O as Origin<Q>>::Error>>;

/// A fetch is its own task: it outlives the request that started it.
fn start<O, Q>(
    engine: &Arc<Engine>,
    origin: O,
    fetch: Fetch<Q>,
    lead: Lead,
) -> (JoinHandle<()>, Fetching<O, Q>)
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (tokio::spawn(fetch::run(Arc::clone(engine), origin, fetch, lead, reply)), answer)
}

/// What the fetch brings. A panic of the inner service goes on in the request that asked.
async fn receive<T, E>(
    task: JoinHandle<()>,
    answer: oneshot::Receiver<Result<T, E>>,
) -> Result<T, E> {
    if let Ok(fetched) = answer.await {
        return fetched;
    }
    match task.await {
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        _ => pending().await,
    }
}

/// Past the cache, with the client's own conditions and range; nothing is stored.
async fn forward<O, Q>(
    engine: &Engine,
    origin: O,
    asked: Asked<Q>,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let response = origin.send(Request::from_parts(asked.head, asked.body)).await?;
    Ok(engine.exit(response.map(CacheBody::forwarded), status))
}

/// A HEAD that no stored response could answer; what it says of the stored GET is heeded (RFC 9111 section 4.3.5).
async fn forward_head<O, Q>(
    engine: &Engine,
    origin: O,
    asked: Asked<Q>,
    look: LookUp,
    reason: Forward,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let request = asked.head.headers.clone();
    let request_time = engine.clock.read();
    let response = origin.send(Request::from_parts(asked.head, asked.body)).await?;
    let (parts, body) = response.into_parts();
    if let Some(found) = &look.found {
        let times = (request_time, engine.clock.read());
        engine.heed_head(&asked.primary, &look, found, &request, &parts, times).await;
    }
    let response = Response::from_parts(parts, body);
    Ok(engine.exit(response.map(CacheBody::forwarded), CacheStatus::forwarded(reason)))
}

impl Engine {
    fn judge<Q>(&self, asked: &Asked<Q>, found: &Found, freshness: Freshness) -> Verdict {
        reuse::judge(&asked.directives, &found.head.directives, freshness, &self.policy.stale)
    }

    fn hit_with<Q, B>(
        &self,
        asked: &Asked<Q>,
        found: &Found,
        freshness: Freshness,
        detail: Option<Detail>,
    ) -> Response<CacheBody<B>> {
        let delivery = Delivery {
            head: &found.head,
            supply: Supply::Stored(found.content.clone()),
            age: Some(freshness.current_age),
        };
        let status = CacheStatus { detail, ..CacheStatus::hit(freshness.ttl()) };
        self.exit(deliver(&asked.head, delivery), status)
    }

    fn take_seat<Q>(&self, asked: &Asked<Q>, look: &LookUp) -> Seat {
        let limit = self.policy.limits.max_fetches;
        self.flights.join(&asked.primary, &look.key, limit, |landed| {
            if let Some(key) = self.variant_for(asked, landed) {
                return Fit::OtherVariant(key);
            }
            let freshness = landed.head.freshness(&self.clock.read());
            match reuse::judge(
                &asked.directives,
                &landed.head.directives,
                freshness,
                &self.policy.stale,
            ) {
                Verdict::Fresh => Fit::Fits,
                Verdict::StaleWhileRevalidate | Verdict::MustAsk(_) => Fit::Stale,
            }
        })
    }

    /// The key of the variant that this request selects, if it is not the one that landed (RFC 9111 section 4.1).
    fn variant_for<Q>(&self, asked: &Asked<Q>, landed: &Landed) -> Option<crate::CacheKey> {
        let (generation, shape) = landed.head.variant.as_ref()?;
        let key = asked.primary.variant(*generation, shape, &asked.head.headers);
        (key != landed.key).then_some(key)
    }

    fn fresh<Q>(&self, asked: &Asked<Q>, look: &LookUp) -> Option<(Landed, Supply)> {
        let found = look.found.clone()?;
        let freshness = found.head.freshness(&self.clock.read());
        if self.judge(asked, &found, freshness) != Verdict::Fresh {
            return None;
        }
        let landed = Landed::stored(look.key.clone(), found);
        let supply = landed.open()?;
        Some((landed, supply))
    }

    fn conclude<B>(
        &self,
        asked: &Asked<()>,
        fetched: Fetched<B>,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        match fetched {
            Fetched::Landed { landed, supply, origin } => {
                self.share(asked, landed, supply, origin, status)
            }
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
    fn share<Q, B>(
        &self,
        asked: &Asked<Q>,
        landed: Landed,
        supply: Supply,
        origin: FromOrigin,
        status: CacheStatus,
    ) -> Response<CacheBody<B>> {
        let freshness = landed.head.freshness(&self.clock.read());
        // RFC 9111 section 5.1: an Age tells that the origin did not generate or validate it for this request.
        let is_new = origin.status.is_some() && !landed.on_error;
        let has_age = landed.head.headers.contains_key(header::AGE);
        let age = (!is_new || has_age).then_some(freshness.current_age);
        let mut response = deliver(&asked.head, Delivery { head: &landed.head, supply, age });
        *response.extensions_mut() = origin.extensions;
        let status = CacheStatus {
            ttl: Some(freshness.ttl()),
            stored: origin.stored,
            forward_status: origin.status.filter(|status| *status != response.status()),
            detail: if landed.on_error { Some(Detail::StaleIfError) } else { status.detail },
            ..status
        };
        self.exit(response, status)
    }

    /// Removes all that is stored under a key, and keeps what is on its way from being stored.
    pub(crate) async fn invalidate(&self, key: &crate::CacheKey) {
        let number = self.flights.invalidate(key);
        if self.delete_at(key).await {
            self.flights.deleted(key, number);
        }
    }

    /// RFC 9111 section 4.3.5.
    async fn heed_head(
        &self,
        primary: &crate::CacheKey,
        look: &LookUp,
        found: &Found,
        request: &HeaderMap,
        response: &response::Parts,
        (request_time, response_time): (Moment, Moment),
    ) {
        let update = &response.headers;
        let is_gone = matches!(response.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if response.status != found.head.status {
            if is_gone || response.status.is_success() {
                self.delete_at(&look.key).await;
            }
            return;
        }
        let same_length = match (storing::content_length(update), found.content.len()) {
            (Ok(Some(declared)), Some(stored)) => declared == stored,
            (Ok(None), _) | (Ok(_), None) => true,
            (Err(()), _) => false,
        };
        if !same_length || !validation::identifies(&found.head.headers, update) {
            self.delete_at(&look.key).await;
            return;
        }
        let mut headers = found.head.headers.clone();
        validation::freshen(&mut headers, update);
        let arrival = super::reception::Arrival {
            request_headers: request,
            status: found.head.status,
            headers,
            request_time,
            response_time,
            fetch: found.head.fetch,
        };
        match self.receive(primary, look, arrival) {
            Ok(received) if received.key == look.key => {
                let kind = Kind::Response(Arc::new(received.head));
                self.freshen_at(&look.key, StoredHead { key: received.key, kind }).await;
            }
            _ => drop(self.delete_at(&look.key).await),
        }
    }
}

fn asks_for_304(request: &HeaderMap) -> bool {
    request.contains_key(header::IF_NONE_MATCH) || request.contains_key(header::IF_MODIFIED_SINCE)
}
