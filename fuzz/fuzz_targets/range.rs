//! Any `Range` and `If-Range` on a stored response: the content is what `Content-Range` tells.
//!
//! The input: one byte for the length of the content, the value of `Range`, a line break, the value of `If-Range`.
#![no_main]
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use std::{convert::Infallible, ops::Range};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CdnCacheLayer, Clock, MemoryStore};

fuzz_target!(|input: &[u8]| {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run(input));
});

async fn run(input: &[u8]) {
    let Some((len, rest)) = input.split_first() else { return };
    let whole: Bytes = (0..*len).collect();
    let mut lines = rest.splitn(2, |b| *b == b'\n');
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 20)).clock(Clock::tokio()).build();
    let content = whole.clone();
    let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| {
        let answer = Response::builder()
            .header(header::CACHE_CONTROL, "max-age=60")
            .header(header::ETAG, "\"a\"")
            .header(header::LAST_MODIFIED, "Fri, 01 Jan 2021 00:00:00 GMT");
        std::future::ready(Ok::<_, Infallible>(
            answer.body(Full::from(content.clone())).expect("fine"),
        ))
    }));
    let request = || Request::get("http://a.test/").body(Full::default()).expect("a request");
    let first = service.clone().oneshot(request()).await.expect("no error");
    assert_eq!(first.into_body().collect().await.expect("complete").to_bytes(), whole);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }

    let mut request = request();
    for (name, value) in [header::RANGE, header::IF_RANGE].into_iter().zip(&mut lines) {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        request.headers_mut().insert(name, value);
    }
    let response = service.oneshot(request).await.expect("no error");
    let (head, body) = response.into_parts();
    let got = body.collect().await.expect("complete").to_bytes();
    let field = |name| head.headers.get(name).map(|v| v.to_str().expect("text"));
    if let Some(length) = field(header::CONTENT_LENGTH) {
        assert_eq!(length.parse(), Ok(got.len()), "Content-Length");
    }
    match head.status.as_u16() {
        200 => assert_eq!(got, whole),
        206 => {
            let kind = field(header::CONTENT_TYPE).unwrap_or_default();
            match kind.strip_prefix("multipart/byteranges; boundary=") {
                Some(boundary) => several(&got, boundary.trim_matches('"'), &whole),
                None => {
                    let range = told(field(header::CONTENT_RANGE).expect("there"), whole.len());
                    assert_eq!(got, whole[range]);
                }
            }
        }
        416 => assert_eq!(field(header::CONTENT_RANGE), Some(&*format!("bytes */{len}"))),
        status => panic!("{status}"),
    }
}

fn several(got: &[u8], boundary: &str, whole: &[u8]) {
    let find =
        |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    let (delimiter, mut rest, mut ends) = (format!("--{boundary}"), got, Vec::new());
    loop {
        let rested = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        let after = rested.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
        if after.starts_with(b"--") {
            break;
        }
        let fields_end = find(after, b"\r\n\r\n").expect("fields");
        let fields = std::str::from_utf8(&after[..fields_end]).expect("text").to_ascii_lowercase();
        let value =
            fields.split("content-range: ").nth(1).expect("there").lines().next().expect("a line");
        let range = told(value, whole.len());
        let data = &after[fields_end + 4..];
        assert_eq!(data[..range.len()], whole[range.clone()]);
        assert!(ends.last().is_none_or(|end| *end < range.start), "ascending and disjoint");
        rest = &data[range.len()..];
        ends.push(range.end);
    }
    assert!((2..=8).contains(&ends.len()), "several, but not too many");
}

fn told(value: &str, len: usize) -> Range<usize> {
    let (range, total) =
        value.strip_prefix("bytes ").expect("bytes").split_once('/').expect("a total");
    assert_eq!(total.parse(), Ok(len));
    let (first, last) = range.split_once('-').expect("a range");
    first.parse().expect("first")..last.parse::<usize>().expect("last") + 1
}
