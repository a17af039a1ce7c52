//! A HEAD that no stored response could answer; what its answer says of the stored GET is heeded (RFC 9111 section 4.3.5).
use super::{
    Engine, Origin,
    begin::Asked,
    deliver::{Delivery, deliver},
    exit::Age,
    flight::Supply,
    look_up::{Found, LookUp},
    reception::Arrival,
    request::Answer,
};
use crate::{
    CacheBody, CacheStatus, DoNotStore, StoredHead,
    clock::Moment,
    semantics::{
        cache_status::{Detail, Forward},
        reuse,
        storing::{self, NotStored},
        validation,
    },
};
use http::{Method, Request, Response, StatusCode, request, response};
use std::sync::Arc;

pub(super) async fn forward_head<O, Q>(
    engine: &Engine,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Box<LookUp>,
    reason: Forward,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let head = engine.marked(Arc::clone(&asked));
    let request_time = engine.clock.read();
    let sent = origin.send(Request::from_parts(head, body)).await;
    let has_failed = sent.as_ref().map_or(true, |r| reuse::is_origin_failure(r.status()));
    if has_failed && let Some(response) = engine.stale_head(&asked, &look, reason) {
        return Ok(response);
    }
    let (parts, body) = sent?.into_parts();
    if let Some(found) = &look.found {
        let heard = Heard {
            asked: &asked.head,
            answer: &parts,
            times: (request_time, engine.clock.read()),
        };
        engine.heed_head(&asked.primary, &look, found, heard).await;
    }
    let response = Response::from_parts(parts, body).map(CacheBody::forwarded);
    Ok(engine.exit(response, look.forwarded(reason)))
}

struct Heard<'a> {
    asked: &'a request::Parts,
    answer: &'a response::Parts,
    times: (Moment, Moment),
}

impl Engine {
    /// What is stale, where it may answer since the origin fails (RFC 5861 section 4).
    fn stale_head<B>(
        &self,
        asked: &Asked,
        look: &LookUp,
        reason: Forward,
    ) -> Option<Response<CacheBody<B>>> {
        let found = look.found.as_ref()?;
        let freshness = found.head.freshness(&self.clock.read());
        if !self.may_serve_on_error(&found.head, freshness) {
            return None;
        }
        let delivery = Delivery {
            head: &found.head,
            fields: &found.head.headers,
            supply: Supply::Stored(found.content.clone()),
            asks: asked.asks,
        };
        let status = CacheStatus { ttl: Some(freshness.ttl()), ..look.forwarded(reason) };
        let mut response = Response::new(CacheBody::empty());
        deliver(&asked.head, delivery, &mut response);
        let age = Age::Current(freshness.current_age);
        self.complete(&mut response, age, status.detail_of(Detail::StaleIfError));
        Some(response)
    }

    async fn heed_head(
        &self,
        primary: &crate::CacheKey,
        look: &LookUp,
        found: &Found,
        heard: Heard<'_>,
    ) {
        let update = &heard.answer.headers;
        let status = heard.answer.status;
        if status != found.head.status {
            // Section 4.3.5 speaks of 200; another success, such as 206, says nothing of the whole.
            let is_gone =
                matches!(status, StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::GONE);
            if is_gone {
                self.delete_at(&look.key).await;
            }
            return;
        }
        let complete_length = match &found.head.rare.part {
            Some(parts) => Some(parts.complete),
            None => found.content.len(),
        };
        let has_same_length = match (storing::content_length(update), complete_length) {
            (Ok(Some(declared)), Some(stored)) => declared == stored,
            (Ok(_), _) => true,
            (Err(()), _) => false,
        };
        if !has_same_length || !validation::agrees(&found.head.headers, update) {
            self.delete_at(&look.key).await;
            return;
        }
        let mut headers = found.head.headers.clone();
        validation::freshen(&mut headers, update);
        let arrival = Arrival {
            request_method: &Method::GET,
            path: heard.asked.uri.path(),
            request_headers: &heard.asked.headers,
            status: found.head.status,
            headers: &headers,
            update: Some(update),
            times: heard.times,
            fetch: found.head.fetch,
            groups: found.head.rare.groups.clone(),
            content: Some(found.head.content),
            part: found.head.rare.part.clone(),
        };
        // As a 304 with it, it says that the response may not be stored any longer.
        let is_declined = heard.answer.extensions.get::<DoNotStore>().is_some();
        let received = if is_declined {
            Err(NotStored::Declined)
        } else {
            self.receive(primary, look, arrival)
        };
        match received {
            Ok(received) if received.key == look.key => {
                let head = StoredHead::response(received.key, received.head);
                self.freshen_at(&look.key, head).await;
            }
            // What is wrong with this request says nothing of the response.
            Err(reason) if reason.is_of_request() => {}
            _ => drop(self.delete_at(&look.key).await),
        }
    }
}
