//! What messages carry of their way: `CDN-Loop`, `Via`, `Cache-Status`; and cache groups. What is written is read again, by another reader of structured fields.
//!
//! The input: bytes of a `CacheStatus` and of a way, a line for a name, and lines of `CDN-Loop`, which are `Cache-Groups` as well.
#![no_main]
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use libfuzzer_sys::fuzz_target;
use sfv::{BareItem, List, ListEntry, Parser};
use tower_cdn::{Detail, Forward, NotStored, fuzzing};
use tower_cdn_fuzz::{Input, linear, lines, naive_trim, values};

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    cache_status(&mut input);
    way(&mut input);
    let name = input.text();
    let rest: Vec<&[u8]> = input.rest().split(|b| *b == b'\n').collect();
    marks(name, &rest);
    groups(&rest);
    linear(input.rest(), |text| {
        _ = fuzzing::listed(&lines(&CACHE_GROUPS, [text]), &CACHE_GROUPS);
        _ = fuzzing::tags(&lines(&CACHE_TAG, [text]), &[CACHE_TAG]);
        let id = HeaderValue::from_static("a");
        _ = fuzzing::is_loop(&lines(&CDN_LOOP, [text]), &id);
    });
});

/// RFC 9211 section 2.
fn cache_status(input: &mut Input<'_>) {
    let forwards = [
        None,
        Some(Forward::Bypass),
        Some(Forward::Method),
        Some(Forward::UriMiss),
        Some(Forward::VaryMiss),
        Some(Forward::Request),
        Some(Forward::Stale),
        Some(Forward::Partial),
    ];
    let details = [
        None,
        Some(Detail::Unshareable),
        Some(Detail::StaleIfError),
        Some(Detail::Contradiction),
        Some(Detail::OnlyIfCached),
        Some(Detail::Invalidated),
        Some(Detail::NotStored(NotStored::NotUnderstood)),
        Some(Detail::NotStored(NotStored::EventStream)),
        Some(Detail::NotStored(NotStored::RequestNoStore)),
    ];
    let flags = [input.bool(), input.bool(), input.bool()];
    let (forward, detail) = (input.pick(&forwards), input.pick(&details));
    let code = input.bool().then(|| 100 + (input.byte() as u16) * 3);
    let forward_status = code.map(|code| StatusCode::from_u16(code).expect("a status"));
    let ttl = input.bool().then(|| input.number().cast_signed());
    let names = ["tower-cdn", "edge", "A!#$%&'*+-.^_`|~9"];
    let name = input.pick(&names);
    let (status, value) = fuzzing::cache_status(flags, forward, forward_status, ttl, detail, name);
    let value = value.expect("a value");
    let list = Parser::new(value.as_bytes()).parse::<List>();
    let list = list.unwrap_or_else(|error| panic!("{value:?} is no list: {error}"));
    let [ListEntry::Item(member)] = &list[..] else { panic!("{value:?} has one member") };
    assert!(matches!(&member.bare_item, BareItem::Token(token) if token.as_str() == name));
    let is = |key: &str| match member.params.get(key) {
        Some(value) => *value == BareItem::Boolean(true),
        None => false,
    };
    assert_eq!([is("hit"), is("stored"), is("collapsed")], flags);
    let token = |key: &str| match member.params.get(key)? {
        BareItem::Token(token) => Some(token.as_str()),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(token("fwd"), forward.map(Forward::as_str));
    assert_eq!(token("detail"), detail.map(Detail::as_str));
    let number = |key: &str| match member.params.get(key)? {
        BareItem::Integer(number) => Some(i64::from(*number)),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(number("fwd-status"), code.map(i64::from));
    // RFC 9651 section 3.3.1: no integer has more digits.
    const LARGEST: i64 = 999_999_999_999_999;
    assert_eq!(number("ttl"), ttl.map(|ttl| ttl.clamp(-LARGEST, LARGEST)));
    assert_eq!(
        status.to_string().split_once(';').map(|s| s.1),
        value.to_str().ok().and_then(|v| v.split_once(';')).map(|s| s.1)
    );
}

/// RFC 8586 section 2: any list of tokens with parameters is understood.
fn way(input: &mut Input<'_>) {
    let names = ["edge", "EDGE", "edg", "edge1", "other", "e"];
    let parameters = [
        "",
        ";a=b",
        " ; trace=\"x, edge, y\"",
        ";edge=edge",
        "; t=\"a\\\"b, edge ;\"",
        " ;a=\"edge\"",
    ];
    let separators = [", ", ",", " ,", ", ,", "\n"];
    let (mut text, mut is_listed) = (String::new(), false);
    for _ in 0..input.byte() % 5 {
        let (name, parameter) = (input.pick(&names), input.pick(&parameters));
        is_listed |= name.eq_ignore_ascii_case("edge");
        text += name;
        text += parameter;
        text += input.pick(&separators);
    }
    let id = HeaderValue::from_static("edge");
    let request = lines(&CDN_LOOP, text.split('\n').map(str::as_bytes));
    assert_eq!(fuzzing::is_loop(&request, &id), is_listed, "{text}");
}

fn marks(name: &str, way: &[&[u8]]) {
    let is_token = Method::from_bytes(name.as_bytes()).is_ok();
    let id = fuzzing::pseudonym(name);
    assert_eq!(id.is_some(), is_token, "{name:?}");
    let Some(id) = id else { return };
    for (version, protocol) in [
        (Version::HTTP_09, "0.9"),
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ] {
        let value = fuzzing::via(version, name).expect("a token makes a value");
        assert_eq!(value.to_str().ok(), Some(&*format!("{protocol} {name}")));
    }
    let before = lines(&CDN_LOOP, way.iter().copied());
    let mut request = before.clone();
    fuzzing::mark(&mut request, Version::HTTP_2, Some(name), Some(&id));
    assert!(fuzzing::is_loop(&request, &id), "who marked it knows it again");
    assert_eq!(values(&request, &CDN_LOOP)[..before.len()], values(&before, &CDN_LOOP), "in order");
    assert_eq!(request.len(), before.len() + 2);
    let other = HeaderValue::try_from(format!("{name}-2")).expect("a value");
    assert_eq!(fuzzing::is_loop(&request, &other), fuzzing::is_loop(&before, &other));
    let mut unmarked = HeaderMap::new();
    fuzzing::mark(&mut unmarked, Version::HTTP_2, None, None);
    assert!(unmarked.is_empty() && !fuzzing::is_loop(&unmarked, &id));
    assert!(!request.contains_key(header::FORWARDED));
}

/// RFC 9875 section 2: a list of strings, or nothing. As tags, each is kept, or the response counts as one with any.
fn groups(text: &[&[u8]]) {
    let headers = lines(&CACHE_GROUPS, text.iter().copied());
    let value = values(&headers, &CACHE_GROUPS).join(&b", "[..]);
    let list = Parser::new(&value).parse::<List>().unwrap_or_default();
    let string = |entry: &ListEntry| match entry {
        ListEntry::Item(item) => Some(item.bare_item.as_string()?.as_str().to_owned()),
        ListEntry::InnerList(_) => None,
    };
    let strings: Option<Vec<String>> = list.iter().map(string).collect();
    let all = strings.unwrap_or_default();
    assert_eq!(fuzzing::listed(&headers, &CACHE_GROUPS), all);
    let mut naive: Vec<String> = Vec::new();
    for name in &all {
        if naive.len() < 50 && name.len() <= 256 && !naive.contains(name) {
            naive.push(name.clone());
        }
    }
    let any = all.iter().any(|name| !naive.contains(name));
    assert_eq!(fuzzing::tags(&headers, &[]), (naive, any));
    let tags = lines(&CACHE_TAG, text.iter().copied());
    let (names, any) = fuzzing::tags(&tags, &[CACHE_TAG]);
    let values = values(&tags, &CACHE_TAG);
    let naive = values.iter().flat_map(|line| line.split(|b| *b == b','));
    for tag in naive.map(naive_trim).filter(|tag| !tag.is_empty()) {
        assert!(any || names.iter().any(|name| name.as_bytes() == tag), "no tag escapes");
    }
}
