//! Which stored response a request selects (RFC 9111 section 4.1): `Vary`, and values made comparable.
use super::{codings, fields};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;

/// More nominated fields than this count as `*`.
const MAX_NOMINATED: usize = 16;

/// The request fields that a response nominates by `Vary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nominated {
    /// No request field matters.
    Nothing,
    /// These matter: sorted, each once.
    Fields(Vec<HeaderName>),
    /// Something matters that is in no field, or `Vary` cannot be read: no other request matches.
    Star,
}

impl Nominated {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut names = Vec::new();
        for member in fields::list(headers, &header::VARY) {
            match HeaderName::from_bytes(member) {
                Ok(_) if member == b"*" => return Self::Star,
                Ok(name) => names.push(name),
                Err(_) => return Self::Star,
            }
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        match names.len() {
            0 => Self::Nothing,
            n if n > MAX_NOMINATED => Self::Star,
            _ => Self::Fields(names),
        }
    }
}

/// The value of one nominated field in a form in which equal means "matches"; `None` if the request does not have it.
pub(crate) fn normalised<'a>(name: &HeaderName, request: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
    let mut lines = request.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    let is_only = lines.next().is_none();
    let form = if is_only { at_once(name, first) } else { None };
    Some(form.unwrap_or_else(|| in_full(name, request).into()))
}

/// The form of a value that is one line, if it has it already or it is one of few.
fn at_once<'a>(name: &HeaderName, line: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let has_white_space = || line.iter().any(|byte| matches!(byte, b' ' | b'\t'));
    match *name {
        header::ACCEPT_ENCODING => codings::usual(line).map(Cow::Borrowed),
        header::ACCEPT_LANGUAGE | header::ACCEPT_CHARSET => None,
        // What has no white space is no other if that is taken away.
        _ => (!has_white_space() || SINGLE.contains(name)).then_some(line.into()),
    }
}

/// The form of any value.
fn in_full(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    if *name == header::ACCEPT_ENCODING {
        return codings::accepted(request);
    }
    let lines = request.get_all(name).iter().map(HeaderValue::as_bytes);
    if SINGLE.contains(name) {
        // No value has a line feed.
        return lines.collect::<Vec<_>>().join(&b'\n');
    }
    let members: Vec<_> = lines.flat_map(fields::all_members).collect();
    let mut value = members.join(&b',');
    if *name == header::ACCEPT_LANGUAGE || *name == header::ACCEPT_CHARSET {
        value.make_ascii_lowercase();
    }
    value
}

