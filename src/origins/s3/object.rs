//! From the path and the query of a request to those of an object, in the one form in which they are signed.
use super::S3Bucket;

/// Why a path names no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAnObject {
    /// It is not well encoded, or it climbs.
    Malformed,
    /// It is empty.
    Nothing,
}

/// The object's name, encoded as S3 signs it: everything but unreserved characters and slashes (RFC 3986 section 2.3), in upper case.
pub(super) fn path(path: &str, bucket: &S3Bucket) -> Result<String, NotAnObject> {
    let mut name = decoded(path.strip_prefix('/').unwrap_or(path)).ok_or(NotAnObject::Malformed)?;
    if climbs(bucket.prefix.as_bytes(), &name) {
        return Err(NotAnObject::Malformed);
    }
    if let Some(index) = &bucket.index
        && name.last().is_none_or(|last| *last == b'/')
    {
        name.extend_from_slice(index.as_bytes());
    }
    if name.is_empty() {
        return Err(NotAnObject::Nothing);
    }
    let mut text = encoded(bucket.prefix.as_bytes(), true);
    text.push_str(&encoded(&name, true));
    Ok(text)
}

/// The parameters that are handed on, each encoded again, with the question mark if there are any.
pub(super) fn query(query: Option<&str>, bucket: &S3Bucket) -> String {
    let mut text = String::new();
    if bucket.query.is_empty() {
        return text;
    }
    for parameter in query.unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        // In a query, a plus sign is a space.
        let [name, value] = [name, value].map(|part| decoded(&part.replace('+', " ")));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if bucket.query.iter().any(|known| known.as_bytes() == name) {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(&encoded(&name, false));
            text.push('=');
            text.push_str(&encoded(&value, false));
        }
    }
    text
}

/// Without percent-encoding; `None` if it is not well-formed.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            u8::try_from(high << 4 | low).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

fn encoded(bytes: &[u8], is_path: bool) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && byte == b'/') {
            text.push(char::from(byte));
        } else {
            text.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    text
}

/// Would a server that resolves `..` leave what begins with the prefix? S3 does not resolve it, others may.
fn climbs(prefix: &[u8], name: &[u8]) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let mut segments = name.split(is_separator);
    // A prefix that ends within a name has a part of the first segment, and whoever leaves that one leaves the prefix.
    let own = prefix.rsplit(is_separator).next().unwrap_or_default();
    if !own.is_empty()
        && let Some(first) = segments.next()
        && (first == b".." || [own, first].concat() == b"..")
    {
        return true;
    }
    let mut depth = 0_usize;
    for segment in segments {
        match segment {
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            b"." | b"" => {}
            _ => depth = depth.saturating_add(1),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> S3Bucket {
        S3Bucket::new("b", "r")
    }

    #[test]
    fn ok_paths() {
        for (asked, sent) in [
            ("/a", "a"),
            ("/a/b.txt", "a/b.txt"),
            ("/a%20b", "a%20b"),
            ("/a+b", "a%2Bb"),
            ("/a%2Bb", "a%2Bb"),
            ("/a%2Fb", "a/b"),
            ("/a%2fb", "a/b"),
            ("/a%252Fb", "a%252Fb"),
            ("//a", "/a"),
            ("/a//b/", "a//b/"),
            ("/%C3%BC", "%C3%BC"),
            ("/%c3%bc", "%C3%BC"),
            ("/%61", "a"),
            ("/~a-b_c.d", "~a-b_c.d"),
            ("/a=b&c;d:e@f!g$h'i(j)k*l,m", "a%3Db%26c%3Bd%3Ae%40f%21g%24h%27i%28j%29k%2Al%2Cm"),
            ("/a%3Fb%23c", "a%3Fb%23c"),
            ("/a/../b", "a/../b"),
            ("/a/./b", "a/./b"),
            ("/...", "..."),
            ("/%00", "%00"),
        ] {
            assert_eq!(path(asked, &bucket()).as_deref(), Ok(sent), "{asked}");
        }
    }

    #[test]
    fn err_paths() {
        for malformed in [
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "/..%2fa",
            "/a//../../b",
            "/..%5ca",
        ] {
            assert_eq!(path(malformed, &bucket()), Err(NotAnObject::Malformed), "{malformed}");
        }
        assert_eq!(path("/", &bucket()), Err(NotAnObject::Nothing));
    }

    #[test]
    fn prefix_and_index() {
        let site = bucket().prefix("my site/").index("index.html");
        assert_eq!(path("/", &site).as_deref(), Ok("my%20site/index.html"));
        assert_eq!(path("/a/", &site).as_deref(), Ok("my%20site/a/index.html"));
        assert_eq!(path("/a", &site).as_deref(), Ok("my%20site/a"));
        assert_eq!(path("/../other", &site), Err(NotAnObject::Malformed));
        let releases = bucket().prefix("site/v1-");
        assert_eq!(path("/a/b", &releases).as_deref(), Ok("site/v1-a/b"));
        assert_eq!(path("/a/b/../c", &releases).as_deref(), Ok("site/v1-a/b/../c"));
        for climbing in ["/a/../v2-a", "/a/b/../../v2-a", "/../v2-a", "/%5c..%5cv2-a", "//../v2-a"]
        {
            assert_eq!(path(climbing, &releases), Err(NotAnObject::Malformed), "{climbing}");
        }
        let hidden = bucket().prefix("site/.");
        assert_eq!(path("/a", &hidden).as_deref(), Ok("site/.a"));
        assert_eq!(path("/./other", &hidden), Err(NotAnObject::Malformed));
        // Without an index the prefix alone names nothing.
        assert_eq!(path("/", &bucket().prefix("site/")), Err(NotAnObject::Nothing));
    }

    #[test]
    fn queries() {
        let none = query(Some("versionId=1&acl"), &bucket());
        assert_eq!(none, "");
        let some = bucket().query(["versionId", "response-content-type"]);
        let sent = |text| query(Some(text), &some);
        assert_eq!(sent("acl&versionId=a/b&uploads="), "?versionId=a%2Fb");
        assert_eq!(
            sent("response-content-type=a+b%2Bc&versionId"),
            "?response-content-type=a%20b%2Bc&versionId="
        );
        assert_eq!(sent("version%49d=1"), "?versionId=1");
        assert_eq!(sent("versionId=%zz"), "");
        assert_eq!(query(None, &some), "");
    }
}
