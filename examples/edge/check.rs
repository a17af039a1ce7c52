//! Requests that must not go further (RFC 9112 §3.2, §6.1), and the one Host of those that may.
//!
//! hyper's server refuses by itself: a malformed request line or field, `Transfer-Encoding` in
//! HTTP/1.0 or with a last coding other than chunked, a `Content-Length` that is no number or that
//! differs from another one. Beside a `Transfer-Encoding` it drops `Content-Length` and closes the
//! connection after the response. What it leaves to the service is here.

use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Version};

use crate::hop;

/// What 255 octets of a name (RFC 1035 §2.3.4) are as text, with a port.
const LONGEST_PLAIN_HOST: usize = 253 + ":65535".len();

/// The status and the text of an answer that is given here.
pub(crate) type Refusal = (StatusCode, &'static str);

const fn bad(text: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, text)
}

/// Checks the head of a request, makes its `Host` the authority of an absolute-form target or of
/// HTTP/2's `:authority` (RFC 9112 §3.2.2, RFC 9113 §8.3.1), and joins what HTTP/2 may split. The
/// target stays as it came.
pub(crate) fn admit(head: &mut Parts) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err((StatusCode::NOT_IMPLEMENTED, "This is no tunnel: CONNECT is not served.\n"));
    }
    check_target(head)?;
    if !hop::is_only_chunked(&head.headers) {
        return Err((StatusCode::NOT_IMPLEMENTED, "Unknown transfer coding.\n"));
    }
    check_host(head)?;
    if let Some(authority) = head.uri.authority() {
        let host = authority.as_str();
        // An authority has only characters that a field value may have.
        let host = HeaderValue::from_str(host).map_err(|_| bad("Malformed authority.\n"))?;
        head.headers.insert(header::HOST, host);
    }
    join_cookies(head);
    Ok(())
}

/// HTTP/2 may have its cookies in several lines, which are one line everywhere else (RFC 9113 §8.2.3).
fn join_cookies(head: &mut Parts) {
    if head.version != Version::HTTP_2 {
        return;
    }
    let lines = head.headers.get_all(header::COOKIE);
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    // What stands between two values may stand in a value.
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        head.headers.insert(header::COOKIE, joined);
    }
}

fn check_target(head: &Parts) -> Result<(), Refusal> {
    let uri = &head.uri;
    if uri.authority().is_some() && uri.scheme().is_none() {
        return Err(bad("A target that is only an authority is for CONNECT.\n"));
    }
    if uri.path() == "*" && head.method != Method::OPTIONS {
        return Err(bad("The target * is for OPTIONS.\n"));
    }
    if uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Err(bad("Malformed authority.\n"));
    }
    Ok(())
}

fn check_host(head: &Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(bad("More than one Host.\n")),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(bad("Malformed Host.\n")),
        (None, None) => match head.version {
            // HTTP/1.0 may go without.
            Version::HTTP_09 | Version::HTTP_10 => Ok(()),
            Version::HTTP_2 if head.uri.authority().is_some() => Ok(()),
            _ => Err(bad("No Host.\n")),
        },
    }
}

/// Whether `text` is `uri-host [ ":" port ]` (RFC 9110 §7.2) with a host.
fn is_host(text: &[u8]) -> bool {
    if is_plain_host(text) {
        return true;
    }
    let Ok(authority) = Authority::try_from(text) else { return false };
    let port = authority.as_str().strip_prefix(authority.host());
    let port = port.map(|port| port.strip_prefix(':').unwrap_or(port));
    // A user name stands before the host, so that the host is no prefix then.
    !authority.host().is_empty()
        && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `text` is made like a DNS name or an IPv4 address, with or without a port. Nearly all are,
/// and need no parser of all that may stand there.
fn is_plain_host(text: &[u8]) -> bool {
    let end = text
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-'));
    let (host, port) = text.split_at(end.unwrap_or(text.len()));
    let is_port = match port {
        [] => true,
        [colon, digits @ ..] => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_port && !host.is_empty() && text.len() <= LONGEST_PLAIN_HOST
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn admitted(request: hyper::http::request::Builder) -> Result<Parts, StatusCode> {
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        admit(&mut head).map_err(|(status, _)| status)?;
        Ok(head)
    }

    fn get(target: &str) -> hyper::http::request::Builder {
        Request::get(target)
    }

    #[test]
    fn there_is_one_host() {
        assert!(admitted(get("/").header("host", "example.com:8080")).is_ok());
        assert!(admitted(get("/").header("host", "[::1]:8080")).is_ok());
        assert!(admitted(get("/").version(Version::HTTP_10)).is_ok());
        for request in [
            get("/"),
            get("http://example.com/"),
            get("/").header("host", "a").header("host", "a"),
            get("/").header("host", ""),
            get("/").header("host", ":80"),
            get("/").header("host", "a b"),
            get("/").header("host", "a/b"),
            get("/").header("host", "user@a"),
            get("/").header("host", "a:b"),
            get("/").version(Version::HTTP_2),
        ] {
            assert_eq!(admitted(request).map(|_| ()), Err(StatusCode::BAD_REQUEST));
        }
    }

    #[test]
    fn the_authority_of_the_target_wins() {
        let head = admitted(get("http://a.example:81/x").header("host", "b.example")).expect("ok");
        assert_eq!(head.headers[header::HOST], "a.example:81");
        assert_eq!(head.uri, "http://a.example:81/x");
        let head = admitted(get("http://a.example/").version(Version::HTTP_2)).expect("ok");
        assert_eq!(head.headers[header::HOST], "a.example");
    }

    #[test]
    fn only_http_2_has_cookies_in_several_lines() {
        let cookies = |version, lines: &[&str]| {
            let request = get("http://a.example/").header("host", "a.example").version(version);
            let request =
                lines.iter().fold(request, |request, line| request.header("cookie", *line));
            let head = admitted(request).expect("ok");
            head.headers.get_all("cookie").iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(cookies(Version::HTTP_2, &[]), [""; 0]);
        assert_eq!(cookies(Version::HTTP_2, &["a=1; b=2"]), ["a=1; b=2"]);
        assert_eq!(cookies(Version::HTTP_2, &["a=1", "b=2", "c"]), ["a=1; b=2; c"]);
        assert_eq!(cookies(Version::HTTP_11, &["a=1", "b=2"]), ["a=1", "b=2"]);
    }

    #[test]
    fn targets_fit_their_methods() {
        let host = |method: &str, target: &str| {
            admitted(Request::builder().method(method).uri(target).header("host", "a"))
                .map(|_| ())
                .map_err(|status| status.as_u16())
        };
        assert_eq!(host("OPTIONS", "*"), Ok(()));
        assert_eq!(host("BREW", "/pot"), Ok(()));
        assert_eq!(host("GET", "*"), Err(400));
        assert_eq!(host("GET", "a:80"), Err(400));
        assert_eq!(host("CONNECT", "a:80"), Err(501));
        assert_eq!(host("GET", "http://user@a/"), Err(400));
    }

    #[test]
    fn a_transfer_coding_other_than_chunked_is_not_known() {
        let with =
            |value| admitted(get("/").header("host", "a").header("transfer-encoding", value));
        assert!(with("chunked").is_ok());
        assert_eq!(with("gzip, chunked").map(|_| ()), Err(StatusCode::NOT_IMPLEMENTED));
    }
}
