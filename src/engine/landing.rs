//! How a fetch ends: what becomes of an answer, for those who wait and for the store.
use super::{
    Engine,
    fetch::Sent,
    fetched::{Fetched, FromOrigin, Reply},
    flight::{Landed, Lead, Source},
    look_up::{Found, LookUp},
    reception::{Arrival, Reception},
};
use crate::{
    CacheKey, DoNotStore, StoredHead, StoredResponse,
    clock::Moment,
    semantics::{
        cache_status::Detail,
        directives::RequestDirectives,
        reuse::{self, Verdict},
        stored_fields::end_to_end,
        storing::NotStored,
        validation,
    },
    stored::{Membership, ResponseHead},
};
use http::{HeaderMap, Response, StatusCode, header, request, response};
use std::{sync::Arc, time::Duration};

/// A fetch under way: the seat that it holds, what it started from, and who asked. Each of its ends consumes it.
pub(crate) struct Course<B, E> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) lead: Lead,
    pub(crate) look: Box<LookUp>,
    /// `None` once the one who asked has got something.
    pub(crate) reply: Option<Reply<B, E>>,
}

impl<B, E> Course<B, E> {
    /// Everybody gets this.
    pub(crate) fn land(&mut self, landed: Landed, origin: FromOrigin) {
        let now = self.engine.clock.read();
        self.share(&landed, &now, Duration::ZERO);
        self.answer(landed, origin);
    }

    /// RFC 9111 section 4: those who waited share it if they might reuse it. If not, nobody waits for the next one in vain. The `delay` of the answer counts into its
    /// age, but those who waited asked before it was generated: for them it is no older than that.
    fn share(&mut self, landed: &Landed, now: &Moment, delay: Duration) {
        let engine = &self.engine;
        let mut freshness = landed.head.freshness(now);
        freshness.current_age = freshness.current_age.saturating_sub(delay);
        let verdict = engine.judge(&RequestDirectives::default(), &landed.head, freshness);
        let may_share = landed.on_error || !matches!(verdict, Verdict::MustAsk(_));
        if !may_share {
            engine.shared.unshareable.remember(&landed.key, engine.policy.limits.unshareable_for);
        }
        self.lead.land(landed, may_share);
    }

    /// What is stale answers, since the origin fails.
    pub(crate) fn land_stale(mut self, stale: Found, status: Option<StatusCode>) {
        let landed = Landed { on_error: true, ..Landed::stored(self.look.key.clone(), stale) };
        self.land(landed, FromOrigin { status, ..FromOrigin::default() });
    }

    /// What is stale answers those who wait now; the exchange goes on.
    pub(crate) fn tide_over(&mut self, stale: Found) {
        let landed = Landed { on_error: true, ..Landed::stored(self.look.key.clone(), stale) };
        self.lead.tide_over(&landed);
        self.answer(landed, FromOrigin::default());
    }

    /// The origin has spoken of something else than it was asked about, and cannot be asked again: what is stored answers this once, if it may although it is
    /// not validated (RFC 9111 section 4.2.4).
    pub(crate) fn land_unvalidated(self) {
        match self.stale_for_error(&self.engine.clock.read()) {
            Some(stale) => self.land_stale(stale, None),
            None => self.refuse(StatusCode::BAD_GATEWAY, Detail::Contradiction),
        }
    }

    /// The error of the inner service goes to the one who asked; those who followed find another seat.
    pub(crate) fn fail(self, error: E) {
        if let Some(reply) = self.reply {
            _ = reply.send(Err(error));
        }
    }

    /// There is nothing to send.
    pub(crate) fn refuse(self, status: StatusCode, detail: Detail) {
        if let Some(reply) = self.reply {
            _ = reply.send(Ok(Fetched::Nothing { status, detail }));
        }
    }

    /// As if nothing were stored.
    pub(crate) fn without_stored(mut self) -> Self {
        (self.look.found, self.look.part) = (None, None);
        self
    }

    /// What the origin has sent goes to those who wait, and to the one who asked.
    pub(super) fn hand_out(
        &mut self,
        key: &CacheKey,
        head: &Arc<ResponseHead>,
        source: Source,
        delay: Duration,
        origin: FromOrigin,
    ) {
        let (key, head) = (key.clone(), Arc::clone(head));
        let now = head.response_time;
        let landed = Landed { key, head, source, on_error: false };
        self.share(&landed, &now, delay);
        self.answer(landed, origin);
    }

    fn answer(&mut self, landed: Landed, origin: FromOrigin) {
        let Some(supply) = landed.open() else { return };
        if let Some(reply) = self.reply.take() {
            _ = reply.send(Ok(Fetched::Landed { landed, supply, origin }));
        }
    }

