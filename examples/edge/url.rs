//! Where an origin is.

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};

/// A scheme and an authority, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

impl OriginUrl {
    pub(crate) fn uri(&self) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        // With all three of its parts a URI is whole.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// Its own name as `Host`, without the port that goes without saying.
    pub(crate) fn host(&self) -> Option<HeaderValue> {
        let usual = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        let text = match self.authority.port_u16() {
            Some(port) if port == usual => self.authority.host(),
            _ => self.authority.as_str(),
        };
        HeaderValue::from_str(text).ok()
    }
}

/// Reads `http://host[:port]`. What is wrong with it is told without a text that may have a password.
pub(crate) fn parse(text: &str) -> Result<OriginUrl, String> {
    let wrong = |why: &str| match text.contains('@') {
        true => format!("the URL {why}"),
        false => format!("'{text}' {why}"),
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong("has no scheme: write http://host[:port] or https://host[:port]"));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return Err(wrong("has a scheme other than http and https")),
    };
    // Requests keep their own paths, so a path here could only be a prefix; refusing it is better
    // than ignoring it.
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains(['/', '?', '#']) {
        return Err(wrong("has a path or a query: only scheme, host and port are allowed"));
    }
    if host.contains('@') {
        return Err(wrong("has a user name: credentials are not allowed in it"));
    }
    let authority: Authority = host.parse().map_err(|_| wrong("has no valid host"))?;
    let port = authority.as_str().strip_prefix(authority.host());
    let port_is_good = match port {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port != 0),
        None => false,
    };
    if authority.host().is_empty() {
        return Err(wrong("has no host"));
    }
    if !port_is_good {
        return Err(wrong("has no valid port: it is a number from 1 to 65535"));
    }
    Ok(OriginUrl { scheme, authority })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_port_goes_without_saying() {
        for (url, host) in [
            ("http://a.example:80", "a.example"),
            ("http://a.example:443", "a.example:443"),
            ("https://a.example:443", "a.example"),
            ("http://[::1]:080/", "[::1]"),
            ("http://a.example", "a.example"),
        ] {
            assert_eq!(parse(url).expect(url).host().expect("a host"), host);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        for (url, authority) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("HTTP://localhost/", "localhost"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            assert_eq!(parse(url).expect(url).authority.as_str(), authority);
        }
        for (url, says) in [
            ("localhost:3000", "no scheme"),
            ("ftp://example.com", "scheme other"),
            ("http://", "no valid host"),
            ("http://example.com/app", "path"),
            ("http://example.com//", "path"),
            ("http://example.com?x=1", "query"),
            ("http://example.com/#top", "path"),
            ("http://user:secret@example.com", "user name"),
            ("http://example.com:0", "port"),
            ("http://example.com:65536", "port"),
            ("http://example.com:", "port"),
            ("http://exa mple.com", "host"),
        ] {
            let message = parse(url).expect_err(url);
            assert!(message.contains(says) && !message.contains("secret"), "{url}: {message}");
        }
    }
}
