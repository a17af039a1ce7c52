//! Which stored responses the answer to an unsafe request makes invalid (RFC 9111 section 4.4).
use http::{HeaderMap, Method, StatusCode, Uri, header, uri::Scheme};

/// Unsafe is what is not known to be safe (RFC 9110 section 9.2.1).
pub(crate) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        && method.as_str() != "QUERY"
}

/// A non-error response: 2xx or 3xx.
pub(crate) fn invalidates(method: &Method, status: StatusCode) -> bool {
    is_unsafe(method) && (status.is_success() || status.is_redirection())
}

/// The URIs of the same origin that the response names beside the target.
pub(crate) fn named_uris(target: &Uri, response: &HeaderMap) -> Vec<Uri> {
    [header::LOCATION, header::CONTENT_LOCATION]
        .iter()
        .filter_map(|name| response.get(name))
        .filter_map(|value| resolve(target, value.to_str().ok()?))
        .collect()
}

/// RFC 9110 section 9.3.3: is the content of this answer to a POST what a GET of the target would give?
pub(crate) fn is_content_of(target: &Uri, response: &HeaderMap) -> bool {
    let mut lines = response.get_all(header::CONTENT_LOCATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    line.to_str().ok().and_then(|reference| resolve(target, reference)).is_some_and(|uri| {
        uri.path_and_query().map(|p| p.as_str()) == target.path_and_query().map(|p| p.as_str())
    })
}

/// RFC 3986 section 5.2, as far as it stays within the origin of `base` (absolute, with authority).
pub(crate) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    let has_scheme = reference.split_once(':').is_some_and(|(s, _)| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    let absolute = if has_scheme {
        reference.to_owned()
    } else if let Some(rest) = reference.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{reference}")
    } else if reference.is_empty() {
        return Some(base.clone());
    } else if reference.starts_with('?') {
        format!("{scheme}://{authority}{}{reference}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{reference}")
    };
    let uri: Uri = absolute.parse().ok()?;
    let same = uri.scheme_str().is_some_and(|s| s.eq_ignore_ascii_case(scheme))
        && host_and_port(&uri) == host_and_port(base);
    same.then(|| without_dots(&uri)).flatten()
}

/// RFC 9110 section 4.3.1: the host in any case, the port that is meant.
fn host_and_port(uri: &Uri) -> Option<(String, u16)> {
    let host = uri.host()?.to_ascii_lowercase();
    let default = default_port(uri.scheme());
    let host = host.strip_suffix('.').map(str::to_owned).unwrap_or(host);
    Some((host, uri.port_u16().unwrap_or(default)))
}

/// RFC 9110 sections 4.2.1 and 4.2.2.
pub(super) fn default_port(scheme: Option<&Scheme>) -> u16 {
    if scheme == Some(&Scheme::HTTPS) { 443 } else { 80 }
}

/// RFC 3986 section 5.2.4.
fn without_dots(uri: &Uri) -> Option<Uri> {
    let mut path: Vec<&str> = Vec::new();
    let mut segments = uri.path().split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    path.pop();
                }
                if is_last {
                    path.push("");
                }
            }
            other => path.push(other),
        }
    }
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    format!("{}://{}/{}{query}", uri.scheme_str()?, uri.authority()?, path.join("/")).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_4_which_answers_invalidate() {
        for (method, status, want) in [
            ("POST", 200, true),
            ("PUT", 204, true),
            ("DELETE", 303, true),
            ("M-SEARCH", 200, true),
            ("POST", 404, false),
            ("POST", 500, false),
            ("GET", 200, false),
            ("OPTIONS", 200, false),
            ("QUERY", 200, false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(invalidates(&method, status), want, "{method} {status}");
        }
    }

    #[test]
    fn s4_4_only_uris_of_the_same_origin() {
        let base: Uri = "http://a.example/x/y?z".parse().unwrap();
        for (reference, want) in [
            ("/b", Some("http://a.example/b")),
            ("b", Some("http://a.example/x/b")),
            ("../b/./c", Some("http://a.example/b/c")),
            ("", Some("http://a.example/x/y?z")),
            ("?q", Some("http://a.example/x/y?q")),
            ("http://A.example/b#f", Some("http://A.example/b")),
            ("//a.example/b", Some("http://a.example/b")),
            ("http://b.example/b", None),
            ("//b.example/b", None),
            ("https://a.example/b", None),
            ("http://a.example:81/b", None),
            ("mailto:a@a.example", None),
        ] {
            let got = resolve(&base, reference).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), want, "{reference}");
        }
    }
}
