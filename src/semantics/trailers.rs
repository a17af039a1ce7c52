//! Which trailer fields may be stored, and replayed to others (RFC 9110 section 6.5, RFC 9111 section 3.1).
use super::{directives::Directives, stored_fields::HOP_BY_HOP};
use http::{HeaderMap, HeaderName, header};

/// What is left of the trailer section if it is to be shared: nothing that only the head may say (RFC 9110 section 6.5.1), that is for one client, or that the
/// head withholds; nor the fields that list `tags` for the cache. `None` if nothing is left, or if it is longer than `max` bytes.
pub(crate) fn storable(
    mut trailers: HeaderMap,
    directives: &Directives,
    tags: &[HeaderName],
    max: usize,
) -> Option<HeaderMap> {
    for name in HOP_BY_HOP.iter().chain(&HEAD_ONLY).chain(directives.withheld_fields()).chain(tags)
    {
        trailers.remove(name);
    }
    let bytes: usize =
        trailers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
    (!trailers.is_empty() && bytes <= max).then_some(trailers)
}

/// Framing, routing, authentication, control of responses, and what tells how to read the content.
static HEAD_ONLY: [HeaderName; 24] = [
    header::AGE,
    header::CACHE_CONTROL,
    HeaderName::from_static("cdn-cache-control"),
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::PRAGMA,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    header::STRICT_TRANSPORT_SECURITY,
    header::TRAILER,
    header::VARY,
    header::WARNING,
    header::WWW_AUTHENTICATE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn left(fields: &[(&'static str, &str)], says: &str) -> Vec<String> {
        let head = [(header::CACHE_CONTROL, says.parse().unwrap())].into_iter().collect();
        let fields = fields.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap()));
        let tags = [HeaderName::from_static("x-tag")];
        let left = storable(fields.collect(), &Directives::of_response(&head), &tags, 20);
        left.iter().flat_map(HeaderMap::keys).map(ToString::to_string).collect()
    }

    #[test]
    fn rfc9110_s6_5_1_what_only_the_head_may_say_is_dropped() {
        let fields = [("x-sum", "1"), ("set-cookie", "a=b"), ("connection", "x"), ("age", "1")];
        assert_eq!(left(&fields, "max-age=60"), ["x-sum"]);
        assert_eq!(left(&fields[1..], "max-age=60"), [""; 0]);
    }

    #[test]
    fn s5_2_2_7_what_the_head_withholds_is_dropped() {
        assert_eq!(left(&[("x-sum", "1"), ("x-user", "b")], "private=\"X-User\""), ["x-sum"]);
        assert_eq!(left(&[("x-sum", "1"), ("x-user", "b")], "no-cache=\"x-sum\""), ["x-user"]);
    }

    #[test]
    fn what_lists_tags_for_the_cache_is_dropped() {
        assert_eq!(left(&[("x-sum", "1"), ("x-tag", "b")], ""), ["x-sum"]);
    }

    #[test]
    fn a_long_section_is_dropped() {
        assert_eq!(left(&[("x-sum", "123456789012345")], ""), ["x-sum"]);
        assert_eq!(left(&[("x-sum", "1234567890123456")], ""), [""; 0]);
    }
}
