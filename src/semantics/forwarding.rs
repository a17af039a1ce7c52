//! What a forwarded message carries of the way it took: `Via` (RFC 9110 section 7.6.3) and `CDN-Loop` (RFC 8586).
use super::fields;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// RFC 8586 section 2: has the request been here before?
pub(crate) fn is_loop(request: &HeaderMap, id: &HeaderValue) -> bool {
    fields::list(request, &CDN_LOOP).any(|info| {
        let name = info.split(|b| *b == b';').next().unwrap_or_default();
        fields::trim(name).eq_ignore_ascii_case(id.as_bytes())
    })
}

/// RFC 9110 section 7.6.3: the protocol in which the message was received, and who passes it on.
pub(crate) fn via(version: Version, name: &str) -> Option<HeaderValue> {
    let protocol = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    HeaderValue::try_from(format!("{protocol} {name}")).ok()
}

/// A name of this cache as the fields above take it: a token. `None` if it is none.
pub(crate) fn pseudonym(name: &str) -> Option<HeaderValue> {
    let is_token = !name.is_empty() && fields::token_len(name.as_bytes()) == name.len();
    HeaderValue::from_str(name).ok().filter(|_| is_token)
}

/// Adds what a forwarded request carries.
pub(crate) fn mark(
    request: &mut HeaderMap,
    version: Version,
    via_name: Option<&str>,
    loop_id: Option<&HeaderValue>,
) {
    if let Some(value) = via_name.and_then(|name| via(version, name)) {
        request.append(header::VIA, value);
    }
    if let Some(id) = loop_id {
        request.append(CDN_LOOP, id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8586_s2_one_that_was_here_before() {
        let id = HeaderValue::from_static("edge-1");
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (CDN_LOOP, HeaderValue::from_static(line)));
            is_loop(&lines.collect(), &id)
        };
        assert!(of(&["edge-1"]));
        assert!(of(&["other, EDGE-1 ; trace=\"a,b\""]));
        assert!(of(&["other", "edge-1"]));
        for not in ["edge-11", "edge", "other; edge-1", "other; a=\"edge-1, edge-1\""] {
            assert!(!of(&[not]), "{not}");
        }
    }

    #[test]
    fn rfc9110_s7_6_3_via() {
        assert_eq!(via(Version::HTTP_11, "edge").unwrap(), "1.1 edge");
        assert_eq!(via(Version::HTTP_2, "edge").unwrap(), "2 edge");
        assert!(pseudonym("two words").is_none() && pseudonym("").is_none());
    }
}
