//! Any `Range` and `If-Range` on a stored response: the content is what `Content-Range` tells. And the arithmetic behind it, against sets of bytes.
//!
//! The input: one byte for the length of the content, the value of `Range`, a line break, the value of `If-Range`, a line break, bytes that make ranges.
#![no_main]
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use std::{convert::Infallible, ops::Range};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{
    CdnCacheLayer, Clock, MemoryStore,
    fuzzing::{self, Part},
};
use tower_cdn_fuzz::{Input, linear, lines, values};

fuzz_target!(|input: &[u8]| {
    let mut read = Input::new(input);
    let (len, value, _) = (read.byte(), read.line(), read.line());
    let long = read.small();
    for len in [len.into(), long, u64::MAX - long] {
        wanted(value, len);
    }
    carried(value);
    made_ranges(&mut read);
    stored_parts(&mut read);
    linear(value, |text| {
        _ = fuzzing::wanted(&lines(&header::RANGE, [text, b""].into_iter().take(1)), 100);
        _ = fuzzing::carried(&lines(&header::CONTENT_RANGE, [text]));
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run(input));
});

/// RFC 9110 section 14.1.2, without a thought of what fits into a number.
fn naive_wanted(value: &[u8], len: u128) -> Option<Vec<Range<u128>>> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, set) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse::<u128>().unwrap_or(u128::MAX - 1))
    };
    let (mut parts, mut count) = (Vec::<Range<u128>>::new(), 0);
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        if spec.is_empty() {
            continue;
        }
        count += 1;
        let (first, last) = spec.split_once('-')?;
        let part = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..(last + 1).min(len),
            (Some(first), None) if last.is_empty() => first..len,
            (None, Some(length)) if first.is_empty() => len - length.min(len)..len,
            _ => return None,
        };
        if part.is_empty() {
            continue;
        }
        if parts.last().is_some_and(|last| last.end > part.start) {
            return None;
        }
        parts.push(part);
    }
    (1..=8).contains(&count).then_some(parts)
}

fn wanted(value: &[u8], len: u64) {
    let headers = lines(&header::RANGE, [value]);
    let found = fuzzing::wanted(&headers, len);
    let naive = if headers.is_empty() { None } else { naive_wanted(value, len.into()) };
    let wide = |part: &Range<u64>| u128::from(part.start)..u128::from(part.end);
    let shown = value.escape_ascii();
    assert_eq!(found.as_ref().map(|f| f.iter().map(wide).collect()), naive, "{shown} of {len}");
    let twice = lines(&header::RANGE, [value, value]);
    assert_eq!(fuzzing::wanted(&twice, len), None);
    let is_one = fuzzing::asks_for_one(&headers);
    assert!(!is_one || found.as_ref().is_some_and(|parts| parts.len() <= 1), "{shown}");
    for part in found.into_iter().flatten() {
        round_trip(&part, len);
    }
}

/// What is written is read again.
fn round_trip(part: &Range<u64>, len: u64) {
    let request = lines(&header::RANGE, [fuzzing::request_for(part).as_bytes()]);
    assert!(fuzzing::asks_for_one(&request));
    assert_eq!(fuzzing::wanted(&request, len), Some(vec![part.clone()]));
    let told = fuzzing::content_range(part, len);
    let response = lines(&header::CONTENT_RANGE, [told.as_bytes()]);
    assert_eq!(fuzzing::carried(&response), Some((part.clone(), len)), "{told}");
}

/// RFC 9110 section 14.4.
fn carried(value: &[u8]) {
    let response = lines(&header::CONTENT_RANGE, [value]);
    if let Some((part, complete)) = fuzzing::carried(&response) {
        assert!(part.start < part.end && part.end <= complete);
        round_trip(&part, complete);
        let twice = lines(&header::CONTENT_RANGE, [value, value]);
        assert_eq!(fuzzing::carried(&twice), None);
    }
    assert_eq!(fuzzing::carried(&HeaderMap::new()), None);
    assert_eq!(values(&response, &header::CONTENT_RANGE).len(), response.len());
}

fn made_ranges(input: &mut Input<'_>) {
    let [a, b, c] = [input.small(), input.small(), input.small()];
    let mut bounds = [a, b, c];
    bounds.sort_unstable();
    if bounds[0] < bounds[1] {
        round_trip(&(bounds[0]..bounds[1]), bounds[2]);
    }
}

/// RFC 9111 sections 3.3 and 3.4, with a set of up to 128 bytes.
fn stored_parts(input: &mut Input<'_>) {
    let complete = u64::from(input.byte() % 129);
    let mut read = || {
        let ranges: Vec<Range<u64>> = (0..input.byte() % 5)
            .map(|_| u64::from(input.byte() % 129)..u64::from(input.byte() % 129))
            .collect();
        let is_sound = (1..=16).contains(&ranges.len())
            && ranges.iter().all(|range| range.start < range.end && range.end <= complete)
            && ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
        let part = Part::new(ranges, complete);
        assert_eq!(part.is_some(), is_sound);
        // What is not sound is made so.
        let mut set = (0..complete).filter(|_| input.bool()).fold(0, |set, at| set | (1 << at));
        for range in part.iter().flat_map(Part::ranges) {
            set |= bits(range);
        }
        Part::new(ranges_of(set), complete).map(|part| (part, set))
    };
    let (Some((old, old_set)), Some((new, new_set))) = (read(), read()) else { return };
    let wanted = u64::from(input.byte() % 129)..u64::from(input.byte() % 129);
    let found = old.locate(&wanted);
    if wanted.start < wanted.end {
        let is_within = bits(&wanted) & old_set == bits(&wanted);
        assert_eq!(found.is_some(), is_within);
    }
    if let Some(found) = found.filter(|_| wanted.start < wanted.end) {
        let before = (old_set & (bits(&(0..wanted.start)))).count_ones();
        assert_eq!(found, before.into()..u64::from(before) + wanted.end - wanted.start);
    }
    let gaps = ranges_of(bits(&(0..complete)) & !old_set);
    assert_eq!(old.gap(), if let [gap] = &gaps[..] { Some(gap.clone()) } else { None });
    assert_eq!(old.is_complete(), gaps.is_empty());

    let union = ranges_of(old_set | new_set);
    let combined = old.combine(&new);
    assert_eq!(combined.is_some(), union.len() <= 16);
    let Some((both, pieces)) = combined else { return };
    assert_eq!(both.ranges(), union);
    let mut at = 0;
    for (is_new, piece) in &pieces {
        assert!(piece.start >= at && piece.start < piece.end, "ascending and disjoint");
        at = piece.end;
        let from = if *is_new { new_set } else { old_set & !new_set };
        assert_eq!(bits(piece) & !from, 0, "what is new wins");
    }
    let all = pieces.iter().fold(0, |all, (_, piece)| all | bits(piece));
    assert_eq!(all, old_set | new_set);
    let other = Part::new(old.ranges().to_vec(), complete + 1).expect("as sound as before");
    assert!(other.combine(&new).is_none(), "of another representation");
}

fn bits(range: &Range<u64>) -> u128 {
    let below = |end: u64| if end >= 128 { u128::MAX } else { (1 << end) - 1 };
    below(range.end) & !below(range.start)
}

fn ranges_of(set: u128) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for at in (0..128).filter(|at| set & (1 << at) != 0) {
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

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
        assert!(ends.last().is_none_or(|end| *end <= range.start), "ascending and disjoint");
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
