//! Field values: lists, tokens, numbers, dates (RFC 9110 section 5).
//!
//! Everything works on bytes, since a field value need not be text, and in one pass.
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::{Duration, SystemTime};

/// RFC 9111 section 1.2.2: what does not fit counts as this many seconds.
pub(crate) const MAX_DELTA: u64 = 1 << 31;

/// Fields for all recipients: to list one of them in `Connection` is an error of the sender (RFC 9110 section 7.6.1), and must not cut it out.
pub(crate) static END_TO_END: [HeaderName; 32] = [
    header::ACCEPT_ENCODING,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    HeaderName::from_static("cdn-loop"),
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPECT,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
    header::WWW_AUTHENTICATE,
];

/// RFC 9110 section 7.8: the connection is to speak something else.
pub(crate) fn is_upgrade(request: &HeaderMap) -> bool {
    list(request, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// Without the optional white space around it (RFC 9110 section 5.6.3).
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let is_ows = |b: &u8| matches!(b, b' ' | b'\t');
    let Some(start) = value.iter().position(|b| !is_ows(b)) else { return &[] };
    let end = value.iter().rposition(|b| !is_ows(b)).map_or(start, |last| last.saturating_add(1));
    value.get(start..end).unwrap_or_default()
}

/// The members of a list-based field (RFC 9110 section 5.6.1): all lines, quoted strings kept whole,
/// empty members left out.
pub(crate) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).iter().flat_map(|line| members(line.as_bytes()))
}

/// The members of one line. A quote that never closes is an ordinary byte, so that it cannot hide what
/// stands behind it.
pub(crate) fn members(line: &[u8]) -> Members<'_> {
    Members { rest: Some(line), quotes: true, empty: false }
}

/// The same, with the empty members: where nobody knows whether the field is a list, they may mean something.
pub(crate) fn all_members(line: &[u8]) -> Members<'_> {
    Members { empty: true, ..members(line) }
}

#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    rest: Option<&'a [u8]>,
    quotes: bool,
    /// True if empty members are yielded.
    empty: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest?;
            let end = self.end_of_member(rest);
            self.rest = rest.get(end.saturating_add(1)..);
            let member = trim(rest.get(..end).unwrap_or_default());
            if self.empty || !member.is_empty() {
                return Some(member);
            }
        }
    }
}

impl Members<'_> {
    fn end_of_member(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while let Some(left) = rest.get(at..) {
            let Some(next) = left.iter().position(|byte| matches!(byte, b',' | b'"')) else {
                break;
            };
            at = at.saturating_add(next);
            match rest.get(at) {
                Some(b'"') if self.quotes => match end_of_quoted(rest, at) {
                    Some(end) => at = end,
                    // Nothing behind this can close a quote either: look for one only once.
                    None => self.quotes = false,
                },
                Some(b'"') => {}
                _ => return at,
            }
            at = at.saturating_add(1);
        }
        rest.len()
    }
}

/// Where the quoted string that opens at `open` closes.
fn end_of_quoted(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open.checked_add(1)?;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at = at.checked_add(2)?,
            _ => at = at.checked_add(1)?,
        }
    }
}

/// The content of a quoted string, escapes resolved; `None` for anything else.
pub(crate) fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    if value.first() != Some(&b'"') || end_of_quoted(value, 0)? != value.len().checked_sub(1)? {
        return None;
    }
    let mut inner = value.get(1..value.len().checked_sub(1)?)?.iter();
    let mut text = Vec::with_capacity(inner.len());
    while let Some(&byte) = inner.next() {
        text.push(if byte == b'\\' { *inner.next()? } else { byte });
    }
    Some(text)
}

/// How long the token at the start is (RFC 9110 section 5.6.2).
pub(crate) fn token_len(value: &[u8]) -> usize {
    value.iter().position(|b| !is_tchar(*b)).unwrap_or(value.len())
}

/// The marks by what they are and not by a search for them: names of directives have a hyphen each.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Digits and nothing else. `None` also if the number is too large.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    let digit = |sum: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| byte.saturating_sub(b'0'))?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if value.is_empty() { None } else { value.iter().try_fold(0, digit) }
}

/// The same, where more than 64 bits is as far as one can go.
pub(crate) fn saturating_number(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| number(value).unwrap_or(u64::MAX))
}

