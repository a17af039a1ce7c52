//! `Cache-Control`, `Pragma` and `CDN-Cache-Control`, against naive readings of RFC 9111 section 5.2 and RFC 9213.
//!
//! The input: two lines of `Cache-Control`, one of `Pragma`, and the rest of `CDN-Cache-Control`.
#![no_main]
use http::{HeaderMap, HeaderName, Method, header};
use libfuzzer_sys::fuzz_target;
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use tower_cdn::fuzzing::{self, Asked, Said};
use tower_cdn_fuzz::{Input, append, linear, lines, values};

const TARGETED: HeaderName = HeaderName::from_static("cdn-cache-control");

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let (first, second, pragma) = (input.line(), input.line(), input.line());
    let targeted: Vec<&[u8]> = input.rest().split(|b| *b == b'\n').collect();
    response(first, second);
    request(&[first, second], pragma);
    targeted_response(first, &targeted);
    linear(first, |text| {
        _ = said(&[text]);
        _ = Asked::of(&lines(&header::CACHE_CONTROL, [text]));
        _ = Said::of(&lines(&TARGETED, [text]), &[TARGETED]);
    });
});

fn said(lines: &[&[u8]]) -> Said {
    let headers = tower_cdn_fuzz::lines(&header::CACHE_CONTROL, lines.iter().copied());
    let (said, targeted) = Said::of(&headers, &[TARGETED]);
    assert!(!targeted);
    said
}

/// One member, as the grammar has it.
struct Member {
    name: Vec<u8>,
    argument: Option<Vec<u8>>,
    sound: bool,
}

fn members(headers: &HeaderMap, name: &HeaderName) -> Vec<Member> {
    let members = values(headers, name).into_iter().flat_map(fuzzing::members);
    let member = |member: &[u8]| {
        let is_token = |byte: &u8| Method::from_bytes(&[*byte]).is_ok();
        let end = member.iter().position(|b| !is_token(b)).unwrap_or(member.len());
        let (name, rest) = member.split_at(end);
        let (argument, sound) = match rest.trim_ascii_start() {
            [] => (None, true),
            [b'=', raw @ ..] => {
                (Some(raw.trim_ascii().to_vec()), rest[0] == b'=' && raw.trim_ascii() == raw)
            }
            _ => (None, false),
        };
        Member { name: name.to_ascii_lowercase(), argument, sound }
    };
    members.map(member).collect()
}

impl Member {
    fn is_bare(&self) -> bool {
        self.sound && self.argument.is_none()
    }

    fn text(&self) -> Option<Vec<u8>> {
        let raw = self.argument.as_ref()?;
        Some(fuzzing::unquote(raw).unwrap_or_else(|| raw.clone()))
    }

    fn number(&self) -> Option<u64> {
        let text = self.text().filter(|_| self.sound)?;
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(&text).ok().filter(|_| is_number)?;
        Some(text.parse().unwrap_or(u64::MAX).min(1 << 31))
    }
}

/// What `no-cache` and `private` are about: `None` for nothing, no names for everything.
type Scope = Option<Vec<HeaderName>>;

fn scope(arguments: impl Iterator<Item = Option<Vec<u8>>>) -> Scope {
    let mut names: Scope = None;
    for argument in arguments {
        let listed: Option<Vec<HeaderName>> = argument.and_then(|text| {
            fuzzing::members(&text).into_iter().map(|n| HeaderName::from_bytes(n).ok()).collect()
        });
        let listed = listed.unwrap_or_default();
        if listed.is_empty() {
            return Some(Vec::new());
        }
        names.get_or_insert_default().extend(listed);
    }
    // More than that is everything.
    names.map(|names| if names.len() > 64 { Vec::new() } else { names })
}

const NUMBERS: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];
const FLAGS: [&str; 5] =
    ["no-store", "must-revalidate", "proxy-revalidate", "public", "must-understand"];
const SCOPES: [&str; 2] = ["no-cache", "private"];

