//! Validation of stored responses (RFC 9111 section 4.3).
use super::{fields, stored_fields::HOP_BY_HOP};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Conditions and ranges that a client may have sent: never sent on with a fetch whose response may be stored
/// (RFC 9111 section 4.3.1), but answered from the response afterwards.
pub(crate) static CLIENT_CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Section 4.3.1: asks the origin whether the stored response is still good.
pub(crate) fn add_validators(request: &mut HeaderMap, stored: &HeaderMap) {
    for (validator, condition) in
        [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)]
    {
        if let Some(value) = stored.get(validator) {
            request.insert(condition, value.clone());
        }
    }
}

/// Section 4.3.4: does this 304 (or this 200 to a HEAD, section 4.3.5) speak of the stored response? A strong
/// validator has to match strongly, else a weak one weakly; one without any speaks of the only one that was asked for.
pub(crate) fn identifies(stored: &HeaderMap, update: &HeaderMap) -> bool {
    match update.get(header::ETAG) {
        Some(new) => stored.get(header::ETAG).is_some_and(|old| {
            if is_weak(new) { opaque_tag(old) == opaque_tag(new) } else { old == new }
        }),
        None => same_last_modified(stored, update),
    }
}

/// Section 4.3.5: does the answer to a HEAD speak of the stored response? All validators that it has must match.
pub(crate) fn agrees(stored: &HeaderMap, update: &HeaderMap) -> bool {
    identifies(stored, update) && same_last_modified(stored, update)
}

/// True as well if the update has none. Compared as dates where they are dates (RFC 9110 section 8.8.2).
fn same_last_modified(stored: &HeaderMap, update: &HeaderMap) -> bool {
    let Some(new) = update.get(header::LAST_MODIFIED) else { return true };
    stored.get(header::LAST_MODIFIED).is_some_and(|old| {
        let dates = (fields::http_date(old), fields::http_date(new));
        old == new || matches!(dates, (Some(a), Some(b)) if a == b)
    })
}

/// Section 3.2: the fields of the update replace those of the stored response; all lines of a field are kept.
pub(crate) fn freshen(stored: &mut HeaderMap, update: &HeaderMap) {
    // Age and date of the old response say nothing of the new one: without a Date it was made when it was received
    // (RFC 9110 section 6.6.1).
    stored.remove(header::AGE);
    stored.remove(header::DATE);
    let listed: Vec<&[u8]> = fields::list(update, &header::CONNECTION).collect();
    for name in update.keys() {
        let is_listed = listed.iter().any(|l| l.eq_ignore_ascii_case(name.as_str().as_bytes()));
        if is_listed || NOT_UPDATED.contains(name) || HOP_BY_HOP.contains(name) {
            continue;
        }
        stored.remove(name);
        for value in update.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

/// They describe the content that is stored, which a 304 does not have (section 3.2).
static NOT_UPDATED: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    CONTENT_DIGEST,
    CONTENT_MD5,
];

/// They are about the content of the message that has them, and no other (RFC 9530 section 2, RFC 1864): neither a part of it, nor the whole that a part is made of.
/// `Repr-Digest` is about the representation, whatever part of it is sent.
pub(crate) static CONTENT_DIGESTS: [HeaderName; 2] = [CONTENT_DIGEST, CONTENT_MD5];

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The entity tag, if it is a strong one.
pub(crate) fn strong_tag(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(header::ETAG).filter(|tag| !is_weak(tag))
}

/// Section 3.4: parts may be combined only under the same strong validator.
pub(crate) fn is_same_strong(a: &HeaderMap, b: &HeaderMap) -> bool {
    matches!((strong_tag(a), strong_tag(b)), (Some(a), Some(b)) if a == b)
}

/// RFC 9110 section 8.8.3.
pub(crate) fn is_weak(tag: &HeaderValue) -> bool {
    tag.as_bytes().starts_with(b"W/")
}

/// The tag without its mark of weakness.
pub(crate) fn opaque_tag(tag: &HeaderValue) -> &[u8] {
    tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn s4_3_1_validators_are_sent() {
        let mut request = map(&[]);
        add_validators(&mut request, &map(&[("etag", "W/\"a\""), ("last-modified", "x")]));
        assert_eq!(request, map(&[("if-none-match", "W/\"a\""), ("if-modified-since", "x")]));
    }

    #[test]
    fn s4_3_4_which_response_a_304_speaks_of() {
        const D: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (stored, update, want) in [
            (vec![("etag", "\"a\"")], vec![("etag", "\"a\"")], true),
            (vec![("etag", "\"a\"")], vec![("etag", "\"b\"")], false),
            (vec![("etag", "W/\"a\"")], vec![("etag", "\"a\"")], false),
            (vec![("etag", "\"a\"")], vec![("etag", "W/\"a\"")], true),
            (vec![("etag", "W/\"a\"")], vec![("etag", "W/\"a\"")], true),
            (vec![("last-modified", D)], vec![("etag", "\"a\"")], false),
            (
                vec![("last-modified", D)],
                vec![("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")],
                true,
            ),
            (vec![("last-modified", D)], vec![("last-modified", "x")], false),
            (vec![("etag", "\"a\"")], vec![], true),
        ] {
            assert_eq!(identifies(&map(&stored), &map(&update)), want, "{stored:?} {update:?}");
        }
    }

    #[test]
    fn s3_2_freshening_keeps_all_lines_and_what_describes_the_content() {
        let mut stored = map(&[
            ("link", "1"),
            ("x", "old"),
            ("age", "9"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("kept", "1"),
        ]);
        freshen(
            &mut stored,
            &map(&[
                ("link", "2"),
                ("link", "3"),
                ("x", "new"),
                ("content-length", "0"),
                ("content-encoding", "br"),
                ("connection", "y"),
                ("y", "1"),
            ]),
        );
        let want = map(&[
            ("link", "2"),
            ("link", "3"),
            ("x", "new"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("kept", "1"),
        ]);
        assert_eq!(stored, want);
    }
}
