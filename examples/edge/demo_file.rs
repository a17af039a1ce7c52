//! The demonstration origin's large file: 16 MiB that are made while they are sent, in whole or in
//! one range (RFC 9110 §14).

use std::convert::Infallible;
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::{MODIFIED, is_current};

const LENGTH: u64 = 16 << 20;
const CHUNK: u64 = 64 << 10;
const ETAG: &str = "\"large-1\"";

/// What a `Range` field asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// No range, or one that is to be ignored.
    Whole,
    Of(Range<u64>),
    Unsatisfiable,
}

pub(super) async fn large(request: Request) -> Response {
    let headers = request.headers();
    // `Range` is for GET (RFC 9110 §14.2).
    let part = if *request.method() == Method::GET { part(headers) } else { Part::Whole };
    let mut response = if is_current(headers, ETAG) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match part {
            Part::Whole => bytes(StatusCode::OK, 0..LENGTH),
            Part::Of(range) => bytes(StatusCode::PARTIAL_CONTENT, range),
            Part::Unsatisfiable => {
                let fields = [(header::CONTENT_RANGE, format!("bytes */{LENGTH}"))];
                return (StatusCode::RANGE_NOT_SATISFIABLE, fields).into_response();
            }
        }
    };
    let fields = response.headers_mut();
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    fields.insert(header::ETAG, HeaderValue::from_static(ETAG));
    fields.insert(header::LAST_MODIFIED, MODIFIED);
    response
}

fn bytes(status: StatusCode, range: Range<u64>) -> Response {
    let mut fields = HeaderMap::new();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{LENGTH}", range.start, range.end - 1);
        if let Ok(value) = HeaderValue::try_from(text) {
            fields.insert(header::CONTENT_RANGE, value);
        }
    }
    let chunks = stream::unfold(range, |rest| async move {
        let end = rest.end.min(rest.start + CHUNK);
        let chunk: Bytes = (rest.start..end).map(byte_at).collect();
        (!chunk.is_empty()).then_some((Ok::<_, Infallible>(chunk), end..rest.end))
    });
    (status, fields, Body::from_stream(chunks)).into_response()
}

/// Digits in lines of 64, so that it can be looked at.
fn byte_at(offset: u64) -> u8 {
    match offset % 64 {
        63 => b'\n',
        // Less than ten.
        column => b'0' + (column % 10) as u8,
    }
}

/// The one range that is asked for. More than one, or a malformed one, may be ignored (RFC 9110
/// §14.2); `If-Range` with another validator makes it be ignored (§13.1.5).
fn part(headers: &HeaderMap) -> Part {
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return Part::Whole;
    };
    let condition = headers.get(header::IF_RANGE);
    if condition.is_some_and(|value| *value != ETAG && *value != MODIFIED) {
        return Part::Whole;
    }
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Part::Whole;
    };
    match (first.parse::<u64>().ok(), last.parse::<u64>().ok()) {
        (Some(first), Some(last)) if last < first => Part::Whole,
        (Some(first), _) if first >= LENGTH => Part::Unsatisfiable,
        (Some(first), Some(last)) => Part::Of(first..last.saturating_add(1).min(LENGTH)),
        (Some(first), None) if last.is_empty() => Part::Of(first..LENGTH),
        (None, Some(0)) if first.is_empty() => Part::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() => Part::Of(LENGTH.saturating_sub(suffix)..LENGTH),
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &'static str) -> Part {
        part(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]))
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(part(&HeaderMap::new()), Part::Whole);
        assert_eq!(asked("bytes=0-0"), Part::Of(0..1));
        assert_eq!(asked("bytes=10-"), Part::Of(10..LENGTH));
        assert_eq!(asked("bytes=-5"), Part::Of(LENGTH - 5..LENGTH));
        assert_eq!(asked("bytes=5-18446744073709551615"), Part::Of(5..LENGTH));
        assert_eq!(asked("bytes=16777216-"), Part::Unsatisfiable);
        assert_eq!(asked("bytes=-0"), Part::Unsatisfiable);
        for ignored in ["bytes=5-4", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=-", "x"] {
            assert_eq!(asked(ignored), Part::Whole, "{ignored}");
        }
    }
}