    pub(super) fn arrival<'a>(
        &self,
        request: &'a request::Parts,
        status: StatusCode,
        headers: &'a HeaderMap,
        sent: &Sent<impl Sized>,
    ) -> Arrival<'a> {
        Arrival {
            request_method: &http::Method::GET,
            path: request.uri.path(),
            request_headers: &request.headers,
            status,
            headers,
            update: None,
            stored: None,
            times: sent.times,
            fetch: self.lead.number(),
            groups: Membership::default(),
            content: None,
            part: None,
        }
    }

    /// RFC 9111 section 4.3.4: the stored response with its new fields goes to all, and to its place.
    pub(crate) async fn freshen(mut self, request: &request::Parts, stale: Found, sent: Sent<B>) {
        let mut headers = stale.head.headers.clone();
        validation::freshen(&mut headers, &sent.parts.headers);
        let arrival = Arrival {
            update: Some(&sent.parts.headers),
            stored: Some(&stale.head),
            groups: stale.head.rare.groups.clone(),
            content: Some(stale.head.content),
            part: stale.head.rare.part.clone(),
            ..self.arrival(request, stale.head.status, &headers, &sent)
        };
        let is_declined = sent.parts.extensions.get::<DoNotStore>().is_some();
        let received = if is_declined {
            Err(NotStored::Declined)
        } else {
            self.engine.receive(self.lead.primary(), &self.look, arrival)
        };
        let status = Some(sent.parts.status);
        let Reception { key, head, own, .. } = match received {
            Ok(received) => received,
            Err(reason) => {
                let headers = fields_for_one(headers, &sent.parts.headers);
                return self.freshen_for_one(reason, headers, stale, status).await;
            }
        };
        let delay = delay_of(&sent);
        let (extensions, fields) = (sent.parts.extensions, Some(own.of(headers)));
        let origin = FromOrigin { status, stored: true, extensions, fields };
        self.hand_out(&key, &head, Source::Stored(stale.content.clone()), delay, origin);
        // Section 4: the most recent counts.
        let is_late = self.is_update_late(&self.look.key, &head).await
            || key != self.look.key && self.is_update_late(&key, &head).await;
        if is_late || !self.lead.may_store() {
            return;
        }
        let engine = &self.engine;
        let stored_head = StoredHead::response(key.clone(), Arc::clone(&head));
        if key == self.look.key {
            if engine.freshen_at(&key, stored_head).await {
                engine.shared.counters.stored();
            }
        } else {
            // It has moved by a new Vary.
            engine.delete_at(&self.look.key).await;
            let response = StoredResponse { head: stored_head, content: stale.content };
            self.keep(&key, &head, response, async {}).await;
        }
        self.withdraw_if_invalidated(&key, head.content).await;
    }

    /// What is stored is still good, but what the origin said of it is for the one who asked only.
    async fn freshen_for_one(
        mut self,
        reason: NotStored,
        headers: HeaderMap,
        stale: Found,
        status: Option<StatusCode>,
    ) {
        let fetch = self.lead.number();
        let head = Arc::new(ResponseHead { headers, fetch, ..(*stale.head).clone() });
        let found = Found { head: Arc::clone(&head), content: stale.content };
        let landed = Landed::stored(self.look.key.clone(), found);
        if reason.is_of_request() {
            self.answer(landed, FromOrigin { status, ..FromOrigin::default() });
            return;
        }
        // It may not be stored any longer, unless something newer has said otherwise.
        if !self.is_update_late(&self.look.key, &head).await {
            self.engine.delete_at(&self.look.key).await;
        }
        self.answer(landed, FromOrigin { status, ..FromOrigin::default() });
        self.lead.release();
    }

    /// The response goes to the one who asked. Nobody waits for the next one in vain.
    pub(super) async fn decline(mut self, reason: NotStored, parts: response::Parts, body: B) {
        // What is wrong with this one request, or with the origin for a moment, tells nothing of the next response: another one may try at once.
        let tells_of_next = !reason.is_of_request() && !reuse::is_origin_failure(parts.status);
        if tells_of_next {
            let time = self.engine.policy.limits.unshareable_for;
            self.engine.shared.unshareable.remember(&self.look.key, time);
            self.lead.release();
        } else {
            drop(self.lead);
        }
        // RFC 9111 section 4.3.3: a full response tells that what was stored is not what is there now.
        let is_gone = matches!(parts.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        let is_replaced = tells_of_next
            && (parts.status.is_success() || parts.status.is_redirection() || is_gone);
        if let Some(reply) = self.reply.take() {
            let response = Response::from_parts(parts, body);
            _ = reply.send(Ok(Fetched::Private { response, reason }));
        }
        if is_replaced && self.look.found.is_some() {
            self.engine.delete_at(&self.look.key).await;
        }
    }
}

/// The fields of a stored response with those of an update that is for one only. A cookie that was stored was meant for many; whether it still is, nobody
/// has said, so only one that the update brings goes out.
pub(super) fn fields_for_one(mut freshened: HeaderMap, update: &HeaderMap) -> HeaderMap {
    if !update.contains_key(header::SET_COOKIE) {
        freshened.remove(header::SET_COOKIE);
    }
    end_to_end(freshened)
}

/// `response_delay` of RFC 9111 section 4.2.3.
pub(super) fn delay_of<B>(sent: &Sent<B>) -> Duration {
    let (request_time, response_time) = sent.times;
    response_time.wall.duration_since(request_time.wall).unwrap_or_default()
}
