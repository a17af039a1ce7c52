//! What the fields of a response are about, found in one pass: most responses have none of these, and a question about a field that is not there costs as much as
//! one about a field that is.
use super::stored_fields::is_hop_by_hop;
use http::{HeaderMap, HeaderName};

/// Which fields a response has, as far as it depends on them whether and how it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseSurvey {
    /// Of all names and values.
    pub(crate) bytes: usize,
    /// `Connection` among them.
    pub(crate) hop_by_hop: bool,
    pub(crate) connection: bool,
    pub(crate) date: bool,
    pub(crate) groups: bool,
    pub(crate) set_cookie: bool,
    /// One of those that speak to this cache (RFC 9213).
    pub(crate) targeted: bool,
    pub(crate) vary: bool,
}

impl ResponseSurvey {
    pub(crate) fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            found.targeted |= targets.contains(name);
            let name = name.as_str();
            found.bytes = found.bytes.saturating_add(name.len()).saturating_add(value.len());
            // By the first letter, since most fields that are sent begin with another one.
            match name.as_bytes().first() {
                Some(b'c') => match name {
                    "cache-groups" => found.groups = true,
                    "connection" => (found.connection, found.hop_by_hop) = (true, true),
                    _ => {}
                },
                Some(b'd') => found.date |= name == "date",
                Some(b'k' | b'p' | b't' | b'u') => found.hop_by_hop |= is_hop_by_hop(name),
                Some(b's') => found.set_cookie |= name == "set-cookie",
                Some(b'v') => found.vary |= name == "vary",
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::stored_fields::HOP_BY_HOP;
    use http::HeaderValue;

    type Found = fn(ResponseSurvey) -> bool;

    fn of(names: &[&HeaderName]) -> ResponseSurvey {
        let value = HeaderValue::from_static("1");
        let headers = names.iter().map(|name| ((*name).clone(), value.clone())).collect();
        ResponseSurvey::of(&headers, &[HeaderName::from_static("cdn-cache-control")])
    }

    #[test]
    fn each_field_is_found_and_only_that_one() {
        let others = ["dat", "cookie", "varying", "te-x", "proxy", "upgrade-insecure-requests"];
        for name in others.map(HeaderName::from_static) {
            let bytes = name.as_str().len() + 1;
            assert_eq!(
                of(&[&name]),
                ResponseSurvey { bytes, ..ResponseSurvey::default() },
                "{name}"
            );
        }
        let single: [(&str, Found); 6] = [
            ("date", |s| s.date),
            ("cache-groups", |s| s.groups),
            ("set-cookie", |s| s.set_cookie),
            ("cdn-cache-control", |s| s.targeted),
            ("vary", |s| s.vary),
            ("connection", |s| s.connection),
        ];
        for (name, is_found) in single {
            assert!(is_found(of(&[&HeaderName::from_static(name)])), "{name}");
            for (other, is_found) in single.iter().filter(|(other, _)| *other != name) {
                assert!(!is_found(of(&[&HeaderName::from_static(name)])), "{name} as {other}");
            }
        }
        for name in &HOP_BY_HOP {
            assert!(of(&[name]).hop_by_hop, "{name}");
        }
    }
}
