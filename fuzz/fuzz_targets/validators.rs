//! Entity tags, conditions and what a 304 changes, against naive readings of RFC 9110 section 13 and RFC 9111 sections 3.2 and 4.3.
//!
//! The input: the fields of a request or of an update and, behind an empty line, those of the stored response; then bytes that make a list of tags.
#![no_main]
use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use tower_cdn::fuzzing;
use tower_cdn_fuzz::{Input, append, linear, lines, values};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let (request, stored) = (input.fields(), input.fields());
    conditions(&request, &stored);
    if_range(&request, &stored);
    identity(&stored, &request);
    freshening(&stored, &request);
    made_tags(&mut input);
    linear(input.rest(), |text| {
        let request = lines(&header::IF_NONE_MATCH, [text]);
        _ = fuzzing::is_not_modified(&request, &stored);
    });
});

/// An entity tag: weak or not, and the opaque part with its quotes.
fn tag(text: &[u8]) -> Option<(bool, &[u8])> {
    let (is_weak, opaque) = match text.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, text),
    };
    let inner = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let is_sound = inner.iter().all(|b| matches!(b, 0x21 | 0x23..=0x7e | 0x80..));
    is_sound.then_some((is_weak, opaque))
}

/// A list of entity tags, if it is one: a quote always opens or closes.
fn tags(mut text: &[u8]) -> Option<Vec<(bool, &[u8])>> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_ascii_start();
        if text.is_empty() {
            return Some(tags);
        }
        if let Some(rest) = text.strip_prefix(b",") {
            text = rest;
            continue;
        }
        let open = text.iter().position(|b| *b == b'"')?;
        let close = text[open + 1..].iter().position(|b| *b == b'"')? + open + 2;
        tags.push(tag(&text[..close])?);
        text = text[close..].trim_ascii_start();
        if !text.is_empty() && !text.starts_with(b",") {
            return None;
        }
    }
}

/// RFC 9110 section 13.2.2, for a cache.
fn conditions(request: &HeaderMap, stored: &HeaderMap) {
    let has = |name: HeaderName| request.contains_key(name);
    let for_origin = has(header::IF_MATCH) || has(header::IF_UNMODIFIED_SINCE);
    let for_cache = has(header::IF_NONE_MATCH) || has(header::IF_MODIFIED_SINCE);
    assert_eq!(fuzzing::is_for_origin(request), for_origin);
    assert_eq!(fuzzing::has_conditions(request), for_origin || for_cache);
    let found = fuzzing::is_not_modified(request, stored);
    assert!(!found || for_cache, "a 304 that nobody asked for");

    if has(header::IF_NONE_MATCH) {
        let lines = values(request, &header::IF_NONE_MATCH);
        let listed: Option<Vec<_>> = lines.iter().map(|line| tags(line)).collect();
        let own = stored.get(header::ETAG).map(|own| tag(own.as_bytes()));
        match (listed, own) {
            _ if lines == [b"*"] => assert!(found),
            (Some(_), None) => assert!(!found),
            (Some(listed), Some(Some((_, own)))) => {
                let matches = listed.concat().iter().any(|(_, opaque)| *opaque == own);
                assert_eq!(found, matches, "{request:?} and {stored:?}");
            }
            _ => {}
        }
        return;
    }
    let since = values(request, &header::IF_MODIFIED_SINCE);
    let date = |headers, name| fuzzing::single_date(headers, &name);
    let modified = match date(stored, header::LAST_MODIFIED) {
        Ok(None) => date(stored, header::DATE),
        modified => modified,
    };
    let since =
        date(request, header::IF_MODIFIED_SINCE).ok().flatten().filter(|_| since.len() == 1);
    let naive = matches!((since, modified), (Some(since), Ok(Some(modified))) if modified <= since);
    assert_eq!(found, naive);
}

/// RFC 9110 section 13.1.5.
fn if_range(request: &HeaderMap, stored: &HeaderMap) {
    let found = fuzzing::if_range(request, stored);
    let [condition] = values(request, &header::IF_RANGE)[..] else {
        return assert_eq!(found, !request.contains_key(header::IF_RANGE));
    };
    let own = stored.get(header::ETAG).map(HeaderValue::as_bytes);
    let is_tag = condition.starts_with(b"\"") || condition.starts_with(b"W/");
    let naive = if is_tag {
        own == Some(condition) && !condition.starts_with(b"W/")
    } else {
        let date = |name: HeaderName| fuzzing::http_date(stored.get(name)?);
        let asked = HeaderValue::from_bytes(condition).ok().and_then(|v| fuzzing::http_date(&v));
        let modified = date(header::LAST_MODIFIED);
        asked.is_some()
            && asked == modified
            && date(header::DATE).zip(modified).is_some_and(|(date, modified)| date > modified)
    };
    assert_eq!(found, naive, "{request:?} and {stored:?}");
}

