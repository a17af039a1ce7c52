//! Requests with unsafe methods: forwarded, and what their answers say of stored responses (RFC 9111 section 4.4).
use super::{
    Engine, Origin,
    begin::Asked,
    fetch::{Fetched, Sent},
    landing::Course,
    look_up::LookUp,
    reception::Arrival,
    request::{Answer, receive},
};
use crate::{
    CacheBody, CacheKey, CacheStatus, key,
    semantics::{cache_status::Forward, directives::RequestDirectives, groups, invalidation},
};
use http::{Method, Request, Response, Uri, request};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(crate) async fn respond<O, Q>(
    engine: Arc<Engine>,
    origin: O,
    request: Request<Q>,
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let (head, body) = request.into_parts();
    let target = engine.keys.key(&head).ok().map(|keyed| keyed.key);
    let uri = engine.keys.target_uri(&head);
    let asked = head.clone();
    let request_time = engine.clock.read();
    let response = origin.send(Request::from_parts(head, body)).await?;
    let response_time = engine.clock.read();
    let status = CacheStatus::forwarded(Forward::Method);
    if !invalidation::invalidates(&asked.method, response.status()) {
        return Ok(engine.exit(response.map(CacheBody::forwarded), status));
    }
    let named = uri.as_ref().map(|uri| key::named_keys(&engine.keys, uri, response.headers()));
    for key in target.iter().chain(named.iter().flatten()) {
        engine.invalidate(key).await;
    }
    if let Some(target) = &target {
        // RFC 9875 section 3.
        let names = groups::listed(response.headers(), &groups::CACHE_GROUP_INVALIDATION);
        if !names.is_empty() {
            let groups = names.iter().map(|name| target.group(name));
            engine.rules.invalidate_groups(groups, engine.flights.number());
        }
    }
    let (Some(target), Some(uri)) = (target, uri) else {
        return Ok(engine.exit(response.map(CacheBody::forwarded), status));
    };
    let (parts, body) = response.into_parts();
    let sent = Sent { parts, body, times: (request_time, response_time) };
    store_for_get::<O, Q>(engine, asked, target, &uri, sent, status).await
}

/// RFC 9110 section 9.3.3: a POST whose answer says that it is what a GET of the target would give.
async fn store_for_get<O, Q>(
    engine: Arc<Engine>,
    asked: request::Parts,
    target: CacheKey,
    uri: &Uri,
    sent: Sent<O::Body>,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let is_content_of_target = engine.policy.storing.store_post
        && asked.method == Method::POST
        && invalidation::is_content_of(uri, &sent.parts.headers);
    let lead = is_content_of_target
        .then(|| engine.flights.alone(&target, engine.policy.limits.max_fetches))
        .flatten();
    let Some(lead) = lead else {
        let response = Response::from_parts(sent.parts, sent.body);
        return Ok(engine.exit(response.map(CacheBody::forwarded), status));
    };
    let (reply, answer) = oneshot::channel::<Result<Fetched<O::Body>, O::Error>>();
    let look = LookUp::nothing(target.clone());
    let course = Course { engine: Arc::clone(&engine), lead, look, reply: Some(reply) };
    let request = asked.clone();
    let task = tokio::spawn(async move {
        let arrival = Arrival {
            request_method: &Method::POST,
            path: request.uri.path(),
            request_headers: &request.headers,
            status: sent.parts.status,
            headers: sent.parts.headers.clone(),
            times: sent.times,
            fetch: course.lead.number(),
            content: None,
            part: None,
        };
        let received = course.engine.receive(course.lead.primary(), &course.look, arrival);
        course.store_received(received, sent).await;
    });
    let fetched = receive(task, answer).await?;
    // Its conditions were for the inner service.
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = asked.method;
    let asked = Asked { head, primary: target, directives: RequestDirectives::default() };
    Ok(match fetched {
        Fetched::Private { response, .. } => {
            engine.exit(response.map(CacheBody::forwarded), status)
        }
        fetched => engine.conclude(&asked, fetched, status),
    })
}

impl Engine {
    /// Removes all that is stored under a key, and under others of the same URI, and keeps what is on its way from being stored.
    pub(crate) async fn invalidate(&self, key: &CacheKey) {
        let bare = key.bare();
        for key in bare.iter().chain([key]) {
            let number = self.flights.invalidate(key);
            self.rules.invalidate_groups([key.uri_group()], number);
            if self.delete_at(key).await {
                self.flights.deleted(key, number);
            }
        }
    }
}
