//! Which content codings a request accepts (RFC 9110 section 12.5.3), in a form in which equal means "selects the same".
use super::{fields, selecting};
use http::{HeaderMap, header};
use std::sync::LazyLock;

/// What origins look at: whether `br` or `gzip` is accepted. Other codings keep their names, in order. The marks are bytes that no token has, and what is
/// between the codings is in no value, so that no two requests that differ here give the same.
pub(super) fn accepted(request: &HeaderMap) -> Vec<u8> {
    let mut accepted: Vec<Vec<u8>> = fields::list(request, &header::ACCEPT_ENCODING)
        .filter_map(|member| {
            let (coding, weight) = member.split_at(fields::token_len(member));
            // Whatever the syntax does not know is kept as it is: an origin may read it otherwise.
            if coding.is_empty() || selecting::thousandths(weight).is_none() {
                return Some([b"?", member].concat());
            }
            let coding = coding.to_ascii_lowercase();
            // "identity" is always there unless it is refused.
            let said = if is_zero_weight(weight) {
                [b"(", coding.as_slice()].concat()
            } else {
                if coding == b"identity" {
                    return None;
                }
                coding
            };
            Some(said)
        })
        .collect();
    accepted.sort_unstable();
    accepted.dedup();
    accepted.join(&b'\n')
}

/// Those that are registered and in use, in the order that the form has.
const KNOWN: [&str; 7] = ["br", "compress", "dcb", "dcz", "deflate", "gzip", "zstd"];

/// The same form for a line of such codings without weights, as nearly all clients send it: made before, one for each set of them.
pub(super) fn usual(line: &[u8]) -> Option<&'static [u8]> {
    static FORMS: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| (0..1 << KNOWN.len()).map(form_of).collect());
    let mut set = 0;
    for member in line.split(|byte| *byte == b',') {
        set |= match fields::trim(member) {
            b"" => 0,
            b"br" => 1,
            b"compress" => 1 << 1,
            b"dcb" => 1 << 2,
            b"dcz" => 1 << 3,
            b"deflate" => 1 << 4,
            b"gzip" => 1 << 5,
            b"zstd" => 1 << 6,
            _ => return None,
        };
    }
    FORMS.get(set).map(Vec::as_slice)
}

/// Of the codings whose bits are set.
fn form_of(set: usize) -> Vec<u8> {
    let is_in = |at: usize| set & 1 << at != 0;
    let codings: Vec<_> =
        (0..).zip(KNOWN).filter(|(at, _)| is_in(*at)).map(|(_, name)| name.as_bytes()).collect();
    codings.join(&b'\n')
}

/// RFC 9110 section 12.4.2: a weight of zero refuses.
fn is_zero_weight(parameters: &[u8]) -> bool {
    let Some(weight) = parameters.split(|b| *b == b';').map(fields::trim).find_map(|parameter| {
        parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))
    }) else {
        return false;
    };
    weight.first() == Some(&b'0') && weight.iter().all(|b| matches!(b, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn in_full(line: &[u8]) -> Vec<u8> {
        let value = HeaderValue::from_bytes(line).unwrap();
        accepted(&[(header::ACCEPT_ENCODING, value)].into_iter().collect())
    }

    #[test]
    fn each_coding_has_its_bit() {
        for name in KNOWN {
            assert_eq!(usual(name.as_bytes()), Some(name.as_bytes()));
        }
        let all = KNOWN.map(str::as_bytes).join(&b',');
        assert_eq!(usual(&all), Some(KNOWN.map(str::as_bytes).join(&b'\n').as_slice()));
        assert_eq!(usual(b""), Some(b"".as_slice()));
        for other in ["gzip;q=1", "Gzip", "identity", "*", "gzip br", "\"br\""] {
            assert_eq!(usual(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_was_made_before_is_what_would_be_made(line in "((br|compress|dcb|dcz|deflate|gzip|zstd|x)?[, \t]{0,3}){0,9}") {
            if let Some(form) = usual(line.as_bytes()) {
                prop_assert_eq!(form, in_full(line.as_bytes()));
            }
        }
    }
}
