//! Conditional requests of clients, answered from a stored response (RFC 9110 section 13, RFC 9111 section 4.3.2).
use super::{
    fields,
    validation::{is_weak, opaque_tag},
};
use http::{HeaderMap, HeaderValue, header};

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// The response is sent as it is.
    Met,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// RFC 9110 section 13.2.2, for GET and HEAD and a stored response whose status is 200.
pub(crate) fn evaluate(request: &HeaderMap, stored: &HeaderMap) -> Precondition {
    if request.contains_key(header::IF_MATCH) {
        if !tags_match(request, &header::IF_MATCH, stored, strong) {
            return Precondition::Failed;
        }
    } else if is_modified_since(request, &header::IF_UNMODIFIED_SINCE, stored) == Some(true) {
        return Precondition::Failed;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        if tags_match(request, &header::IF_NONE_MATCH, stored, weak) {
            return Precondition::NotModified;
        }
    } else if is_modified_since(request, &header::IF_MODIFIED_SINCE, stored) == Some(false) {
        return Precondition::NotModified;
    }
    Precondition::Met
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

/// `*` or a list of entity tags, one of which matches.
fn tags_match(
    request: &HeaderMap,
    name: &http::HeaderName,
    stored: &HeaderMap,
    matches: fn(&HeaderValue, &[u8]) -> bool,
) -> bool {
    let tag = stored.get(header::ETAG);
    fields::list(request, name)
        .any(|member| member == b"*" || tag.is_some_and(|tag| matches(tag, member)))
}

/// RFC 9110 section 8.8.3.2.
fn strong(tag: &HeaderValue, asked: &[u8]) -> bool {
    !is_weak(tag) && tag.as_bytes() == asked
}

fn weak(tag: &HeaderValue, asked: &[u8]) -> bool {
    opaque_tag(tag) == asked.strip_prefix(b"W/").unwrap_or(asked)
}

/// `None` where the condition, or what it is compared with, is absent or no date: it is ignored then.
fn is_modified_since(
    request: &HeaderMap,
    name: &http::HeaderName,
    stored: &HeaderMap,
) -> Option<bool> {
    let since = fields::single_date(request, name).ok()??;
    let modified = fields::single_date(stored, &header::LAST_MODIFIED).ok()??;
    Some(modified > since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Precondition::*;
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
            (vec![], Met),
            (vec![("if-none-match", "\"a\"")], NotModified),
            (vec![("if-none-match", "W/\"a\"")], NotModified),
            (vec![("if-none-match", "\"b\", \"a\"")], NotModified),
            (vec![("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], NotModified),
            (vec![("if-none-match", "*")], NotModified),
            (vec![("if-none-match", "\"b\"")], Met),
            (vec![("if-none-match", "\"b\""), ("if-modified-since", LATE)], Met),
            (vec![("if-modified-since", EARLY)], NotModified),
            (vec![("if-modified-since", LATE)], NotModified),
            (vec![("if-modified-since", "yesterday")], Met),
            (vec![("if-match", "\"a\"")], Met),
            (vec![("if-match", "W/\"a\"")], Failed),
            (vec![("if-match", "\"b\"")], Failed),
            (vec![("if-match", "*")], Met),
            (vec![("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified),
            (vec![("if-unmodified-since", EARLY)], Met),
            (vec![("if-match", "\"a\""), ("if-unmodified-since", EARLY)], Met),
        ] {
            assert_eq!(evaluate(&map(&request), &stored), want, "{request:?}");
        }
        let stored = map(&[("etag", "W/\"a\""), ("last-modified", LATE)]);
        assert_eq!(evaluate(&map(&[("if-none-match", "\"a\"")]), &stored), NotModified);
        assert_eq!(evaluate(&map(&[("if-match", "W/\"a\"")]), &stored), Failed);
        assert_eq!(evaluate(&map(&[("if-unmodified-since", EARLY)]), &stored), Failed);
        assert_eq!(evaluate(&map(&[("if-modified-since", EARLY)]), &stored), Met);
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
