//! What is asked.
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::Empty;

pub(crate) type Ask = Request<Empty<Bytes>>;

/// What a browser sends for a script of a page: ten fields.
const FIELDS: [(&str, &str); 10] = [
    ("host", "www.example.com"),
    ("connection", "keep-alive"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("referer", "https://www.example.com/articles/2025/a-page-with-a-name"),
    ("cookie", "consent=yes; session=0123456789abcdef0123456789abcdef"),
    ("sec-fetch-dest", "script"),
    ("sec-fetch-mode", "no-cors"),
];

/// A GET for this path and query, with the fields of a browser.
pub(crate) fn browser(target: &str) -> Ask {
    let target = Bytes::from(target.to_owned());
    // As a server has it: a piece of a buffer that is shared already. The first clone is what makes it so.
    drop(target.clone());
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_maybe_shared(target).expect("a path");
    for (name, value) in FIELDS {
        let name = HeaderName::from_static(name);
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

/// The same with one field more.
pub(crate) fn browser_with(target: &str, name: HeaderName, value: &str) -> Ask {
    let mut request = browser(target);
    request.headers_mut().insert(name, value.parse().expect("a value"));
    request
}
