//! From a stored response to the answer of one request (RFC 9111 section 4, RFC 9110 sections 13 to 15).
use super::flight::Supply;
use crate::{
    CacheBody,
    semantics::{
        conditional,
        range::{self, Wanted},
        validation,
    },
    stored::{Content, ContentBody, ResponseHead},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use std::{
    hash::{BuildHasher, RandomState},
    mem::{forget, replace},
    ops::Range,
};

/// What is delivered.
pub(crate) struct Delivery<'a> {
    pub(crate) head: &'a ResponseHead,
    /// Those of the head; for the one who asked they may be more.
    pub(crate) fields: &'a HeaderMap,
    pub(crate) supply: Supply,
    /// False if the request has neither conditions nor a range.
    pub(crate) asks: bool,
}

/// Evaluates the client's conditions and range on the stored response, and makes an empty response what the client gets.
pub(crate) fn deliver<B>(
    request: &Parts,
    delivery: Delivery<'_>,
    response: &mut Response<CacheBody<B>>,
) {
    // Most requests want no more, and are answered in few steps.
    if !delivery.asks && request.method == Method::GET {
        let Delivery { head, fields, supply, .. } = delivery;
        plain(response, head.status, fields, supply.whole());
    } else {
        deliver_as_asked(request, delivery, response);
    }
}

/// Apart, so that most hits need little room.
#[inline(never)]
fn deliver_as_asked<B>(
    request: &Parts,
    delivery: Delivery<'_>,
    response: &mut Response<CacheBody<B>>,
) {
    let Delivery { head, fields, supply, asks } = delivery;
    let status = head.status;
    let outcome = if asks { outcome(request, (head, fields), &supply) } else { Outcome::Whole };
    match outcome {
        Outcome::Whole => {
            // A body tells its length, but the answer to a HEAD has none.
            let length =
                if request.method == Method::HEAD { length_of(head, &supply) } else { None };
            let body = match request.method {
                Method::HEAD => CacheBody::empty(),
                _ => supply.whole(),
            };
            plain(response, status, fields, body);
            let headers = response.headers_mut();
            if let Some(length) = length
                && !headers.contains_key(header::CONTENT_LENGTH)
                && !is_bodiless(status)
            {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
        }
        Outcome::Part { part, stored, length } => {
            let size = part.end.saturating_sub(part.start);
            let content_range = range::content_range(&part, length);
            let headers = partial(response, fields, supply.part(stored));
            headers.insert(header::CONTENT_LENGTH, size.into());
            insert(headers, header::CONTENT_RANGE, &content_range);
        }
        Outcome::Parts(parts, length, content) => {
            multipart(response, fields, (&parts, length), &content);
        }
        Outcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = response.headers_mut();
            for name in &NOT_MODIFIED_FIELDS {
                for value in fields.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        Outcome::Unsatisfiable(length) => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let unsatisfied = format!("bytes */{length}");
            insert(response.headers_mut(), header::CONTENT_RANGE, &unsatisfied);
        }
    }
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
fn outcome(
    request: &Parts,
    (head, fields): (&ResponseHead, &HeaderMap),
    supply: &Supply,
) -> Outcome {
    if head.status != StatusCode::OK {
        return Outcome::Whole;
    }
    if conditional::is_not_modified(&request.headers, fields) {
        return Outcome::NotModified;
    }
    // Look-up has seen to it that what is not complete has what is wanted.
    let Some(length) = length_of(head, supply) else { return Outcome::Whole };
    if request.method != Method::GET || !conditional::if_range(&request.headers, fields) {
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

    pub(super) fn whole<B>(self) -> CacheBody<B> {
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

fn plain<B>(
    response: &mut Response<CacheBody<B>>,
    status: StatusCode,
    fields: &HeaderMap,
    body: CacheBody<B>,
) {
    *response.status_mut() = status;
    let before = replace(response.headers_mut(), fields.clone());
    // A new map owns nothing. Dropping it would cost as much as copying half a field.
    if before.capacity() == 0 {
        forget(before);
    }
    *response.body_mut() = body;
}

/// A 206, whose content is another one than that of the 200.
fn partial<'a, B>(
    response: &'a mut Response<CacheBody<B>>,
    fields: &HeaderMap,
    body: CacheBody<B>,
) -> &'a mut HeaderMap {
    plain(response, StatusCode::PARTIAL_CONTENT, fields, body);
    let headers = response.headers_mut();
    for name in &validation::CONTENT_DIGESTS {
        headers.remove(name);
    }
    headers
}

/// `multipart/byteranges` (RFC 9110 section 14.6).
fn multipart<B>(
    response: &mut Response<CacheBody<B>>,
    fields: &HeaderMap,
    (parts, length): (&[Range<u64>], u64),
    content: &Content,
) {
    let boundary = format!("{:032x}", RandomState::new().hash_one(length));
    let content_type = fields.get(header::CONTENT_TYPE);
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
    let headers = partial(response, fields, CacheBody::stored(body));
    headers.remove(header::CONTENT_RANGE);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(size) = size {
        headers.insert(header::CONTENT_LENGTH, size.into());
    }
    insert(headers, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
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
