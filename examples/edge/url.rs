//! Where an origin is.

use hyper::http::uri::{Authority, Scheme};

/// A scheme and an authority, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
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
