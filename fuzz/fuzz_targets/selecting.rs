//! `Vary` and what it nominates: requests select one variant if and only if the values that matter mean the same (RFC 9111 section 4.1).
//!
//! The input: a line for the field's name, two lines of the one request, two of the other, and the rest is `Vary`.
#![no_main]
use http::{HeaderMap, HeaderName, Method, header};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use tower_cdn::{CacheKey, fuzzing};
use tower_cdn_fuzz::{Input, append, linear, lines, naive_members, values};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let names =
        [header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::ACCEPT_CHARSET, header::COOKIE];
    let known = input.pick(&names);
    let name = HeaderName::from_bytes(input.line()).unwrap_or(known);
    let mut request =
        || lines(&name, [input.line(), input.line()].into_iter().filter(|l| *l != b"-"));
    let (one, two) = (request(), request());
    let vary: Vec<&[u8]> = input.rest().split(|b| *b == b'\n').collect();
    nominated(&vary);
    values_of(&name, &one, &two);
    languages(&one);
    languages(&two);
    keys(&vary, &name, &one, &two);
    linear(input.rest(), |text| {
        _ = fuzzing::nominated(&lines(&header::VARY, [text]));
        for name in &names {
            _ = fuzzing::normalised(name, &lines(name, [text]));
        }
        _ = fuzzing::preferred_language(&lines(&header::ACCEPT_LANGUAGE, [text]));
    });
});

fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    values(headers, name).into_iter().flat_map(fuzzing::members).collect()
}

fn nominated(vary: &[&[u8]]) {
    let headers = lines(&header::VARY, vary.iter().copied());
    let nominated = fuzzing::nominated(&headers);
    let members = members(&headers, &header::VARY);
    let names: Option<BTreeSet<String>> = members
        .iter()
        .map(|m| HeaderName::from_bytes(m).ok().filter(|_| *m != b"*").map(|n| n.to_string()))
        .collect();
    let naive = names.filter(|names| names.len() <= 16);
    let found = nominated.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
    assert_eq!(found, naive.map(Vec::from_iter), "sorted, each once");
    let reversed = lines(&header::VARY, vary.iter().rev().copied());
    assert_eq!(fuzzing::nominated(&reversed), nominated);
    if let Some(names) = nominated {
        let joined = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        assert_eq!(fuzzing::nominated(&lines(&header::VARY, [joined.as_bytes()])), Some(names));
    }
}

fn values_of(name: &HeaderName, one: &HeaderMap, two: &HeaderMap) {
    let normalised = |request: &HeaderMap| fuzzing::normalised(name, request);
    assert_eq!(normalised(&HeaderMap::new()), None);
    assert_eq!(normalised(one).is_some(), one.contains_key(name));
    let (value_of_one, value_of_two) = (normalised(one), normalised(two));
    let is_same = match *name {
        header::ACCEPT_ENCODING => codings(one) == codings(two),
        header::ACCEPT_LANGUAGE | header::ACCEPT_CHARSET => {
            list(one, name).eq_ignore_ascii_case(&list(two, name))
        }
        _ if SINGLE.contains(name) => values(one, name) == values(two, name),
        _ => list(one, name) == list(two, name),
    };
    let are_there = one.contains_key(name) == two.contains_key(name);
    assert_eq!(value_of_one == value_of_two, is_same && are_there, "{one:?} and {two:?}");
    let is_list = *name != header::ACCEPT_ENCODING && !SINGLE.contains(name);
    if let Some(value) = value_of_one.filter(|value| is_list && !value.contains(&b'"')) {
        assert_eq!(
            normalised(&lines(name, [&value[..]])),
            Some(value),
            "it is its own normal form"
        );
    }
}

/// Fields that are no lists: each byte counts.
const SINGLE: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::FROM,
    header::HOST,
    header::MAX_FORWARDS,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::REFERER,
    header::USER_AGENT,
];

/// A list without the white space beside its commas; lines are one list.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let members: Vec<&[u8]> = values(headers, name).into_iter().flat_map(naive_members).collect();
    members.join(&b',')
}

