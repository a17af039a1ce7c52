//! The head of a request on its way to an origin.
use crate::{origins::OriginError, semantics::fields};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;

/// Where the origin is.
#[derive(Debug)]
pub(super) struct Target {
    scheme: Scheme,
    authority: Authority,
    keep_host: bool,
}

/// Fields about one connection, beside those that `Connection` lists (RFC 9110 section 7.6.1).
const ABOUT_THE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Target {
    pub(super) fn new(origin: Uri, keep_host: bool) -> Result<Self, OriginError> {
        let parts = origin.clone().into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if !authority.host().is_empty() => {
                Ok(Self { scheme, authority, keep_host })
            }
            _ => Err(OriginError::unusable(origin)),
        }
    }

    /// Points a request at the origin, without what was for the client's connection.
    pub(super) fn address(&self, head: &mut Parts) {
        clean(&mut head.headers);
        // The authority of an absolute target wins (RFC 9112 section 3.2.2), as in the key.
        let named = || match head.uri.authority() {
            Some(authority) => host(authority),
            None => head.headers.get(header::HOST).cloned(),
        };
        let kept = if self.keep_host { named() } else { None };
        let host = kept.or_else(|| host(&self.authority));
        if let Some(host) = host {
            head.headers.insert(header::HOST, host);
        }
        let path = head.uri.path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // With all three of its parts a URI is whole.
        head.uri = Uri::from_parts(parts).unwrap_or_default();
        head.version = Version::HTTP_11;
        // Nothing that was left there for the client's connection is for this one.
        head.extensions.clear();
    }
}

/// Without a user name, which is nobody's business but the sender's (RFC 9110 section 4.2.4).
fn host(authority: &Authority) -> Option<HeaderValue> {
    let host = authority.as_str().rsplit('@').next()?;
    HeaderValue::from_str(host).ok()
}

fn clean(headers: &mut HeaderMap) {
    let listed: Vec<_> = fields::list(headers, &header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !fields::END_TO_END.contains(name))
        .collect();
    for name in listed.iter().chain(&ABOUT_THE_CONNECTION) {
        headers.remove(name);
    }
}

/// Says how a body of unknown length is framed. hyper does so by itself, but not for GET and HEAD, whose bodies it would drop.
pub(super) fn frame(head: &mut Parts, body: &impl Body) {
    let is_known = head.headers.contains_key(header::CONTENT_LENGTH)
        || body.is_end_stream()
        || body.size_hint().exact().is_some();
    if !is_known {
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn sent(target: &Target, request: http::request::Builder) -> Parts {
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        target.address(&mut head);
        head
    }

    #[test]
    fn the_target_is_the_origin_and_the_host_its_name() {
        let origin = || Uri::from_static("http://origin:81/ignored");
        let target = Target::new(origin(), false).expect("an origin");
        let head = sent(&target, Request::get("/a?b").header("host", "www.example.com"));
        assert_eq!(
            (head.uri.to_string().as_str(), &head.headers["host"]),
            ("http://origin:81/a?b", &HeaderValue::from_static("origin:81"))
        );
        let keeping = Target::new(origin(), true).expect("an origin");
        let head = sent(&keeping, Request::get("/a?b").header("host", "www.example.com"));
        assert_eq!(head.headers["host"], "www.example.com");
        let head = sent(&keeping, Request::get("http://www.example.com/"));
        assert_eq!(head.headers["host"], "www.example.com");
        let both = Request::get("http://u@a.example:82/").header("host", "b.example");
        assert_eq!(sent(&keeping, both).headers["host"], "a.example:82");
        assert_eq!(sent(&keeping, Request::get("/")).headers["host"], "origin:81");
        for unusable in ["/a", "origin:81"] {
            assert!(Target::new(Uri::from_static(unusable), false).is_err(), "{unusable}");
        }
    }

    #[test]
    fn what_is_for_one_connection_stays_there() {
        let target = Target::new(Uri::from_static("http://a"), false).expect("an origin");
        let request = Request::get("/")
            .header("connection", "x-own, authorization, Keep-Alive, upgrade, CDN-Loop, pragma")
            .header("cdn-loop", "edge")
            .header("pragma", "no-cache")
            .header("authorization", "Basic YTpi")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "websocket")
            .header("x-own", "1")
            .header("x-other", "1");
        let head = sent(&target, request);
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "cdn-loop", "host", "pragma", "x-other"]);
    }
}
