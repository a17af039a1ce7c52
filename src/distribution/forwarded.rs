//! Which fields of a request the origin gets.
use crate::{KeyPolicy, semantics::validation::CLIENT_CONDITIONS};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Which fields of a client's request go on to the origin, and so may change what it answers. What the [`KeyPolicy`] keys is always sent; of `Cookie` those
/// cookies that it keys.
///
/// # Example: an origin that answers in the client's language and sees nothing else
/// ```
/// use tower_cdn::{Behaviour, CachePolicy, ForwardedHeaders, KeyPolicy};
///
/// let behaviour = Behaviour::new(CachePolicy::cloudfront())
///     .key_policy(KeyPolicy::default().header(http::header::ACCEPT_LANGUAGE))
///     .forwarded_headers(ForwardedHeaders::Only(vec![]));
/// # let _ = behaviour;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// All of them.
    All,
    /// All but `Authorization` and `Cookie`: what tells who asks does not reach an origin whose answers are for all.
    #[default]
    AllButSensitive,
    /// These, and what belongs to the message itself: framing, `Host`, conditions, ranges, what caches and protocol switches speak
    /// of, and with content its own fields (`Content-Type` and so on). What is neither keyed nor named here the origin does not see, so it cannot answer by it.
    ///
    /// The fields of [`Influential`](crate::Influential) go the same way: those that are not named here are gone before the key is made.
    Only(Vec<HeaderName>),
}

impl ForwardedHeaders {
    /// Takes away what is not sent on.
    pub(crate) fn apply(&self, keys: &KeyPolicy, headers: &mut HeaderMap, has_content: bool) {
        let mut gone: Vec<HeaderName> = match self {
            Self::All => return,
            Self::AllButSensitive => {
                SENSITIVE.iter().filter(|name| headers.contains_key(*name)).cloned().collect()
            }
            Self::Only(names) => {
                let is_sent = |name: &HeaderName| {
                    names.contains(name) || belongs_to_message(name, has_content)
                };
                headers.keys().filter(|name| !is_sent(name)).cloned().collect()
            }
        };
        gone.retain(|name| !keys.keys_header(name));
        if let Some(cookie) = gone.iter().position(|name| *name == header::COOKIE)
            && let Some(kept) = keyed_cookies(keys, headers)
        {
            headers.insert(header::COOKIE, kept);
            gone.swap_remove(cookie);
        }
        for name in gone {
            headers.remove(name);
        }
    }
}

/// The cookies that are keyed, in one line; `None` if there are none.
fn keyed_cookies(keys: &KeyPolicy, headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs: Vec<&[u8]> = keys.cookies_of(headers).collect();
    HeaderValue::from_bytes(&pairs.join(b"; ".as_slice())).ok().filter(|value| !value.is_empty())
}

static SENSITIVE: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

fn belongs_to_message(name: &HeaderName, has_content: bool) -> bool {
    CLIENT_CONDITIONS.contains(name)
        || OF_THE_MESSAGE.contains(&name.as_str())
        || has_content && OF_THE_CONTENT.contains(&name.as_str())
        || name.as_str().starts_with("sec-websocket-")
}

const OF_THE_MESSAGE: [&str; 14] = [
    "cache-control",
    "cdn-loop",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "max-forwards",
    "pragma",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// RFC 9110 sections 8 and 14.5, RFC 9530.
const OF_THE_CONTENT: [&str; 7] = [
    "content-digest",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "repr-digest",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(what: &ForwardedHeaders, keys: &KeyPolicy, lines: &[(&str, &str)]) -> Vec<String> {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        let mut headers: HeaderMap = lines.iter().map(field).collect();
        what.apply(keys, &mut headers, false);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut sent: Vec<String> = headers.iter().map(line).collect();
        sent.sort();
        sent
    }

    #[test]
    fn what_is_keyed_is_sent_and_nothing_else_that_is_not_listed() {
        let lines = [
            ("host", "a"),
            ("authorization", "x"),
            ("cookie", "a=1; b=2"),
            ("cookie", "c=3"),
            ("accept-language", "en"),
            ("x-forwarded-host", "evil"),
            ("x-a", "1"),
            ("range", "bytes=0-1"),
            ("if-match", "*"),
            ("if-evil", "1"),
            ("content-type", "evil"),
        ];
        let (none, keys) = (KeyPolicy::default(), KeyPolicy::default().cookie("b").cookie("c"));
        assert_eq!(sent(&ForwardedHeaders::All, &none, &lines).len(), lines.len());
        let most = sent(&ForwardedHeaders::AllButSensitive, &none, &lines);
        assert!(
            most.iter()
                .all(|line| !line.starts_with("authorization") && !line.starts_with("cookie"))
        );
        assert_eq!(most.len(), 8);
        let with_cookies = sent(&ForwardedHeaders::AllButSensitive, &keys, &lines);
        assert!(with_cookies.contains(&"cookie: b=2; c=3".to_owned()), "{with_cookies:?}");
        let x_a = HeaderName::from_static("x-a");
        let keys = KeyPolicy::default().header(header::ACCEPT_LANGUAGE);
        assert_eq!(
            sent(&ForwardedHeaders::Only(vec![x_a]), &keys, &lines),
            ["accept-language: en", "host: a", "if-match: *", "range: bytes=0-1", "x-a: 1"]
        );
    }
}
