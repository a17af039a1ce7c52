//! The head of a request as hyper writes it.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The fields of a head that begins with this request line, whole and with a `Host`. What is left of a
/// longer head may look like one.
pub(crate) fn fields(head: &[u8], request_line: &str) -> Option<HeaderMap> {
    let lines = head.strip_prefix(request_line.as_bytes())?.strip_prefix(b"\r\n")?;
    let lines = lines.strip_suffix(b"\r\n")?.split_inclusive(|byte| *byte == b'\n');
    let fields: HeaderMap =
        lines.map(|line| field(line.strip_suffix(b"\r\n")?)).collect::<Option<_>>()?;
    fields.contains_key(header::HOST).then_some(fields)
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let name = HeaderName::from_bytes(name).ok()?;
    Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "GET /?a HTTP/1.1";

    #[test]
    fn all_lines_are_fields() {
        let head = b"GET /?a HTTP/1.1\r\nhost: a\r\nx: 1\r\nx:\r\ny: b: c\r\n\r\n";
        let fields = fields(head, LINE).expect("a whole head");
        let lines: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(lines, [("host", &b"a"[..]), ("x", b"1"), ("x", b""), ("y", b"b: c")]);
    }

    #[test]
    fn what_is_no_whole_head_of_this_request_has_none() {
        for head in [
            "",
            "GET /?a HTTP/1.1\r\n\r\n",
            "GET /?a HTTP/1.1\r\nhost: a\r\n",
            "GET /?a HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
            "GET /?b HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /?a HTTP/1.1\r\nhost: a\r\n\r\n",
            "the end of a value HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            assert_eq!(fields(head.as_bytes(), LINE), None, "{head:?}");
        }
    }
}
