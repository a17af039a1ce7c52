//! The client: it sends each request as a browser would, and takes the answer as one that came over a connection.
use crate::{
    definition::Step,
    fields::{Base, combined, to_name, to_wire},
    session::{Session, is_bodiless, mark},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use std::{
    fmt::Display,
    future::Future,
    time::{Duration, SystemTime},
};

/// For one request.
const LIMIT: Duration = Duration::from_secs(10);

/// What the client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        combined(&self.headers, &name.to_ascii_lowercase())
    }

    /// What the origin's clock showed.
    pub(crate) fn clock(&self) -> Option<SystemTime> {
        let milliseconds = self.field(mark::CLOCK)?.parse().ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }
}

/// Why the client got no answer.
#[derive(Debug)]
pub(crate) enum NoReply {
    Timeout,
    Broken(String),
}

/// The request of a step, counted from 1.
pub(crate) fn compose(
    session: &Session,
    step: &Step,
    number: usize,
    before: Option<&Reply>,
) -> Request<Full<Bytes>> {
    let mut target = session.path();
    if let Some(filename) = &step.filename {
        target.push_str(&format!("/{filename}"));
    }
    if let Some(query) = &step.query {
        target.push_str(&format!("?{query}"));
    }
    let body = step.request_body.clone().unwrap_or_default();
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = Method::from_bytes(step.method.as_bytes()).expect("a method");
    *request.uri_mut() = target.parse().expect("a target");
    for (name, value) in lines(session, step, number, before) {
        let value = match combined(request.headers(), &name) {
            Some(first) => format!("{first}, {value}"),
            None => value,
        };
        request.headers_mut().insert(to_name(&name), to_wire(&value));
    }
    request
}

fn lines(
    session: &Session,
    step: &Step,
    number: usize,
    before: Option<&Reply>,
) -> Vec<(String, String)> {
    let clock = before.and_then(Reply::clock).filter(|_| step.magic_ims);
    let base = Base { clock, target: None, rfc850: &step.rfc850 };
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());

    // Directives without meaning keep the handling of these fields in play.
    let mut lines = vec![
        line("host", "cache.test"),
        line("pragma", "x-filler"),
        line("cache-control", "x-filler"),
        line("test-id", &session.case.id),
        line("req-num", &number.to_string()),
    ];
    let given: Vec<_> =
        step.request_fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let is_given = |name: &str| given.iter().any(|other| other == name);
    for (name, (_, value)) in given.iter().zip(&step.request_fields) {
        let value = base.resolve(name, value).unwrap_or_else(|| value.to_string());
        lines.push(line(name, &value));
    }
    let coding = if is_given("range") { "identity" } else { "gzip, deflate" };
    let mut usual = vec![
        line("accept", "*/*"),
        line("accept-language", "*"),
        line("user-agent", "cache-tests"),
        line("accept-encoding", coding),
    ];
    if let Some(body) = &step.request_body {
        usual.push(line("content-type", "text/plain;charset=UTF-8"));
        lines.push(line("content-length", &body.len().to_string()));
    }
    usual.retain(|(name, _)| !is_given(name));
    lines.append(&mut usual);
    lines
}

/// Waits for the answer to the request of this method, and for its body.
pub(crate) async fn receive<B, E>(
    method: &Method,
    answer: impl Future<Output = Result<Response<B>, E>>,
) -> Result<Reply, NoReply>
where
    B: Body<Data = Bytes, Error: Display>,
    E: Display,
{
    let received = async {
        // What a server does with an error of its service.
        let Ok(response) = answer.await else { return Ok(bad_gateway()) };
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("response cut off: {error}"))?;
        let body = content(method, head.status, &head.headers, body.to_bytes())?;
        Ok(Reply { status: head.status, headers: head.headers, body })
    };
    match tokio::time::timeout(LIMIT, received).await {
        Ok(reply) => reply.map_err(NoReply::Broken),
        Err(_) => Err(NoReply::Timeout),
    }
}

fn bad_gateway() -> Reply {
    Reply { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body: String::new() }
}

/// What a connection brings of a body: none where there can be none, and as much as `Content-Length` says.
fn content(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<String, String> {
    if *method == Method::HEAD || is_bodiless(status) {
        return Ok(String::new());
    }
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) if *length != body.len().to_string() => {
            Err(format!("Content-Length: {length:?} before {} bytes", body.len()))
        }
        _ => Ok(String::from_utf8_lossy(&body).into_owned()),
    }
}
