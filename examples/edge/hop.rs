//! Fields that belong to one connection (RFC 9110 §7.6.1).
//!
//! They are removed from requests on the way to the origin, inside the cache, and from responses on
//! the way to the client, outside the cache: the cache is to see the origin's `Connection` field.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{StatusCode, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Fields for all recipients. Naming one of them in `Connection` is an error of the sender (RFC 9110
/// §7.6.1: MUST NOT), and obeying it would let a client cut, say, `Authorization` out of a request.
/// The crate has the same list.
static END_TO_END: [HeaderName; 32] = [
    header::ACCEPT_ENCODING,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    HeaderName::from_static("cdn-loop"),
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPECT,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
    header::WWW_AUTHENTICATE,
];

/// Makes the fields of a client's request fit for the next connection, and says whether the request
/// asks for an upgrade.
pub(crate) fn clean_request(headers: &mut HeaderMap, version: Version) -> bool {
    if is_clean(headers) {
        return false;
    }
    let options = connection_options(headers);
    // Only HTTP/1.1 can upgrade (RFC 9110 §7.8), and only when `Connection` says so too.
    let protocols = if version == Version::HTTP_11 && options.contains(&header::UPGRADE) {
        upgrade_protocols(headers)
    } else {
        None
    };
    let trailers =
        tokens(headers, &header::TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));

    remove(headers, &options);
    headers.remove(header::TE);
    headers.remove(HTTP2_SETTINGS);

    // A sender of `TE` lists it (RFC 9110 §10.1.4). HTTP/2 has no `Connection` field.
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let upgrade = protocols.is_some();
    if let Some(protocols) = protocols {
        headers.insert(header::UPGRADE, protocols);
        headers.append(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    upgrade
}

/// Makes the fields of a response fit for the client's connection.
pub(crate) fn clean_response(headers: &mut HeaderMap, status: StatusCode) {
    if is_clean(headers) {
        return;
    }
    let options = connection_options(headers);
    // 101 is the upgrade, and 426 has to say what to upgrade to (RFC 9110 §15.5.22).
    let protocols = match status {
        StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED => {
            headers.get(header::UPGRADE).cloned()
        }
        _ => None,
    };
    remove(headers, &options);
    if let Some(protocols) = protocols {
        headers.insert(header::UPGRADE, protocols);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Whether there is no field at all that is removed or changed here, as in most heads: one pass over
/// the names costs less than to look each of these up. What `Connection` lists needs `Connection`.
fn is_clean(headers: &HeaderMap) -> bool {
    !headers.keys().any(|name| {
        matches!(
            name.as_str(),
            "connection"
                | "http2-settings"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "transfer-encoding"
                | "upgrade"
        )
    })
}

/// The members of a comma-separated field, without the white space around them.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Whether there is no transfer coding but chunked, the one that hyper takes off.
pub(crate) fn is_only_chunked(headers: &HeaderMap) -> bool {
    // Most heads have none, and one look-up tells.
    !headers.contains_key(header::TRANSFER_ENCODING)
        || tokens(headers, &header::TRANSFER_ENCODING)
            .all(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &header::CONNECTION)
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

fn remove(headers: &mut HeaderMap, options: &[HeaderName]) {
    for option in options.iter().filter(|option| !END_TO_END.contains(option)) {
        headers.remove(option);
    }
    for name in [
        header::CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// The protocols an `Upgrade` field offers, less `h2c`: that upgrade is gone from HTTP/2 (RFC 9113
/// §3.1), and in a tunnel it would carry requests past this proxy unseen.
fn upgrade_protocols(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered: Vec<&[u8]> = tokens(headers, &header::UPGRADE)
        .filter(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
        .collect();
    if offered.is_empty() {
        return None;
    }
    // Parts of field values joined by a comma are a field value again.
    HeaderValue::from_bytes(&offered.join(&b", "[..])).ok()
}

#[cfg(test)]
#[path = "hop_tests.rs"]
mod tests;