/// Fields whose values are no lists: each byte of them may mean something. Of a field that nobody knows it is taken for granted that white space beside
/// commas, and lines instead of commas, mean nothing.
static SINGLE: [HeaderName; 10] = [
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

/// The language that a request likes best: the first among those with the highest weight (RFC 9110 section 12.5.4). `None` if that is any.
pub(crate) fn preferred_language(request: &HeaderMap) -> Option<Vec<u8>> {
    let mut best: Option<(u16, &[u8])> = None;
    for member in fields::list(request, &header::ACCEPT_LANGUAGE) {
        let (range, parameters) = member.split_at(fields::token_len(member));
        let weight = thousandths(parameters)?;
        if best.is_none_or(|(highest, _)| weight > highest) {
            best = Some((weight, range));
        }
    }
    best.filter(|(weight, range)| *weight > 0 && *range != b"*")
        .map(|(_, range)| range.to_ascii_lowercase())
}

/// The one language of a response.
pub(crate) fn content_language(response: &HeaderMap) -> Option<Vec<u8>> {
    let mut languages = fields::list(response, &header::CONTENT_LANGUAGE);
    match (languages.next(), languages.next()) {
        (Some(language), None) => Some(language.to_ascii_lowercase()),
        _ => None,
    }
}

/// `;q=` with up to three digits behind the dot; `None` if it is something else.
pub(super) fn thousandths(parameters: &[u8]) -> Option<u16> {
    let Some(parameter) = fields::trim(parameters).strip_prefix(b";") else {
        return parameters.is_empty().then_some(1000);
    };
    let text = std::str::from_utf8(fields::trim(parameter)).ok()?;
    let digits = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_sound = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match whole {
        "1" if is_sound => Some(1000),
        "0" if is_sound => format!("{fraction:0<3}").parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect()
    }

    fn vary(lines: &[&str]) -> Nominated {
        Nominated::of(&map(&lines.iter().map(|l| ("vary", *l)).collect::<Vec<_>>()))
    }

    #[test]
    fn s4_1_nominated_fields() {
        assert_eq!(vary(&[]), Nominated::Nothing);
        assert_eq!(vary(&[", ,"]), Nominated::Nothing);
        let fields =
            |names: &[&str]| Nominated::Fields(names.iter().map(|n| n.parse().unwrap()).collect());
        assert_eq!(vary(&["B, a", "A"]), fields(&["a", "b"]));
        for star in ["*", "a, *", "*, a", ", *", "a b", "\"a\""] {
            assert_eq!(vary(&[star]), Nominated::Star, "{star}");
        }
        assert_eq!(vary(&["a", "*"]), Nominated::Star);
        let many: Vec<_> = (0..17).map(|n| format!("x-{n}")).collect();
        assert_eq!(vary(&[&many.join(",")]), Nominated::Star);
    }

    fn value(name: &str, lines: &[&str]) -> Option<String> {
        let map = map(&lines.iter().map(|l| (name, *l)).collect::<Vec<_>>());
        let value = normalised(&name.parse().unwrap(), &map)?;
        assert_eq!(value, in_full(&name.parse().unwrap(), &map), "{name} {lines:?}");
        Some(String::from_utf8(value.into_owned()).unwrap())
    }

    #[test]
    fn s4_1_values_that_match() {
        for (name, a, b) in [
            ("x", vec!["1,2"], vec![" 1, 2 "]),
            ("x", vec!["1", "2"], vec!["1, 2"]),
            ("accept-language", vec!["en, de"], vec!["eN, De"]),
            ("accept-encoding", vec!["gzip, br"], vec!["br;q=0.5, GZIP, identity"]),
            ("accept-encoding", vec!["identity"], vec![""]),
        ] {
            assert_eq!(value(name, &a), value(name, &b), "{name} {a:?} {b:?}");
        }
    }

    #[test]
    fn rfc9110_s12_5_4_the_language_that_is_liked_best() {
        for (value, want) in [
            ("de", Some("de")),
            ("en, DE", Some("en")),
            ("fr;q=0.5, de;q=1.0", Some("de")),
            ("fr ; q=0.35, de;q=0.4", Some("de")),
            ("*, de;q=0.5", None),
            ("de;q=0", None),
            ("de;q=2", None),
            ("de;level=1", None),
        ] {
            let got = preferred_language(&map(&[("accept-language", value)]));
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn s4_1_values_that_differ() {
        for (name, a, b) in [
            ("x", vec!["1,2"], vec!["2,1"]),
            ("x", vec!["a"], vec!["A"]),
            ("x", vec![""], vec![]),
            ("x", vec!["a,"], vec!["a"]),
            ("x", vec![",a"], vec!["a,"]),
            ("x", vec!["a", ""], vec!["a"]),
            ("cookie", vec!["n=a,b"], vec!["n=a, b"]),
            ("cookie", vec!["n=a", "n=b"], vec!["n=a,n=b"]),
            ("user-agent", vec!["x (a,b)"], vec!["x (a, b)"]),
            ("authorization", vec!["Digest a=b,c=d"], vec!["Digest a=b, c=d"]),
            ("x", vec!["1 2"], vec!["12"]),
            ("accept-encoding", vec!["gzip"], vec!["gzip;q=0"]),
            ("accept-encoding", vec!["gzip"], vec!["br"]),
            ("accept-encoding", vec!["br+gzip"], vec!["br, gzip"]),
            ("accept-encoding", vec!["!gzip"], vec!["gzip;q=0"]),
            ("accept-encoding", vec!["gzip;x+br"], vec!["gzip;x, br"]),
            ("accept-encoding", vec!["gzip;x\tbr"], vec!["gzip;x, br"]),
            ("accept-encoding", vec!["gzip"], vec!["gzip, identity;q=0"]),
            ("accept-encoding", vec![], vec!["gzip"]),
            ("accept-encoding", vec!["identity gzip"], vec!["identity"]),
            ("accept-encoding", vec!["@gzip"], vec![""]),
            ("accept-encoding", vec!["gzip;x=1"], vec!["gzip"]),
        ] {
            assert_ne!(value(name, &a), value(name, &b), "{name} {a:?} {b:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_told_at_once_is_what_is_told_in_full(
            name in prop::sample::select(vec!["accept", "accept-charset", "accept-encoding", "accept-language", "cookie", "user-agent", "x"]),
            lines in prop::collection::vec("([a-zA;=.\"\\\\\u{e9}]|gzip|br|,|, |\t){0,8}", 1..3),
        ) {
            let name: HeaderName = name.parse().unwrap();
            let values = lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap()));
            let request: HeaderMap = values.collect();
            prop_assert_eq!(normalised(&name, &request).unwrap(), in_full(&name, &request));
        }
    }
}
