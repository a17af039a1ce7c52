//! Requests with unsafe methods: forwarded, and what their answers say of stored responses (RFC 9111 section 4.4).
use super::{
    Engine, Origin,
    begin::Asked,
    fetch::Sent,
    fetched::Fetched,
    flight::Lead,
    goes_on::GoesOn,
    landing::Course,
    look_up::LookUp,
    reception::{Arrival, size},
    request::{Answer, receive},
};
use crate::{
    CacheBody, CacheKey, CacheStatus,
    invalidation::{Target, sequence},
    semantics::{
        cache_status::Forward, directives::RequestDirectives, groups, invalidation,
        survey::ResponseSurvey,
    },
    stored::Membership,
};
use http::{HeaderMap, Method, Request, StatusCode, request};
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
    let limit = engine.policy.limits.fetch_timeout;
    GoesOn::new(exchange(engine, origin, request), limit).await
}

async fn exchange<O, Q>(engine: Arc<Engine>, origin: O, request: Request<Q>) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    let (head, body) = request.into_parts();
    let is_as_keyed = engine.keys.is_forwarded_as_keyed(&head);
    let target = engine.keys.key(&head).ok().map(|keyed| keyed.key);
    // It is remembered for a while, and is not to take more memory than that of a request that takes part.
    let is_long = size(&head.headers) > engine.policy.limits.max_head;
    let target = target.map(|key| if is_long { key.bare().unwrap_or(key) } else { key });
    let uri = engine.keys.target_uri(&head);
    let asked = head.clone();
    let (number, request_time) = (sequence::next(), engine.clock.read());
    let response = origin.send(Request::from_parts(head, body)).await?;
    let response_time = engine.clock.read();
    let status = CacheStatus::forwarded(Forward::Method);
    if !invalidation::invalidates(&asked.method, response.status()) {
        return Ok(engine.exit(response.map(CacheBody::forwarded), status));
    }
    let mut keys: Vec<CacheKey> = target.iter().cloned().collect();
    if let Some(uri) = &uri {
        engine.add_other_keys(uri, &mut keys);
        for key in invalidation::named_uris(uri, response.headers())
            .iter()
            .flat_map(|named| engine.keys_of_uri(named))
        {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    // RFC 9875 section 3.
    let names = groups::listed(response.headers(), &groups::CACHE_GROUP_INVALIDATION);
    let groups = names.iter().zip(target.iter().cycle()).map(|(name, target)| target.group(name));
    let groups = groups.map(Target::Group).collect();
    // Asked before its own rule hides what others have said since it was sent.
    let newest = engine.shared.rules.newest();
    let may_answer_get = engine.policy.storing.store_post
        && asked.method == Method::POST
        && response.status() == StatusCode::OK
        && is_as_keyed
        && uri.as_ref().is_some_and(|uri| invalidation::is_content_of(uri, response.headers()))
        && target.as_ref().is_some_and(|key| engine.is_valid(key, response.headers(), number));
    let done = engine.invalidate_as_answered(keys, groups);
    // What is said from here on has a higher number than the lead, and concerns the response like any other.
    let lead = target
        .as_ref()
        .filter(|_| may_answer_get && done.before == newest)
        .and_then(|key| engine.shared.flights.alone(key, engine.policy.limits.max_fetches))
        .filter(|_| engine.shared.rules.newest() == done.number);
    let (Some(target), Some(lead)) = (target, lead) else {
        return Ok(engine.exit(response.map(CacheBody::forwarded), status));
    };
    // What was stored before must not take away what is stored now.
    _ = done.first.await;
    let (parts, body) = response.into_parts();
    let sent = Sent { parts, body, times: (request_time, response_time) };
    store_for_get::<O, Q>(engine, lead, asked, target, sent, status).await
}

impl Engine {
    /// Nothing has made invalid what was fetched with this number.
    fn is_valid(&self, key: &CacheKey, headers: &HeaderMap, number: u64) -> bool {
        let survey = ResponseSurvey::of(headers, &self.policy.targets);
        let groups = self.groups_of(key, headers, &survey, Membership::default());
        let rules = &self.shared.rules;
        // Of rules that were forgotten nobody knows which URI they were about.
        rules.floors().uris.newest() < number && !rules.concern(key, &groups, number)
    }
}

/// RFC 9110 section 9.3.3: a POST whose answer says that it is what a GET of the target would give.
async fn store_for_get<O, Q>(
    engine: Arc<Engine>,
    lead: Lead,
    asked: request::Parts,
    target: CacheKey,
    sent: Sent<O::Body>,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let (reply, answer) = oneshot::channel::<Result<Fetched<O::Body>, O::Error>>();
    let look = Box::new(LookUp::nothing(target.clone()));
    let course = Course { engine: Arc::clone(&engine), lead, look, reply: Some(reply) };
    let request = asked.clone();
    let task = tokio::spawn(async move {
        let arrival = Arrival {
            request_method: &Method::POST,
            path: request.uri.path(),
            request_headers: &request.headers,
            status: sent.parts.status,
            headers: &sent.parts.headers,
            update: None,
            stored: None,
            times: sent.times,
            fetch: course.lead.number(),
            groups: Membership::default(),
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
    let directives = RequestDirectives::default();
    let asked = Asked { head, primary: target, directives, asks: false };
    Ok(match fetched {
        Fetched::Private { response, .. } => {
            engine.exit(response.map(CacheBody::forwarded), status)
        }
        fetched => engine.conclude(&asked, fetched, status),
    })
}
