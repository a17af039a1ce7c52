//! Request fields that many applications answer by without saying so: where the client comes from, which URL it asked for "really", which method it means.
//! Nobody who browses sends them; one who attacks does, and what he gets must not be for others.
use http::{HeaderMap, HeaderValue};

pub(super) const NAMES: [&str; 39] = [
    "base-url",
    "forwarded",
    "front-end-https",
    "http-url",
    "proxy-host",
    "request-uri",
    "rsc",
    "x-backend-host",
    "x-forwarded-base",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-invoke-path",
    "x-invoke-status",
    "x-method-override",
    "x-middleware-prefetch",
    "x-middleware-subrequest",
    "x-nextjs-data",
    "x-now-route-matches",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-proxy-url",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Those of a request, in an order that does not depend on it.
pub(super) fn of(headers: &HeaderMap) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
    NAMES.iter().flat_map(|name| headers.get_all(*name).iter().map(move |value| (*name, value)))
}

pub(super) fn has_some(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_one(name.as_str()))
}

pub(super) fn remove(headers: &mut HeaderMap) {
    if has_some(headers) {
        for name in NAMES {
            headers.remove(name);
        }
    }
}

pub(super) fn is_one(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_in_small_letters() {
        assert!(NAMES.is_sorted());
        assert!(NAMES.iter().all(|name| is_one(name) && *name == name.to_ascii_lowercase()));
    }
}
