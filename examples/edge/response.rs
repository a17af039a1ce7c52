//! The framing of a response from the origin (RFC 9112 §6.3), before the cache sees it.

use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode, Version};
use tower_cdn::DoNotStore;

use crate::hop;

/// A response that cannot be passed on, and why.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) &'static str);

/// Which bodies of HTTP/1 responses may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Those whose end is proven by a length or by chunks.
    Proven,
    /// All: the end of the connection is an end too (RFC 9112 §8), also behind a transfer coding
    /// that nobody knows.
    AsSent,
}

/// Takes the framing of the origin's connection off `response`, and forbids to store a body whose
/// end cannot be proven, unless `framing` permits it.
pub(crate) fn settle<B: Body>(
    response: &mut Response<B>,
    method: &Method,
    framing: Framing,
) -> Result<(), Unusable> {
    // HTTP/2 frames bodies itself.
    if !matches!(response.version(), Version::HTTP_10 | Version::HTTP_11) {
        return Ok(());
    }
    let headers = response.headers();
    let has_coding = headers.contains_key(header::TRANSFER_ENCODING);
    if !has_coding && has_plain_length(headers) {
        return Ok(());
    }
    let has_length = headers.contains_key(header::CONTENT_LENGTH);
    let has_body = can_have_body(method, response.status());

    // The field stays in hyper's responses, though the coding chunked is gone from the body. Others
    // are not gone, and without the field the client could not know of them.
    let is_chunked_last = hop::tokens(headers, &header::TRANSFER_ENCODING)
        .last()
        .is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let is_taken_as_sent = framing == Framing::AsSent && !is_chunked_last;
    if has_body && !hop::is_only_chunked(headers) && !is_taken_as_sent {
        return Err(Unusable("transfer coding other than chunked"));
    }
    let chunked = has_coding && has_body && !is_taken_as_sent;
    // Without a length and without chunks the body ends when the connection does, which is also
    // what a fault looks like.
    let until_close = has_body && !has_length && !chunked && !response.body().is_end_stream();
    // Both at once may be an attempt at smuggling (RFC 9112 §6.3): chunked is what counts.
    let ambiguous = has_length && has_coding;

    if (until_close && framing == Framing::Proven) || ambiguous {
        response.extensions_mut().insert(DoNotStore);
    }
    if ambiguous {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    } else {
        one_length(response.headers_mut())?;
    }
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    Ok(())
}

/// Whether there is one length, which is a number: the usual case, in which there is nothing to do.
fn has_plain_length(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => !line.is_empty() && line.as_bytes().iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Makes one of a length that is there several times, in lines or in a list (RFC 9110 §8.6).
fn one_length(headers: &mut HeaderMap) -> Result<(), Unusable> {
    let mut lengths = hop::tokens(headers, &header::CONTENT_LENGTH);
    let Some(first) = lengths.next() else { return Ok(()) };
    if !lengths.all(|other| other == first) {
        return Err(Unusable("lengths that differ"));
    }
    let length = HeaderValue::from_bytes(first).map_err(|_| Unusable("malformed length"))?;
    drop(lengths);
    headers.insert(header::CONTENT_LENGTH, length);
    Ok(())
}

fn can_have_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD
        && !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;

    type Fields = [(&'static str, &'static str)];

    fn settled(
        method: &Method,
        status: u16,
        fields: &Fields,
    ) -> Result<Response<Full<Bytes>>, Unusable> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut response = response.body(Full::from("body")).expect("a response");
        settle(&mut response, method, Framing::Proven)?;
        assert!(!response.headers().contains_key(header::TRANSFER_ENCODING));
        Ok(response)
    }

    fn storable(method: &Method, status: u16, fields: &Fields) -> bool {
        let response = settled(method, status, fields).expect("a usable response");
        response.extensions().get::<DoNotStore>().is_none()
    }

    #[test]
    fn an_end_that_cannot_be_proven_is_not_stored() {
        assert!(!storable(&Method::GET, 200, &[]));
        assert!(storable(&Method::GET, 200, &[("content-length", "4")]));
        assert!(storable(&Method::GET, 200, &[("transfer-encoding", "chunked")]));
    }

    #[test]
    fn what_has_no_body_has_an_end() {
        assert!(storable(&Method::HEAD, 200, &[]));
        assert!(storable(&Method::GET, 204, &[]));
        assert!(storable(&Method::GET, 304, &[]));
    }

    #[test]
    fn http_2_proves_its_ends() {
        let mut response = Response::new(Full::<Bytes>::from("body"));
        *response.version_mut() = Version::HTTP_2;
        settle(&mut response, &Method::GET, Framing::Proven).expect("usable");
        assert!(response.extensions().get::<DoNotStore>().is_none());
    }

    #[test]
    fn a_length_beside_chunks_does_not_pass() {
        let response = settled(
            &Method::GET,
            200,
            &[("content-length", "99"), ("transfer-encoding", "chunked")],
        )
        .expect("a usable response");
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        assert!(response.extensions().get::<DoNotStore>().is_some());
    }

    #[test]
    fn a_length_is_told_once() {
        for fields in
            [&[("content-length", "4"), ("content-length", "4")][..], &[("content-length", "4, 4")]]
        {
            let response = settled(&Method::GET, 200, fields).expect("a usable response");
            let lengths = response.headers().get_all(header::CONTENT_LENGTH);
            assert_eq!(lengths.iter().collect::<Vec<_>>(), ["4"]);
        }
        assert!(settled(&Method::HEAD, 200, &[("content-length", "4, 5")]).is_err());
    }

    #[test]
    fn as_sent_the_end_of_the_connection_is_an_end() {
        for (coding, is_usable) in [(None, true), (Some("x"), true), (Some("x, chunked"), false)] {
            let mut response = Response::new(Full::<Bytes>::from("body"));
            if let Some(coding) = coding {
                let value = HeaderValue::from_static(coding);
                response.headers_mut().insert(header::TRANSFER_ENCODING, value);
            }
            let settled = settle(&mut response, &Method::GET, Framing::AsSent);
            assert_eq!(settled.is_ok(), is_usable, "{coding:?}");
            assert!(response.extensions().get::<DoNotStore>().is_none());
        }
    }

    #[test]
    fn other_codings_are_refused() {
        for value in ["gzip", "gzip, chunked", "identity"] {
            assert!(settled(&Method::GET, 200, &[("transfer-encoding", value)]).is_err());
        }
    }
}
