//! `host[:port]`, as a key has it.
use super::target::NoKey;
use http::HeaderValue;

/// `host[:port]`, taken apart.
pub(super) struct Authority<'a> {
    /// Without the dot of the root; an IPv6 address is in brackets.
    pub(super) host: &'a [u8],
    /// Empty if none is named.
    pub(super) port: &'a [u8],
    pub(super) has_capitals: bool,
}

impl<'a> Authority<'a> {
    pub(super) fn read(authority: &'a [u8]) -> Option<Self> {
        let seen = authority.iter().fold(0, |seen, byte| seen | HOST_BYTES[usize::from(*byte)]);
        if seen & NEVER != 0 {
            return None;
        }
        let is_plain = seen & DELIMITER == 0;
        let has_capitals = seen & CAPITAL != 0;
        if is_plain && authority.last().is_some_and(|last| *last != b'.') {
            // As nearly everybody is called.
            return Some(Self { host: authority, port: b"", has_capitals });
        }
        let colon = if is_plain { None } else { authority.iter().rposition(|b| *b == b':') };
        let (host, port) = colon
            .and_then(|at| Some((authority.get(..at)?, authority.get(at.checked_add(1)?..)?)))
            .filter(|(_, port)| !port.contains(&b']'))
            .unwrap_or((authority, b""));
        let host = host.strip_suffix(b".").unwrap_or(host);
        let is_bracketed = host.starts_with(b"[");
        let sound = !host.is_empty()
            && !host.ends_with(b".")
            && (is_plain
                || is_bracketed == host.ends_with(b"]")
                    && (is_bracketed || !host.contains(&b':'))
                    && port.len() <= 5
                    && port.iter().all(u8::is_ascii_digit));
        sound.then_some(Self { host, port, has_capitals })
    }
}

/// Colons and brackets.
const DELIMITER: u8 = 1;
const CAPITAL: u8 = 2;
/// Invisible, or the end of a host elsewhere.
const NEVER: u8 = 4;

/// What a byte of `host[:port]` is: a table, since this is asked for each byte of each request's host.
const HOST_BYTES: [u8; 256] = {
    let mut table = [NEVER; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = match byte {
            b'/' | b'?' | b'#' | b'@' | b',' | b'\\' | b'"' | b'<' | b'>' => NEVER,
            b':' | b'[' | b']' => DELIMITER,
            b'A'..=b'Z' => CAPITAL,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// A host with its port as keys have it. An origin that answers by how it is spelled would answer all who spell it otherwise.
#[cold]
pub(super) fn canonical(authority: &[u8], is_https: bool) -> Result<HeaderValue, NoKey> {
    let Authority { host, port, .. } = Authority::read(authority).ok_or(NoKey::Malformed)?;
    let mut canonical = host.to_ascii_lowercase();
    if !port.is_empty() && port != default_port(is_https) {
        canonical.push(b':');
        canonical.extend_from_slice(port);
    }
    HeaderValue::try_from(canonical).map_err(|_| NoKey::Malformed)
}

/// RFC 9110 sections 4.2.1 and 4.2.2.
pub(super) fn default_port(is_https: bool) -> &'static [u8] {
    if is_https { b"443" } else { b"80" }
}

/// The name of a host as keys have it. `None` if it is none, or has a port.
pub(crate) fn canonical_host(name: &str) -> Option<String> {
    let Authority { host, port, .. } = Authority::read(name.as_bytes())?;
    let is_host = port.is_empty() && !name.ends_with(':');
    str::from_utf8(host).ok().filter(|_| is_host).map(str::to_ascii_lowercase)
}
