//! What the fields of a request are about, found in one pass: a question about a field that is not there costs as much as one about a field that is.
use super::influential;
use http::{HeaderMap, HeaderValue};

/// Which fields a request has, as far as its way through the cache depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey<'a> {
    /// Of all names and values.
    pub(crate) bytes: usize,
    /// The first line of `Host`, and how many there are.
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) hosts: usize,
    /// `Content-Length` other than 0, or `Transfer-Encoding`.
    pub(crate) announces_content: bool,
    /// `Connection` that says more than `keep-alive` or `close`.
    pub(crate) connection: bool,
    pub(crate) upgrade: bool,
    pub(crate) is_grpc: bool,
    /// `Cache-Control` or `Pragma`.
    pub(crate) directives: bool,
    /// Preconditions, `Range` or `If-Range`.
    pub(crate) conditions: bool,
    pub(crate) cdn_loop: bool,
    /// One of the fields of [`Influential`](super::Influential).
    pub(crate) influential: bool,
}

impl<'a> Survey<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            found.bytes = found.bytes.saturating_add(name.len()).saturating_add(value.len());
            // By the first letter, since most fields that are sent begin with another one.
            match name.as_bytes().first() {
                Some(b'c') => match name {
                    "cache-control" => found.directives = true,
                    "connection" => {
                        let is_plain = value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
                            || value.as_bytes().eq_ignore_ascii_case(b"close");
                        found.connection |= !is_plain;
                    }
                    "content-length" => found.announces_content |= value != "0",
                    "content-type" => {
                        found.is_grpc |= value.as_bytes().starts_with(b"application/grpc");
                    }
                    "cdn-loop" => found.cdn_loop = true,
                    _ => {}
                },
                Some(b'i') => found.conditions |= name.starts_with("if-"),
                Some(b'p') => match name {
                    "pragma" => found.directives = true,
                    _ => found.influential |= influential::is_one(name),
                },
                Some(b'r') => match name {
                    "range" => found.conditions = true,
                    "referer" => {}
                    _ => found.influential |= influential::is_one(name),
                },
                Some(b't') => found.announces_content |= name == "transfer-encoding",
                Some(b'u') => found.upgrade |= name == "upgrade",
                Some(b'h') => match name {
                    "host" => {
                        found.host.get_or_insert(value);
                        found.hosts = found.hosts.saturating_add(1);
                    }
                    _ => found.influential |= influential::is_one(name),
                },
                Some(b'b' | b'f' | b'x') => found.influential |= influential::is_one(name),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::validation::CLIENT_CONDITIONS;
    use http::HeaderName;

    fn of(name: &str, value: &str) -> Survey<'static> {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let headers: HeaderMap = [(name, value.parse().unwrap())].into_iter().collect();
        Survey { bytes: 0, host: None, ..Survey::of(&headers) }
    }

    #[test]
    fn what_matters_is_found() {
        let none = Survey::default();
        assert_eq!(of("Cache-Control", "a"), Survey { directives: true, ..none });
        assert_eq!(of("Pragma", "a"), Survey { directives: true, ..none });
        assert_eq!(of("Connection", "a"), Survey { connection: true, ..none });
        assert_eq!(of("Upgrade", "a"), Survey { upgrade: true, ..none });
        assert_eq!(of("CDN-Loop", "a"), Survey { cdn_loop: true, ..none });
        assert_eq!(of("Content-Type", "application/grpc+x"), Survey { is_grpc: true, ..none });
        for (name, value) in [("content-length", "1"), ("transfer-encoding", "chunked")] {
            assert_eq!(of(name, value), Survey { announces_content: true, ..none });
        }
        for name in &CLIENT_CONDITIONS {
            assert_eq!(of(name.as_str(), "a"), Survey { conditions: true, ..none });
        }
        for name in influential::NAMES {
            assert_eq!(of(name, "a"), Survey { influential: true, ..none }, "{name}");
        }
        assert_eq!(of("Host", "a"), Survey { hosts: 1, ..none });
        for (name, value) in [
            ("content-length", "0"),
            ("connection", "Keep-Alive"),
            ("connection", "close"),
            ("accept", "a"),
            ("x", "a"),
        ] {
            assert_eq!(of(name, value), none, "{name}");
        }
        let headers: HeaderMap =
            [(http::header::HOST, "abc".parse().unwrap())].into_iter().collect();
        let survey = Survey::of(&headers);
        assert_eq!((survey.bytes, survey.host), (7, headers.get("host")));
    }
}
