//! Conditional requests of clients, answered from a stored response (RFC 9110 section 13, RFC 9111 section 4.3.2).
use super::{
    fields,
    validation::{is_weak, opaque_tag},
};
use http::{HeaderMap, HeaderValue, header};

/// Is the stored response not modified for this client, so that a 304 is its answer? For GET and HEAD and a stored response whose status is 200.
///
/// `If-Match` and `If-Unmodified-Since` are for the origin, which alone knows the current representation: a cache does not evaluate them (RFC 9111
/// section 4.3.2).
pub(crate) fn is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        return matches_any(request, stored);
    }
    // RFC 9110 section 13.1.3: one date, or the field is ignored.
    let mut lines = request.get_all(header::IF_MODIFIED_SINCE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    // RFC 9111 section 4.3.2: without Last-Modified the Date stands in for it.
    let modified = match fields::single_date(stored, &header::LAST_MODIFIED) {
        Ok(None) => fields::single_date(stored, &header::DATE),
        modified => modified,
    };
    matches!((fields::http_date(line), modified), (Some(since), Ok(Some(modified))) if modified <= since)
}

/// Conditions that only the origin can evaluate.
pub(crate) fn is_for_origin(request: &HeaderMap) -> bool {
    [header::IF_MATCH, header::IF_UNMODIFIED_SINCE].iter().any(|name| request.contains_key(name))
}

/// Does the request have preconditions of its own?
pub(crate) fn has_conditions(request: &HeaderMap) -> bool {
    [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ]
    .iter()
    .any(|name| request.contains_key(name))
}

/// RFC 9110 section 13.1.5: is the range that was asked for still a range of this response? A date is a strong
/// validator only where it is the exact one that was sent, at least a second before the `Date` (section 8.8.2.2).
pub(crate) fn if_range(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let Some(condition) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    if condition.as_bytes().starts_with(b"\"") || is_weak(condition) {
        return stored.get(header::ETAG).is_some_and(|tag| strong(tag, condition.as_bytes()));
    }
    let (Some(asked), Some(modified)) = (
        fields::http_date(condition),
        stored.get(header::LAST_MODIFIED).and_then(fields::http_date),
    ) else {
        return false;
    };
    let date = stored.get(header::DATE).and_then(fields::http_date);
    let is_strong =
        date.and_then(|d| d.duration_since(modified).ok()).is_some_and(|d| d.as_secs() >= 1);
    asked == modified && is_strong
}

/// `*` or a list of entity tags, one of which matches weakly (RFC 9110 section 13.1.2).
fn matches_any(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let lines = request.get_all(header::IF_NONE_MATCH);
    let mut values = lines.iter().map(HeaderValue::as_bytes);
    if let (Some(line), None) = (values.next(), values.next())
        && fields::trim(line) == b"*"
    {
        return true;
    }
    let tag = stored.get(header::ETAG).map(opaque_tag);
    lines.iter().any(|line| EntityTags(line.as_bytes()).any(|member| tag == Some(member)))
}

/// The opaque tags of a list. In an entity tag a backslash is a byte like others (RFC 9110 section 8.8.3): it is no quoted string.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
        let rest = self.0.get(start..)?;
        let rest = rest.strip_prefix(b"W/").unwrap_or(rest);
        let quoted = rest.strip_prefix(b"\"").and_then(|text| text.iter().position(|b| *b == b'"'));
        // Behind the closing quote; what has none ends at the comma.
        let closed = quoted.map_or(0, |len| len.saturating_add(2));
        let behind = rest.get(closed..)?;
        let comma = behind.iter().position(|b| *b == b',').unwrap_or(behind.len());
        let (member, rest) = rest.split_at_checked(closed.saturating_add(comma))?;
        self.0 = rest;
        Some(fields::trim(member))
    }
}

/// RFC 9110 section 8.8.3.2.
fn strong(tag: &HeaderValue, asked: &[u8]) -> bool {
    !is_weak(tag) && tag.as_bytes() == asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATE: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn s13_2_2_order_and_comparison() {
        let stored = map(&[("etag", "\"a\""), ("last-modified", EARLY)]);
        for (request, want) in [
            (vec![], false),
            (vec![("if-none-match", "\"a\"")], true),
            (vec![("if-none-match", "W/\"a\"")], true),
            (vec![("if-none-match", "\"b\", \"a\"")], true),
            (vec![("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], true),
            (vec![("if-none-match", "*")], true),
            (vec![("if-none-match", "abc, W/\"a\" ,")], true),
            (vec![("if-none-match", "\"p\\\", \"a\"")], true),
            (vec![("if-none-match", "\"p\\\",\",*,\"")], false),
            (vec![("if-none-match", "\"b\", *")], false),
            (vec![("if-none-match", "\"a\" x")], false),
            (vec![("if-none-match", "\"a")], false),
            (vec![("if-none-match", "\"b\"")], false),
            (vec![("if-none-match", "\"b\""), ("if-modified-since", LATE)], false),
            (vec![("if-modified-since", EARLY)], true),
            (vec![("if-modified-since", LATE)], true),
            (vec![("if-modified-since", "yesterday")], false),
            (vec![("if-modified-since", LATE), ("if-modified-since", LATE)], false),
        ] {
            assert_eq!(is_not_modified(&map(&request), &stored), want, "{request:?}");
        }
        let stored = map(&[("etag", "W/\"a\""), ("last-modified", LATE)]);
        assert!(is_not_modified(&map(&[("if-none-match", "\"a\"")]), &stored));
        assert!(!is_not_modified(&map(&[("if-modified-since", EARLY)]), &stored));
    }

    #[test]
    fn rfc9111_s4_3_2_the_date_stands_in_for_last_modified() {
        let since = |when| map(&[("if-modified-since", when)]);
        assert!(is_not_modified(&since(LATE), &map(&[("date", EARLY)])));
        assert!(!is_not_modified(&since(EARLY), &map(&[("date", LATE)])));
        assert!(!is_not_modified(&since(LATE), &map(&[("date", EARLY), ("last-modified", "x")])));
    }

    #[test]
    fn rfc9111_s4_3_2_conditions_for_the_origin_are_not_evaluated() {
        let stored = map(&[("etag", "\"a\""), ("last-modified", LATE)]);
        for condition in [("if-match", "\"b\""), ("if-unmodified-since", EARLY)] {
            assert!(!is_not_modified(&map(&[condition]), &stored));
        }
    }

    #[test]
    fn s13_1_5_if_range_takes_strong_validators_only() {
        let stored = map(&[("etag", "\"a\""), ("last-modified", EARLY), ("date", LATE)]);
        for (condition, want) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (EARLY, true),
            (LATE, false),
            ("x", false),
        ] {
            assert_eq!(if_range(&map(&[("if-range", condition)]), &stored), want, "{condition}");
        }
        let weak = map(&[("etag", "W/\"a\""), ("last-modified", EARLY), ("date", EARLY)]);
        assert!(!if_range(&map(&[("if-range", "W/\"a\"")]), &weak));
        assert!(!if_range(&map(&[("if-range", EARLY)]), &weak));
        assert!(if_range(&map(&[]), &weak));
    }
}
