//! The head of a request as hyper writes it.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a whole head.
pub(crate) fn fields(head: &[u8]) -> Option<HeaderMap> {
    let mut lines = head.strip_suffix(b"\r\n\r\n")?.split(|byte| *byte == b'\n');
    let _request_line = lines.next()?;
    lines.map(|line| field(line.strip_suffix(b"\r").unwrap_or(line))).collect()
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

    #[test]
    fn all_lines_are_fields() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx:\r\ny: b: c\r\n\r\n";
        let fields = fields(head).expect("a whole head");
        let lines: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(lines, [("host", &b"a"[..]), ("x", b"1"), ("x", b""), ("y", b"b: c")]);
    }

    #[test]
    fn a_head_without_fields_is_whole() {
        assert_eq!(fields(b"GET / HTTP/1.1\r\n\r\n"), Some(HeaderMap::new()));
    }

    #[test]
    fn what_is_no_whole_head_has_none() {
        for head in [&b""[..], b"GET / HTTP/1.1\r\nhost: a\r\n", b"GET /\r\nno colon\r\n\r\n"] {
            assert_eq!(fields(head), None);
        }
    }
}
