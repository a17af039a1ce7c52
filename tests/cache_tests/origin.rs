//! The origin: it answers each request as the definition of its step says.
use crate::{
    definition::Step,
    fields::{Base, combined, date, leading_number, to_name, to_wire},
    session::{Arrival, NOT_CONDITIONAL, Session, is_bodiless, mark},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use std::{
    error, fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The origin closed the connection without an answer.
#[derive(Debug)]
pub(crate) struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("disconnected")
    }
}

impl error::Error for Disconnected {}

pub(crate) async fn answer(
    session: Arc<Session>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Disconnected> {
    let claimed = combined(request.headers(), "req-num")
        .and_then(|value| leading_number(&value))
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0);
    let number = || claimed.unwrap_or_else(|| session.arrivals().len() + 1);
    if let Some(step) = session.case.step(number()) {
        tokio::time::sleep(Duration::from_secs(step.response_pause)).await;
    }

    let number = number();
    let Some(step) = session.case.step(number) else { return Ok(no_such_step()) };
    let response = reply(&session, step, number, &request);
    if step.disconnect { Err(Disconnected) } else { Ok(response) }
}

fn no_such_step() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("no such step\n"));
    *response.status_mut() = StatusCode::CONFLICT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Notes the arrival, and makes the answer to it.
fn reply(
    session: &Session,
    step: &Step,
    number: usize,
    request: &Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let clock = session.clock.now();
    let target = request.uri().path_and_query().map_or("*", |target| target.as_str());
    let (sent, promised) = defined_fields(step, clock, target);
    let mut arrivals = session.arrivals();
    let status = status(step, number, request.headers(), session, &arrivals);
    arrivals.push(Arrival {
        step: number,
        method: request.method().clone(),
        headers: request.headers().clone(),
        sent: sent.clone(),
        promised,
    });

    let bodiless = is_bodiless(status) || request.method() == Method::HEAD;
    let text = step.response_body.as_deref().filter(|text| !text.is_empty());
    let body = Bytes::copy_from_slice(text.unwrap_or_else(|| session.token()).as_bytes());
    let body = if bodiless { Bytes::new() } else { body };

    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: String| headers.insert(to_name(name), to_wire(&value));
    set(mark::TARGET, target.to_owned());
    set(mark::SERIAL, arrivals.len().to_string());
    set(mark::STEP, number.to_string());
    set(mark::CLOCK, milliseconds(clock).to_string());
    let log: Vec<_> = arrivals.iter().map(|arrival| arrival.step.to_string()).collect();
    set(mark::LOG, log.join(" "));
    // What a server adds by itself.
    set("content-type", "text/plain".to_owned());
    set("date", date(clock));
    if !bodiless && !sent.contains_key(header::TRANSFER_ENCODING) {
        set("content-length", body.len().to_string());
    }
    headers.extend(sent);

    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The fields that the definition gives the answer, and the values of those that the client must find.
fn defined_fields(
    step: &Step,
    clock: SystemTime,
    target: &str,
) -> (HeaderMap, Vec<(String, String)>) {
    let target = step.magic_locations.then_some(target);
    let base = Base { clock: Some(clock), target, rfc850: &step.rfc850 };
    let (mut sent, mut promised) = (HeaderMap::new(), Vec::new());
    for field in &step.response_fields {
        let value = base.resolve(&field.name, &field.value).expect("there is a clock");
        sent.append(to_name(&field.name), to_wire(&value));
        if field.promised {
            let name = field.name.to_ascii_lowercase();
            promised.retain(|(other, _)| *other != name);
            let all = combined(&sent, &name).unwrap_or_default();
            promised.push((name, all));
        }
    }
    (sent, promised)
}

/// A step that expects validation is answered with 304 if the request has the validator of the step before: as it was sent, if that
/// step got here, since a relative date has its value only then.
fn status(
    step: &Step,
    number: usize,
    request: &HeaderMap,
    session: &Session,
    arrivals: &[Arrival],
) -> StatusCode {
    if step.validator().is_none() {
        return StatusCode::from_u16(step.status.unwrap_or(200)).expect("a status");
    }
    let before = number - 1;
    let sent = match arrivals.iter().rfind(|arrival| arrival.step == before) {
        Some(arrival) => arrival.sent.clone(),
        None => session.case.step(before).map_or_else(HeaderMap::new, |step| {
            let clock = session.clock.now();
            defined_fields(step, clock, "").0
        }),
    };
    let matches = |condition: &str, validator: &str| {
        let last = sent.get_all(validator).iter().next_back();
        last.is_some() && last == request.get(condition)
    };
    let validated =
        matches("if-none-match", "etag") || matches("if-modified-since", "last-modified");
    let code = if validated { 304 } else { NOT_CONDITIONAL };
    StatusCode::from_u16(code).expect("a status")
}

fn milliseconds(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
