//! `Max-Forwards`: how far OPTIONS and TRACE are to go (RFC 9110 §7.6.2).

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::check::Refusal;

/// Counts this hop, or gives the answer of who is the last recipient.
///
/// A field that is no number is left as it is: the origin knows better what it was meant to be.
pub(crate) fn count(head: &mut Parts) -> Result<(), Refusal> {
    if !matches!(head.method, Method::OPTIONS | Method::TRACE) {
        return Ok(());
    }
    let Some(left) = hops_left(&head.headers) else { return Ok(()) };
    match left.checked_sub(1) {
        Some(left) => {
            head.headers.insert(header::MAX_FORWARDS, HeaderValue::from(left));
            Ok(())
        }
        None if head.method == Method::OPTIONS => {
            Err((StatusCode::OK, "This is a proxy: it forwards all methods but CONNECT.\n"))
        }
        // A request has credentials of which a reflection would tell scripts.
        None => Err((StatusCode::NOT_IMPLEMENTED, "Requests are not reflected here.\n")),
    }
}

/// The smallest number of all lines; what is too large counts as the largest that there is.
fn hops_left(headers: &HeaderMap) -> Option<u32> {
    let mut least = None;
    for line in headers.get_all(header::MAX_FORWARDS) {
        let text = line.to_str().ok()?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = text.parse().unwrap_or(u32::MAX);
        least = Some(least.unwrap_or(number).min(number));
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    /// What is left of `values` after this hop, or the status of the answer.
    fn counted(method: &str, values: &[&str]) -> Result<Vec<String>, u16> {
        let mut request = Request::builder().method(method);
        for value in values {
            request = request.header(header::MAX_FORWARDS, *value);
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        count(&mut head).map_err(|(status, _)| status.as_u16())?;
        let lines = head.headers.get_all(header::MAX_FORWARDS).iter();
        Ok(lines.map(|line| line.to_str().expect("text").to_owned()).collect())
    }

    #[test]
    fn each_hop_counts() {
        for method in ["OPTIONS", "TRACE"] {
            assert_eq!(counted(method, &["5"]), Ok(vec!["4".to_owned()]));
            assert_eq!(counted(method, &["7", "01"]), Ok(vec!["0".to_owned()]));
            let largest = (u32::MAX - 1).to_string();
            assert_eq!(counted(method, &["99999999999999999999"]), Ok(vec![largest]));
        }
    }

    #[test]
    fn the_last_one_answers() {
        assert_eq!(counted("OPTIONS", &["0"]), Err(200));
        assert_eq!(counted("TRACE", &["000"]), Err(501));
    }

    #[test]
    fn other_methods_and_what_is_no_number_pass() {
        for method in ["GET", "POST", "BREW"] {
            assert_eq!(counted(method, &["0"]), Ok(vec!["0".to_owned()]));
        }
        assert_eq!(counted("OPTIONS", &[]), Ok(Vec::new()));
        for value in ["", "-1", "+1", "1.0", "one"] {
            assert_eq!(counted("OPTIONS", &[value]), Ok(vec![value.to_owned()]));
        }
    }
}
