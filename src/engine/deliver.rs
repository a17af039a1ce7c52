//! From a stored response to the answer of one request (RFC 9111 section 4, RFC 9110 sections 13 to 15).
use super::{flight::Supply, values::age_value};
use crate::{
    CacheBody,
    semantics::{
        conditional,
        range::{self, Wanted},
    },
    stored::{Content, ContentBody, ResponseHead, place},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
    time::Duration,
};

/// What is delivered.
pub(crate) struct Delivery<'a> {
    pub(crate) head: &'a ResponseHead,
    pub(crate) supply: Supply,
    /// The `Age` to show; `None` for what was just generated or validated (RFC 9111 section 5.1).
    pub(crate) age: Option<Duration>,
    /// False if the request has neither conditions nor a range.
    pub(crate) asks: bool,
}

/// Evaluates the client's conditions and range on the stored response, and builds what it gets.
pub(crate) fn deliver<B>(request: &Parts, delivery: Delivery<'_>) -> Response<CacheBody<B>> {
    let Delivery { head, supply, age, asks } = delivery;
    let outcome = if asks { outcome(request, head, &supply) } else { Outcome::Whole };
    let mut response = match outcome {
        Outcome::Whole => {
            // A body tells its length, but the answer to a HEAD has none.
            let length =
                if request.method == Method::HEAD { length_of(head, &supply) } else { None };
            let mut response = plain(head, supply.whole(&request.method));
            let headers = response.headers_mut();
            if let Some(length) = length
                && !headers.contains_key(header::CONTENT_LENGTH)
                && !is_bodiless(head.status)
            {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
            response
        }
        Outcome::Part { part, stored, length } => {
            let size = part.end.saturating_sub(part.start);
            let content_range = range::content_range(&part, length);
            let mut response = plain(head, supply.part(stored));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, size.into());
            insert(headers, header::CONTENT_RANGE, &content_range);
            response
        }
        Outcome::Parts(parts, length, content) => multipart(head, &parts, length, &content),
        Outcome::NotModified => {
            let mut response = Response::new(CacheBody::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = response.headers_mut();
            for name in &NOT_MODIFIED_FIELDS {
                for value in head.headers.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
            response
        }
        Outcome::Unsatisfiable(length) => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            let unsatisfied = format!("bytes */{length}");
            insert(response.headers_mut(), header::CONTENT_RANGE, &unsatisfied);
            response
        }
    };
    match age {
        Some(age) => put(response.headers_mut(), age_value(age)),
        None => drop(response.headers_mut().remove(header::AGE)),
    }
    response
}

enum Outcome {
    Whole,
    /// Bytes of the representation, where they lie in what is stored, and the length of the whole.
    Part {
        part: Range<u64>,
        stored: Range<u64>,
        length: u64,
    },
    Parts(Vec<Range<u64>>, u64, Content),
    NotModified,
    Unsatisfiable(u64),
}

/// RFC 9110 section 13.2.2. Conditions and ranges concern a 200 only (sections 13.2.1 and 14.2).
fn outcome(request: &Parts, head: &ResponseHead, supply: &Supply) -> Outcome {
    if head.status != StatusCode::OK {
        return Outcome::Whole;
    }
    if conditional::is_not_modified(&request.headers, &head.headers) {
        return Outcome::NotModified;
    }
    // Look-up has seen to it that what is not complete has what is wanted.
    let Some(length) = length_of(head, supply) else { return Outcome::Whole };
    if request.method != Method::GET || !conditional::if_range(&request.headers, &head.headers) {
        return Outcome::Whole;
    }
    match range::wanted(&request.headers, length) {
        Wanted::Whole => Outcome::Whole,
        Wanted::Part(part) => match &head.rare.part {
            Some(parts) => parts.locate(&part).map_or(Outcome::Unsatisfiable(length), |stored| {
                Outcome::Part { part, stored, length }
            }),
            None => Outcome::Part { stored: part.clone(), part, length },
        },
        Wanted::Parts(parts) => match supply {
            Supply::Stored(content) => Outcome::Parts(parts, length, content.clone()),
            // What is arriving comes in one order only.
            Supply::Arriving(_) => Outcome::Whole,
        },
        Wanted::Unsatisfiable => Outcome::Unsatisfiable(length),
    }
}

/// Of the representation, all of it.
fn length_of(head: &ResponseHead, supply: &Supply) -> Option<u64> {
    head.rare.part.as_ref().map(|parts| parts.complete).or_else(|| supply.len())
}

impl Supply {
    fn len(&self) -> Option<u64> {
        match self {
            Self::Stored(content) => content.len(),
            Self::Arriving(reader) => reader.declared(),
        }
    }

    fn whole<B>(self, method: &Method) -> CacheBody<B> {
        if *method == Method::HEAD {
            return CacheBody::empty();
        }
        CacheBody::stored(match self {
            Self::Stored(content) => content.into_body(),
            Self::Arriving(reader) => ContentBody::arriving(reader),
        })
    }

    fn part<B>(self, part: Range<u64>) -> CacheBody<B> {
        CacheBody::stored(match self {
            Self::Stored(content) => content.read_range(part),
            Self::Arriving(mut reader) => {
                reader.narrow(part);
                ContentBody::arriving(reader)
            }
        })
    }
}

fn plain<B>(head: &ResponseHead, body: CacheBody<B>) -> Response<CacheBody<B>> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    response
}

/// `multipart/byteranges` (RFC 9110 section 14.6).
fn multipart<B>(
    head: &ResponseHead,
    parts: &[Range<u64>],
    length: u64,
    content: &Content,
) -> Response<CacheBody<B>> {
    let boundary = format!("{:032x}", RandomState::new().hash_one(length));
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let mut bodies = Vec::with_capacity(parts.len().saturating_mul(2).saturating_add(1));
    for part in parts {
        let mut lines = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(value) = content_type {
            lines.extend_from_slice(b"content-type: ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let content_range = range::content_range(part, length);
        lines.extend_from_slice(format!("content-range: {content_range}\r\n\r\n").as_bytes());
        bodies.push(Content::from(Bytes::from(lines)).read());
        bodies.push(content.read_range(part.clone()));
    }
    bodies.push(Content::from(Bytes::from(format!("\r\n--{boundary}--\r\n"))).read());
    let body = ContentBody::chain(bodies);
    let size = body.size_hint().exact();
    let mut response = plain(head, CacheBody::stored(body));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_RANGE);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(size) = size {
        headers.insert(header::CONTENT_LENGTH, size.into());
    }
    insert(headers, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
    response
}

/// The place that a stored head has for `Age` is used; `insert` would make room for another one first.
fn put(headers: &mut HeaderMap, age: HeaderValue) {
    /// A constant would be made and dropped each time.
    static AGE: HeaderName = header::AGE;
    match place(headers, &AGE) {
        Some(place) => *place = age,
        None => drop(headers.insert(&AGE, age)),
    }
}

fn empty<B>(status: StatusCode) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = status;
    response
}

/// RFC 9110 section 6.4.1.
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// What a 304 has of the 200 (RFC 9110 section 15.4.5), and `Last-Modified`, which is a validator too.
static NOT_MODIFIED_FIELDS: [HeaderName; 8] = [
    header::CACHE_CONTROL,
    header::CONTENT_LOCATION,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::VARY,
    HeaderName::from_static("cdn-cache-control"),
];