/// What a request accepts: codings, whether they are refused, and what cannot be read.
fn codings(request: &HeaderMap) -> BTreeSet<(Vec<u8>, Accepted)> {
    let members = members(request, &header::ACCEPT_ENCODING).into_iter();
    let coding = |member: &[u8]| {
        let is_token = |byte: &u8| Method::from_bytes(&[*byte]).is_ok();
        let end = member.iter().position(|b| !is_token(b)).unwrap_or(member.len());
        let (coding, weight) = member.split_at(end);
        match weight_of(weight).filter(|_| end > 0) {
            None => Some((member.to_vec(), Accepted::Unread)),
            Some(0) => Some((coding.to_ascii_lowercase(), Accepted::No)),
            // It is accepted always, unless it is refused.
            Some(_) if coding.eq_ignore_ascii_case(b"identity") => None,
            Some(_) => Some((coding.to_ascii_lowercase(), Accepted::Yes)),
        }
    };
    members.filter_map(coding).collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Accepted {
    Yes,
    No,
    Unread,
}

/// RFC 9110 section 12.4.2, in thousandths.
fn weight_of(parameters: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(parameters).ok()?;
    if text.is_empty() {
        return Some(1000);
    }
    let value = text.trim_matches([' ', '\t']).strip_prefix(';')?.trim_matches([' ', '\t']);
    let value = value.strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, fraction) = value.split_at_checked(1)?;
    let digits = match fraction.as_bytes() {
        [] => &[],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = digits.iter().zip([100, 10, 1]).map(|(d, of)| u32::from(d - b'0') * of).sum();
    match whole {
        "0" => Some(thousandths),
        "1" => Some(1000),
        _ => None,
    }
}

/// RFC 9110 section 12.5.4: the first with the highest weight, if all can be read.
fn languages(request: &HeaderMap) {
    let Some(name) = request.keys().next() else { return };
    let mut headers = HeaderMap::new();
    for value in values(request, name) {
        append(&mut headers, &header::ACCEPT_LANGUAGE, value);
        append(&mut headers, &header::CONTENT_LANGUAGE, value);
    }
    let mut best: Option<(u32, &[u8])> = None;
    let mut is_read = true;
    let members = members(&headers, &header::ACCEPT_LANGUAGE);
    for member in &members {
        let is_token = |byte: &u8| Method::from_bytes(&[*byte]).is_ok();
        let end = member.iter().position(|b| !is_token(b)).unwrap_or(member.len());
        match weight_of(&member[end..]) {
            Some(weight) if best.is_none_or(|(highest, _)| weight > highest) => {
                best = Some((weight, &member[..end]));
            }
            Some(_) => {}
            None => is_read = false,
        }
    }
    let best = best.filter(|(weight, range)| is_read && *weight > 0 && *range != b"*");
    let best = best.map(|(_, range)| range.to_ascii_lowercase());
    assert_eq!(fuzzing::preferred_language(&headers), best);
    let only = match members[..] {
        [only] => Some(only.to_ascii_lowercase()),
        _ => None,
    };
    assert_eq!(fuzzing::content_language(&headers), only);
}

/// Keys of variants are equal if and only if all nominated values are.
fn keys(vary: &[&[u8]], name: &HeaderName, one: &HeaderMap, two: &HeaderMap) {
    let mut names =
        fuzzing::nominated(&lines(&header::VARY, vary.iter().copied())).unwrap_or_default();
    names.push(name.clone());
    let primary = CacheKey::from_bytes(vec![1]);
    let key = |generation, request| fuzzing::variant(&primary, generation, &names, request);
    let is_same = names.iter().all(|n| fuzzing::normalised(n, one) == fuzzing::normalised(n, two));
    assert_eq!(key(7, one) == key(7, two), is_same);
    assert_ne!(key(7, one), key(8, one), "a generation has its own variants");
    assert!(key(7, one).as_bytes().starts_with(primary.as_bytes()));
    let other = CacheKey::from_bytes(vec![2]);
    assert_ne!(fuzzing::variant(&other, 7, &names, one), key(7, one));
    let by_language =
        |language: &[u8]| fuzzing::language_variant(&primary, 7, &names, one, language);
    assert_eq!(by_language(b"de").is_some(), names.contains(&header::ACCEPT_LANGUAGE));
    if let Some(german) = by_language(b"de") {
        assert_ne!(german, key(7, one), "a language is no value");
        assert_ne!(Some(german), by_language(b"en"));
    }
}
