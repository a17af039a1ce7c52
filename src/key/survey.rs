//! What the fields of a request are about, found in one pass: a question about a field that is not there costs as much as one about a field that is.
use super::topic::{LONGEST, Place, Topic, Topics};
use http::{HeaderMap, HeaderValue};

/// Which fields a request has, as far as its way through the cache depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey<'a> {
    /// The bytes of all names and values are no more than these.
    pub(crate) at_most: usize,
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
        let topics = Topics::get();
        let mut found = Self::default();
        let mut at_most = headers.len().saturating_mul(LONGEST);
        for (name, value) in headers {
            at_most = at_most.saturating_add(value.len());
            let topic = match topics.place(name) {
                Place::Empty => continue,
                Place::Of(topic) => topic,
                Place::Other => {
                    at_most = at_most.saturating_add(name.as_str().len());
                    Topic::of(name.as_str())
                }
            };
            match topic {
                Topic::Nothing => {}
                Topic::Directives => found.directives = true,
                Topic::Condition => found.conditions = true,
                Topic::CdnLoop => found.cdn_loop = true,
                Topic::Connection => found.connection |= !is_plain(value),
                Topic::ContentLength => found.announces_content |= value != "0",
                Topic::ContentType => {
                    found.is_grpc |= value.as_bytes().starts_with(b"application/grpc");
                }
                Topic::Host => {
                    found.host.get_or_insert(value);
                    found.hosts = found.hosts.saturating_add(1);
                }
                Topic::Influential => found.influential = true,
                Topic::TransferEncoding => found.announces_content = true,
                Topic::Upgrade => found.upgrade = true,
            }
        }
        found.at_most = at_most;
        found
    }
}

/// Does `Connection` say no more than what becomes of the connection?
fn is_plain(connection: &HeaderValue) -> bool {
    let option = connection.as_bytes();
    // As nearly everybody writes it.
    option == b"keep-alive"
        || option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"close")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::influential, semantics::validation::CLIENT_CONDITIONS};
    use http::HeaderName;

    fn of(name: &str, value: &str) -> Survey<'static> {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let headers: HeaderMap = [(name, value.parse().unwrap())].into_iter().collect();
        Survey { at_most: 0, host: None, ..Survey::of(&headers) }
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
        assert_eq!(survey.host, headers.get("host"));
        assert!((7..100).contains(&survey.at_most));
    }
}