/// `delta-seconds` (RFC 9111 section 1.2.2), saturating.
pub(crate) fn delta_seconds(value: &[u8]) -> Option<Duration> {
    saturating_number(value).map(|seconds| Duration::from_secs(seconds.min(MAX_DELTA)))
}

/// `HTTP-date` in each of its three forms (RFC 9110 section 5.6.7), in any case, as RFC 9111 section 4.2 asks of a
/// cache. The name of the day tells nothing that the date does not: a wrong one is no reason to refuse it.
pub(crate) fn http_date(value: &HeaderValue) -> Option<SystemTime> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    httpdate::parse_http_date(text).ok().or_else(|| {
        let text = capitalised(text);
        let (day, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?);
        if !DAYS.iter().any(|name| day == *name || Some(day) == name.get(..3)) {
            return None;
        }
        DAYS.iter().find_map(|name| {
            let name = if day.len() == 3 { name.get(..3)? } else { name };
            httpdate::parse_http_date(&format!("{name}{rest}")).ok()
        })
    })
}

/// The field value for an instant. `None` for what the format cannot tell: before 1970, after 9999.
pub(crate) fn date_of(time: SystemTime) -> Option<HeaderValue> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let is_tellable = since.as_secs() < 253_402_300_800;
    is_tellable.then(|| HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()).flatten()
}

const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Each run of letters with one capital in front, but the zone, which has capitals only.
fn capitalised(text: &str) -> String {
    let mut inside = false;
    let capital = |c: char| {
        let shown = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        inside = c.is_ascii_alphabetic();
        shown
    };
    let text: String = text.chars().map(capital).collect();
    text.strip_suffix(" Gmt").map(|date| format!("{date} GMT")).unwrap_or(text)
}

/// The date in a field that may stand once only; `Err` if it is there but says nothing sound.
pub(crate) fn single_date(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<SystemTime>, ()> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    if lines.any(|line| line != first) {
        return Err(());
    }
    http_date(first).map(Some).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        members(line.as_bytes()).map(|m| std::str::from_utf8(m).unwrap()).collect()
    }

    #[test]
    fn s5_6_1_lists_skip_empty_members_and_keep_quoted_commas() {
        for (line, want) in [
            ("", vec![]),
            (" , ,", vec![]),
            ("a, b,c ", vec!["a", "b", "c"]),
            (r#"a="1,2", b"#, vec![r#"a="1,2""#, "b"]),
            (r#"a="1\",2", b"#, vec![r#"a="1\",2""#, "b"]),
            // The quote never closes: it cannot hide the rest.
            (r#"a="1, no-store"#, vec![r#"a="1"#, "no-store"]),
            (r#"a="1\", no-store"#, vec![r#"a="1\""#, "no-store"]),
        ] {
            assert_eq!(split(line), want, "{line}");
        }
    }

    #[test]
    fn s5_6_1_splitting_is_linear() {
        let line = "\"\\".repeat(50_000) + &",".repeat(50_000);
        assert!(members(line.as_bytes()).count() <= 2);
    }

    #[test]
    fn s5_6_4_quoted_strings() {
        assert_eq!(unquote(br#""a\"b""#).as_deref(), Some(&b"a\"b"[..]));
        for not in [&b"a"[..], b"\"", b"\"a", b"\"a\"b", b"\"a\\\""] {
            assert_eq!(unquote(not), None);
        }
    }

    #[test]
    fn s1_2_2_delta_seconds() {
        let parse = |s: &str| delta_seconds(s.as_bytes()).map(|d| d.as_secs());
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("3600"), Some(3600));
        assert_eq!(parse("99999999999999999999999999"), Some(MAX_DELTA));
        for not in ["", "-1", "+1", "1.5", "1 ", "a"] {
            assert_eq!(parse(not), None, "{not}");
        }
    }

    #[test]
    fn s5_6_7_dates() {
        let parse = |s: &str| http_date(&HeaderValue::from_str(s).unwrap());
        let want = parse("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(want.is_some());
        for ok in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Monday, 06-Nov-94 08:49:37 GMT",
            "Mon Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(ok), want, "{ok}");
        }
        for not in [
            "0",
            "",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Day, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994  08:49:37 GMT",
        ] {
            assert_eq!(parse(not), None, "{not}");
        }
    }

    #[test]
    fn s8_6_numbers() {
        for (text, want) in [
            ("0", Some(0)),
            ("0007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("1 ", None),
        ] {
            assert_eq!(number(text.as_bytes()), want, "{text}");
        }
    }
}