fn permits(flag: &str) -> bool {
    matches!(flag, "public" | "must-understand")
}

fn response(first: &[u8], second: &[u8]) {
    let both = said(&[first, second]);
    let headers = lines(&header::CACHE_CONTROL, [first, second]);
    let members = members(&headers, &header::CACHE_CONTROL);
    let named = |name: &'static str| members.iter().filter(move |m| m.name == name.as_bytes());
    for (name, seconds) in NUMBERS.iter().zip(both.seconds()) {
        let naive = named(name).map(|member| member.number().unwrap_or(0)).min();
        assert_eq!(seconds, naive, "{name}");
    }
    for (name, flag) in FLAGS.iter().zip(both.flags()) {
        let naive = named(name).any(|member| !permits(name) || member.is_bare());
        assert_eq!(flag, naive, "{name}");
    }
    for (name, found) in SCOPES.iter().zip(both.scopes()) {
        assert_eq!(found.map(<[_]>::to_vec), scope(named(name).map(Member::text)), "{name}");
    }
    let [_, s_maxage, ..] = both.seconds();
    let [_, must_revalidate, proxy_revalidate, ..] = both.flags();
    let no_cache = both.scopes()[0].is_some_and(<[_]>::is_empty);
    let forbids = must_revalidate || proxy_revalidate || s_maxage.is_some() || no_cache;
    assert_eq!(both.forbid_stale(), forbids);

    // Names count in any case, lines in any order, and a line can stand for two.
    let loud: Vec<Vec<u8>> = [first, second].iter().map(|line| line.to_ascii_uppercase()).collect();
    assert_eq!(said(&[&loud[0], &loud[1]]), both);
    let sorted = |said: &Said| {
        let names = said.scopes().map(|scope| {
            let mut names: Vec<_> = scope?.iter().map(HeaderName::as_str).collect();
            names.sort_unstable();
            Some(names.join(","))
        });
        (said.seconds(), said.flags(), names)
    };
    assert_eq!(sorted(&said(&[second, first])), sorted(&both));
    if !headers.values().any(|line| line.as_bytes().contains(&b'"')) {
        let joined = values(&headers, &header::CACHE_CONTROL).join(&b","[..]);
        assert_eq!(said(&[&joined]), both);
    }

    // A second line can only make it stricter, but for what permits.
    let one = said(&[first]);
    for (one, both) in one.seconds().into_iter().zip(both.seconds()) {
        assert!(one.is_none_or(|one| both.is_some_and(|both| both <= one)));
    }
    assert!(one.flags().iter().zip(both.flags()).all(|(one, both)| !one || both));
    for (one, both) in one.scopes().into_iter().zip(both.scopes()) {
        let Some(one) = one else { continue };
        let both = both.expect("still there");
        assert!(both.is_empty() || (!one.is_empty() && one.iter().all(|name| both.contains(name))));
    }
    // What is said twice is said.
    let twice = said(&[first, first]);
    assert_eq!((twice.seconds(), twice.flags()), (one.seconds(), one.flags()));
}

