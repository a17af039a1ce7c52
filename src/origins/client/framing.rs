//! The framing of a response (RFC 9112 section 6.3), which ends with the connection.
use crate::{DoNotStore, origins::OriginError, semantics::fields};
use http::{Method, Response, StatusCode, Version, header};
use http_body::Body;

/// Takes what was about the connection off a response, and forbids to store a body of which nobody can tell whether it is whole.
///
/// hyper has removed the coding `chunked`, but not the field. Other codings it has not removed: what nobody can read is an error.
pub(super) fn settle<B: Body>(
    response: &mut Response<B>,
    method: &Method,
) -> Result<(), OriginError> {
    if !matches!(response.version(), Version::HTTP_10 | Version::HTTP_11) {
        return Ok(());
    }
    let headers = response.headers();
    let mut codings = fields::list(headers, &header::TRANSFER_ENCODING);
    let (first, another) = (codings.next(), codings.next());
    let is_chunked = first.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let is_readable = another.is_none() && (first.is_none() || is_chunked);
    let has_length = headers.contains_key(header::CONTENT_LENGTH);
    drop(codings);
    if can_have_content(method, response.status()) {
        if !is_readable {
            return Err(OriginError::failed("transfer coding other than chunked"));
        }
        // The end of the connection is also what a fault looks like. Both fields at once may be an attempt at smuggling: the chunks count.
        if has_length == is_chunked && !response.body().is_end_stream() {
            response.extensions_mut().insert(DoNotStore);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
    }
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    Ok(())
}

/// RFC 9110 section 6.4.1.
fn can_have_content(method: &Method, status: StatusCode) -> bool {
    let never = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    *method != Method::HEAD && !status.is_informational() && !never.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;

    type Fields = [(&'static str, &'static str)];

    fn settled(method: &Method, status: u16, fields: &Fields) -> Option<Response<Full<Bytes>>> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut response = response.body(Full::from("body")).expect("a response");
        settle(&mut response, method).ok()?;
        assert!(!response.headers().contains_key(header::TRANSFER_ENCODING));
        Some(response)
    }

    fn may_be_stored(fields: &Fields) -> Option<bool> {
        let response = settled(&Method::GET, 200, fields)?;
        Some(response.extensions().get::<DoNotStore>().is_none())
    }

    #[test]
    fn rfc9112_s8_what_ends_with_the_connection_is_not_stored() {
        assert_eq!(may_be_stored(&[("content-length", "4")]), Some(true));
        assert_eq!(may_be_stored(&[("transfer-encoding", "Chunked")]), Some(true));
        assert_eq!(may_be_stored(&[]), Some(false));
        let both = [("content-length", "9"), ("transfer-encoding", "chunked")];
        assert_eq!(may_be_stored(&both), Some(false));
        let response = settled(&Method::GET, 200, &both).expect("readable");
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
    }

    #[test]
    fn rfc9112_s6_1_err_codings_that_nobody_has_removed() {
        for coding in ["gzip, chunked", "gzip", "chunked, chunked", "identity"] {
            assert_eq!(may_be_stored(&[("transfer-encoding", coding)]), None, "{coding}");
        }
    }

    #[test]
    fn rfc9110_s6_4_1_responses_without_content_have_no_framing() {
        for (method, status) in [(Method::HEAD, 200), (Method::GET, 304), (Method::GET, 204)] {
            let response = settled(&method, status, &[("transfer-encoding", "gzip")]);
            assert!(response.is_some_and(|r| r.extensions().get::<DoNotStore>().is_none()));
        }
    }
}
