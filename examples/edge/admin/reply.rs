//! Answers as JSON.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tower_cdn::{Receipt, Stats};

use super::order::Target;

/// Why something is not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    why: Cow<'static, str>,
    /// The one that would do.
    method: Option<Method>,
}

impl Refusal {
    pub(crate) fn of(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into(), method: None }
    }

    pub(crate) fn method(allowed: &Method) -> Self {
        let refusal = Self::of(StatusCode::METHOD_NOT_ALLOWED, "another method is needed");
        Self { method: Some(allowed.clone()), ..refusal }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = json(self.status, &json!({ "error": self.why }));
        let headers = response.headers_mut();
        if let Some(allowed) = self.method.and_then(|m| HeaderValue::from_str(m.as_str()).ok()) {
            headers.insert(header::ALLOW, allowed);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // What is left of the body is not read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{value}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn receipt(target: &Target, receipt: &Receipt) -> Value {
    let (kind, of) = match target {
        Target::Uri(uri) => ("uri", json!(uri)),
        Target::Path(path) => ("path", json!(path)),
        Target::Tags(tags) => ("tags", json!(tags)),
        Target::All => ("all", json!(true)),
    };
    json!({
        kind: of,
        "number": receipt.number(),
        "time": httpdate::fmt_http_date(receipt.time()),
        "durable": receipt.is_durable(),
    })
}

pub(crate) fn statistics(stats: &Stats) -> Value {
    json!({
        "hits": stats.hits,
        "stale_hits": stats.stale_hits,
        "forwarded": stats.forwarded,
        "collapsed": stats.collapsed,
        "stored": stats.stored,
        "store_faults": stats.store_faults,
        "fetches": stats.fetches,
        "invalidations": stats.invalidations,
        "invalidated": stats.invalidated,
        "rules": stats.rules,
    })
}