fn request(cache_control: &[&[u8]], pragma: &[u8]) {
    let mut headers = lines(&header::CACHE_CONTROL, cache_control.iter().copied());
    append(&mut headers, &header::PRAGMA, pragma);
    let asked = Asked::of(&headers);
    let members = members(&headers, &header::CACHE_CONTROL);
    let named = |name: &'static str| members.iter().filter(move |m| m.name == name.as_bytes());
    let max_age = named("max-age").map(|member| member.number().unwrap_or(0)).min();
    let min_fresh = named("min-fresh").map(|member| member.number().unwrap_or(1 << 31)).max();
    // Without an argument it has no limit, unless another one has.
    let limits = named("max-stale").filter(|member| !member.is_bare());
    let limit = limits.map(|member| member.number().unwrap_or(0)).min();
    let max_stale = named("max-stale").next().map(|_| limit);
    assert_eq!(asked.seconds(), (max_age, min_fresh, max_stale));
    // Section 5.4: where there is no Cache-Control.
    let pragma = values(&headers, &header::PRAGMA).into_iter().flat_map(fuzzing::members);
    let is_pragma = !headers.contains_key(header::CACHE_CONTROL)
        && pragma.clone().any(|member| member.eq_ignore_ascii_case(b"no-cache"));
    let has = |name| named(name).next().is_some();
    let no_cache = has("no-cache") || is_pragma;
    assert_eq!(asked.flags(), [no_cache, has("no-store"), has("only-if-cached")]);
    let mut pragma_alone = headers.clone();
    pragma_alone.remove(header::CACHE_CONTROL);
    let no_cache = pragma.clone().any(|member| member.eq_ignore_ascii_case(b"no-cache"));
    assert_eq!(Asked::of(&pragma_alone).flags(), [no_cache, false, false]);
}

/// RFC 9213 section 2, with a reader of structured fields that makes values.
fn targeted_response(cache_control: &[u8], targeted: &[&[u8]]) {
    let mut headers = lines(&TARGETED, targeted.iter().copied());
    append(&mut headers, &header::CACHE_CONTROL, cache_control);
    let (found, is_targeted) = Said::of(&headers, &[TARGETED]);
    assert_eq!(Said::of(&headers, &[]), (said(&[cache_control]), false));
    // Empty lines in front of the field say nothing.
    let value = values(&headers, &TARGETED);
    let start = value.iter().position(|line| !line.is_empty()).unwrap_or(value.len());
    let value = value[start..].join(&b", "[..]);
    let dictionary = Parser::new(&value).parse::<Dictionary>().unwrap_or_default();
    assert_eq!(is_targeted, !dictionary.is_empty());
    if dictionary.is_empty() {
        // Nobody knows what a field was meant to say that is not valid, but what it seems to forbid is forbidden.
        let plain = said(&[cache_control]);
        let members = members(&headers, &TARGETED);
        let seems = |name: &str| members.iter().any(|member| member.name == name.as_bytes());
        let [no_store, rest @ ..] = plain.flags();
        let [a, b, c, d] = rest;
        assert_eq!(found.flags(), [no_store || seems("no-store"), a, b, c, d]);
        let [no_cache, private] = plain.scopes();
        let private = if seems("private") { Some(&[][..]) } else { private };
        assert_eq!(found.scopes(), [no_cache, private]);
        return assert_eq!(found.seconds(), plain.seconds());
    }
    let item = |name: &str| match dictionary.get(name)? {
        ListEntry::Item(item) if item.bare_item == BareItem::Boolean(false) => None,
        ListEntry::Item(item) => Some(Some(&item.bare_item)),
        ListEntry::InnerList(_) => Some(None),
    };
    for (name, seconds) in NUMBERS.iter().zip(found.seconds()) {
        let naive = item(name).map(|item| match item {
            Some(BareItem::Integer(number)) => i64::from(*number).clamp(0, 1 << 31).unsigned_abs(),
            _ => 0,
        });
        assert_eq!(seconds, naive, "{name}");
    }
    for (name, flag) in FLAGS.iter().zip(found.flags()) {
        let naive =
            item(name).is_some_and(|item| !permits(name) || item == Some(&BareItem::Boolean(true)));
        assert_eq!(flag, naive, "{name}");
    }
    for (name, found) in SCOPES.iter().zip(found.scopes()) {
        let argument = item(name).map(|item| match item? {
            BareItem::Integer(number) => Some(i64::from(*number).to_string().into_bytes()),
            BareItem::Token(token) => Some(token.as_str().as_bytes().to_vec()),
            BareItem::String(text) => Some(text.as_str().as_bytes().to_vec()),
            _ => None,
        });
        assert_eq!(found.map(<[_]>::to_vec), scope(argument.into_iter()), "{name}");
    }
}