/// RFC 9111 sections 3.4, 4.3.4 and 4.3.5.
fn identity(stored: &HeaderMap, update: &HeaderMap) {
    for headers in [stored, update] {
        assert!(fuzzing::identifies(headers, headers) && fuzzing::agrees(headers, headers));
    }
    let identifies = fuzzing::identifies(stored, update);
    assert!(identifies || !fuzzing::agrees(stored, update));
    let is_same_strong = fuzzing::is_same_strong(stored, update);
    assert_eq!(is_same_strong, fuzzing::is_same_strong(update, stored));
    let of = |headers: &HeaderMap| headers.get(header::ETAG).map(|v| v.as_bytes().to_vec());
    let is_weak = |tag: &[u8]| tag.starts_with(b"W/");
    match (of(stored), of(update)) {
        (Some(old), Some(new)) => {
            let is_equal = old == new;
            let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
            let is_weakly_equal = is_weak(&new) && opaque(&old) == opaque(&new);
            assert_eq!(identifies, is_equal || is_weakly_equal);
            assert_eq!(is_same_strong, is_equal && !is_weak(&new));
        }
        (None, Some(_)) => assert!(!identifies && !is_same_strong),
        (_, None) => assert!(!is_same_strong),
    }
    // What is asked about the stored response, and answered from it, has not changed.
    let mut request = HeaderMap::new();
    fuzzing::add_validators(&mut request, stored);
    assert_eq!(request.get(header::IF_NONE_MATCH), stored.get(header::ETAG));
    assert_eq!(request.get(header::IF_MODIFIED_SINCE), stored.get(header::LAST_MODIFIED));
    if stored.get(header::ETAG).is_some_and(|own| tag(own.as_bytes()).is_some()) {
        assert!(fuzzing::is_not_modified(&request, stored), "{stored:?}");
    }
}

/// RFC 9111 section 3.2.
fn freshening(stored: &HeaderMap, update: &HeaderMap) {
    const KEPT: [&str; 12] = [
        "content-length",
        "content-encoding",
        "content-range",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let sorted = |headers: &HeaderMap| -> BTreeMap<String, Vec<Vec<u8>>> {
        let of = |name| values(headers, name).into_iter().map(<[u8]>::to_vec).collect();
        headers.keys().map(|name| (name.to_string(), of(name))).collect()
    };
    let listed: Vec<&[u8]> =
        values(update, &header::CONNECTION).into_iter().flat_map(fuzzing::members).collect();
    let mut naive = sorted(stored);
    naive.remove("age");
    naive.remove("date");
    for (name, values) in sorted(update) {
        let is_listed = listed.iter().any(|l| l.eq_ignore_ascii_case(name.as_bytes()));
        if !is_listed && !KEPT.contains(&name.as_str()) {
            naive.insert(name, values);
        }
    }
    let mut freshened = stored.clone();
    fuzzing::freshen(&mut freshened, update);
    assert_eq!(sorted(&freshened), naive);
    let once = freshened.clone();
    fuzzing::freshen(&mut freshened, update);
    assert_eq!(sorted(&freshened), sorted(&once));
}

/// Any list of tags that is one is understood.
fn made_tags(input: &mut Input<'_>) {
    let mut inner = || -> Vec<u8> {
        let length = input.byte() % 6;
        (0..length)
            .map(|_| input.byte())
            .filter(|b| matches!(b, 0x21 | 0x23..=0x7e | 0x80..))
            .collect()
    };
    let made: Vec<Vec<u8>> = (0..4).map(|_| [b"\"", &inner()[..], b"\""].concat()).collect();
    let listed = [&made[0][..], &[b"W/", &made[1][..]].concat(), &made[2]].join(&b", "[..]);
    let mut request = HeaderMap::new();
    assert!(append(&mut request, &header::IF_NONE_MATCH, &listed));
    for (n, own) in made.iter().enumerate() {
        let stored = lines(&header::ETAG, [&own[..]]);
        let is_listed = n < 3 || made[..3].contains(own);
        assert_eq!(
            fuzzing::is_not_modified(&request, &stored),
            is_listed,
            "{request:?} {stored:?}"
        );
    }
}
