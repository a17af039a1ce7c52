//! A HEAD that no stored response could answer; what its answer says of the stored GET is heeded (RFC 9111 section 4.3.5).
use super::{
    Engine, Origin,
    begin::Asked,
    look_up::{Found, LookUp},
    reception::Arrival,
    request::Answer,
};
use crate::{
    CacheBody, CacheStatus, StoredHead,
    clock::Moment,
    semantics::{cache_status::Forward, storing, validation},
    stored::Kind,
};
use http::{Method, Request, Response, StatusCode, request, response};
use std::sync::Arc;

pub(super) async fn forward_head<O, Q>(
    engine: &Engine,
    origin: O,
    asked: Asked,
    body: Q,
    look: LookUp,
    reason: Forward,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let request = asked.head.clone();
    let request_time = engine.clock.read();
    let response = origin.send(Request::from_parts(asked.head, body)).await?;
    let (parts, body) = response.into_parts();
    if let Some(found) = &look.found {
        let heard =
            Heard { asked: &request, answer: &parts, times: (request_time, engine.clock.read()) };
        engine.heed_head(&asked.primary, &look, found, heard).await;
    }
    let response = Response::from_parts(parts, body).map(CacheBody::forwarded);
    Ok(engine.exit(response, CacheStatus::forwarded(reason)))
}

struct Heard<'a> {
    asked: &'a request::Parts,
    answer: &'a response::Parts,
    times: (Moment, Moment),
}

impl Engine {
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
            let is_gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
            if is_gone || status.is_success() {
                self.delete_at(&look.key).await;
            }
            return;
        }
        let has_same_length = match (storing::content_length(update), found.content.len()) {
            (Ok(Some(declared)), Some(stored)) => declared == stored,
            (Ok(_), _) => true,
            (Err(()), _) => false,
        };
        if !has_same_length || !validation::identifies(&found.head.headers, update) {
            self.delete_at(&look.key).await;
            return;
        }
        let mut headers = found.head.headers.clone();
        validation::freshen(&mut headers, update);
        let arrival = Arrival {
            request_method: &Method::GET,
            request_headers: &heard.asked.headers,
            status: found.head.status,
            headers,
            times: heard.times,
            fetch: found.head.fetch,
            content: Some(found.head.content),
            part: None,
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
