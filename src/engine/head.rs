//! A HEAD that no stored response could answer; what its answer says of the stored GET is heeded (RFC 9111 section 4.3.5).
use super::{
    Engine, Origin,
    begin::Asked,
    fetched::FromOrigin,
    look_up::{Found, LookUp},
    reception::{Arrival, Reception},
    request::Answer,
};
use crate::{
    CacheBody, CacheKey, DoNotStore, StoredHead,
    clock::Moment,
    invalidation::Validity,
    semantics::{
        cache_status::Forward,
        reuse,
        storing::{self, NotStored},
        validation,
    },
    stored::{Kind, ResponseHead},
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
    let number = look.found.is_some().then(|| engine.shared.flights.number_update());
    let request_time = engine.clock.read();
    let sent = origin.send(Request::from_parts(head, body)).await;
    let has_failed = sent.as_ref().map_or(true, |r| reuse::is_origin_failure(r.status()));
    if has_failed && let Some((landed, supply)) = engine.stale_for_all(&look) {
        let status = look.forwarded(reason);
        return Ok(engine.share(&asked, landed, supply, FromOrigin::default(), status));
    }
    let (parts, body) = sent?.into_parts();
    if let (Some(found), Some(number)) = (&look.found, number) {
        let heard = Heard {
            asked: &asked.head,
            answer: &parts,
            number,
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
    /// Among those of fetches.
    number: u64,
    times: (Moment, Moment),
}

impl Engine {
    async fn heed_head(&self, primary: &CacheKey, look: &LookUp, found: &Found, heard: Heard<'_>) {
        // Section 4: the most recent counts. What was asked for later has changed it, or taken its place.
        let there = match self.get_at(&look.key).await {
            Some((Kind::Response(head), content))
                if head.content == found.head.content && head.fetch <= heard.number =>
            {
                Found { head, content }
            }
            _ => return,
        };
        let received = match meaning(&there, heard.answer) {
            Meaning::Nothing => return,
            Meaning::IsGone => {
                self.delete_at(&look.key).await;
                return;
            }
            // As a 304 with it, it says that the response may not be stored any longer.
            Meaning::Agrees if heard.answer.extensions.get::<DoNotStore>().is_some() => {
                Err(NotStored::Declined)
            }
            Meaning::Agrees => self.receive_head(primary, look, &there.head, &heard),
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

    /// The stored head with what the answer says of it.
    fn receive_head(
        &self,
        primary: &CacheKey,
        look: &LookUp,
        stored: &ResponseHead,
        heard: &Heard<'_>,
    ) -> Result<Reception, NotStored> {
        let update = &heard.answer.headers;
        let mut headers = stored.headers.clone();
        validation::freshen(&mut headers, update);
        // What something has made invalid stays so until a GET has validated it.
        let is_valid = self.validity(primary, stored) == Validity::Valid;
        let fetch = if is_valid { heard.number } else { stored.fetch };
        let arrival = Arrival {
            request_method: &Method::GET,
            path: heard.asked.uri.path(),
            request_headers: &heard.asked.headers,
            status: stored.status,
            headers: &headers,
            update: Some(update),
            stored: Some(stored),
            times: heard.times,
            fetch,
            groups: stored.rare.groups.clone(),
            content: Some(stored.content),
            part: stored.rare.part.clone(),
        };
        self.receive(primary, look, arrival)
    }
}

/// What the answer to a HEAD says of the stored response.
enum Meaning {
    Nothing,
    /// It is not what is there now.
    IsGone,
    Agrees,
}

fn meaning(stored: &Found, answer: &response::Parts) -> Meaning {
    let Found { head, content } = stored;
    if answer.status != head.status {
        // Section 4.3.5 speaks of 200; another success, such as 206, says nothing of the whole.
        let is_gone =
            matches!(answer.status, StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::GONE);
        return if is_gone { Meaning::IsGone } else { Meaning::Nothing };
    }
    let complete_length = match &head.rare.part {
        Some(parts) => Some(parts.complete),
        None => content.len(),
    };
    let has_same_length = match (storing::content_length(&answer.headers), complete_length) {
        (Ok(Some(declared)), Some(stored)) => declared == stored,
        (Ok(_), _) => true,
        (Err(()), _) => false,
    };
    if has_same_length && validation::agrees(&head.headers, &answer.headers) {
        Meaning::Agrees
    } else {
        Meaning::IsGone
    }
}
