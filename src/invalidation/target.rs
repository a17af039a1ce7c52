//! What an operator names, checked before anything is done.
use crate::{BoxError, CacheKey, key};
use http::Uri;

/// What a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All responses of an URI, by the key that has no more than it.
    Uri(CacheKey),
    /// A group of one origin (RFC 9875).
    Group(CacheKey),
    /// A tag, of one host or of all.
    Tag { host: Option<Box<str>>, name: Box<str> },
    /// Path and query, or what they begin with; of one host or of all.
    Path { host: Option<Box<str>>, text: Box<str>, is_prefix: bool },
}

/// An invalidation that cannot be carried out as it was asked for; nothing was done.
///
/// # Example: what is wrong is said
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let handle = tower_cdn::CdnCacheLayer::in_memory(1024 * 1024).handle();
/// let error = handle.invalidate_path("/images/*.png").await.unwrap_err();
/// assert!(error.is_pattern());
/// assert_eq!(error.to_string(), "path pattern: `*` may only be its last character");
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidationError(Wrong);

#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("path pattern: {0}")]
    Pattern(&'static str),
    #[error("tag: {0}")]
    Tag(&'static str),
    #[error("host: {0}")]
    Host(&'static str),
    #[error("URI: {0}")]
    Uri(&'static str),
    #[error("URI: it cannot be read")]
    Unreadable(#[source] BoxError),
}

impl InvalidationError {
    /// The path pattern is none.
    pub fn is_pattern(&self) -> bool {
        matches!(self.0, Wrong::Pattern(_))
    }

    /// One of the tags is none, or there is none at all.
    pub fn is_tag(&self) -> bool {
        matches!(self.0, Wrong::Tag(_))
    }

    /// The host is none.
    pub fn is_host(&self) -> bool {
        matches!(self.0, Wrong::Host(_))
    }

    /// The URI is none of which anything could be stored.
    pub fn is_uri(&self) -> bool {
        matches!(self.0, Wrong::Uri(_) | Wrong::Unreadable(_))
    }

    fn pattern(why: &'static str) -> Self {
        Self(Wrong::Pattern(why))
    }

    fn tag(why: &'static str) -> Self {
        Self(Wrong::Tag(why))
    }

    /// Nothing can be stored under it.
    pub(crate) fn no_key() -> Self {
        Self(Wrong::Uri("nothing can be stored for it: it needs scheme, host and path"))
    }

    /// An URI has one already.
    pub(crate) fn second_host() -> Self {
        Self(Wrong::Host("an URI names its host itself"))
    }
}

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 4_000;
/// The longest tag, in bytes.
const MAX_TAG: usize = crate::semantics::groups::MAX_NAME;

impl Target {
    /// A path with its query, or, with `*` at its end, what both begin with.
    pub(crate) fn path(pattern: &str) -> Result<Self, InvalidationError> {
        let wrong = |why| Err(InvalidationError::pattern(why));
        if pattern.is_empty() {
            return wrong("it is empty");
        }
        if pattern.len() > MAX_PATTERN {
            return wrong("it is longer than 4,000 bytes");
        }
        if !pattern.starts_with('/') {
            return wrong("it has to begin with `/`");
        }
        let (text, is_prefix) =
            pattern.strip_suffix('*').map_or((pattern, false), |text| (text, true));
        if text.contains('*') {
            return wrong("`*` may only be its last character");
        }
        if text.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'#') {
            return wrong("it has a byte that no path and no query has");
        }
        Ok(Self::Path { host: None, text: text.into(), is_prefix })
    }

    /// Everything that is stored, of one host or of all.
    pub(crate) fn everything() -> Self {
        Self::Path { host: None, text: "".into(), is_prefix: true }
    }

    pub(crate) fn tag(name: &str) -> Result<Self, InvalidationError> {
        let wrong = |why| Err(InvalidationError::tag(why));
        if name.is_empty() {
            return wrong("it is empty");
        }
        if name.len() > MAX_TAG {
            return wrong("it is longer than 256 bytes");
        }
        if name.bytes().any(|b| b.is_ascii_control()) {
            return wrong("it has a byte that no field has");
        }
        Ok(Self::Tag { host: None, name: name.into() })
    }

    pub(crate) fn tags<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, InvalidationError> {
        let tags = names.into_iter().map(Self::tag).collect::<Result<Vec<_>, _>>()?;
        if tags.is_empty() { Err(InvalidationError::tag("there is none")) } else { Ok(tags) }
    }

    /// The same of this host only.
    pub(crate) fn of_host(self, of: &str) -> Result<Self, InvalidationError> {
        let Some(of) = key::canonical_host(of) else {
            return Err(InvalidationError(Wrong::Host("it is no host name, or has a port")));
        };
        let host = Some(of.into_boxed_str());
        match self {
            Self::Tag { name, .. } => Ok(Self::Tag { host, name }),
            Self::Path { text, is_prefix, .. } => Ok(Self::Path { host, text, is_prefix }),
            Self::Uri(_) | Self::Group(_) => Err(InvalidationError::second_host()),
        }
    }

    /// The bytes of what it names.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Uri(key) | Self::Group(key) => key.as_bytes().len(),
            Self::Tag { name: text, .. } | Self::Path { text, .. } => text.len(),
        }
    }
}

/// What can be read as an URI.
pub(crate) fn read_uri<U>(uri: U) -> Result<Uri, InvalidationError>
where
    U: TryInto<Uri>,
    U::Error: Into<BoxError>,
{
    uri.try_into().map_err(|error| InvalidationError(Wrong::Unreadable(error.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_patterns_that_are_none() {
        let long = format!("/{}", "x".repeat(MAX_PATTERN));
        for (pattern, why) in [
            ("", "it is empty"),
            ("a", "it has to begin with `/`"),
            ("*", "it has to begin with `/`"),
            ("http://a/b", "it has to begin with `/`"),
            ("/*a", "`*` may only be its last character"),
            ("/a/**", "`*` may only be its last character"),
            ("/a#b", "it has a byte that no path and no query has"),
            ("/a b", "it has a byte that no path and no query has"),
            ("/a\n", "it has a byte that no path and no query has"),
            (&long, "it is longer than 4,000 bytes"),
        ] {
            let error = Target::path(pattern).unwrap_err();
            assert!(error.is_pattern() && !error.is_tag() && !error.is_host() && !error.is_uri());
            assert_eq!(error.to_string(), format!("path pattern: {why}"), "{pattern}");
        }
    }

    #[test]
    fn ok_patterns() {
        let long = format!("/{}*", "x".repeat(MAX_PATTERN - 2));
        for (pattern, text, is_prefix) in [
            ("/", "/", false),
            ("/*", "/", true),
            ("/a?b=c", "/a?b=c", false),
            ("/a?*", "/a?", true),
            (&long, long.trim_end_matches('*'), true),
        ] {
            let expected = Target::Path { host: None, text: text.into(), is_prefix };
            assert_eq!(Target::path(pattern).unwrap(), expected);
        }
    }

    #[test]
    fn err_tags_and_hosts_that_are_none() {
        let long = "x".repeat(MAX_TAG + 1);
        for tags in [&[][..], &[""], &["a", ""], &["a\n"], &["a", &long]] {
            let error = Target::tags(tags.iter().copied()).unwrap_err();
            assert!(error.is_tag() && !error.is_pattern(), "{error}");
        }
        assert!(Target::tags(["a", &long[1..]]).is_ok());
        for host in ["", "a b", "a/b", "http://a", "a:80", "a@b", "ü.example", "[::1", "a.."] {
            let error = Target::everything().of_host(host).unwrap_err();
            assert!(error.is_host(), "{host}: {error}");
        }
    }

    #[test]
    fn hosts_are_those_of_keys() {
        for (host, expected) in [("Example.COM.", "example.com"), ("[::1]", "[::1]")] {
            let of = Target::path("/a").unwrap().of_host(host).unwrap();
            let host = Some(expected.into());
            assert_eq!(of, Target::Path { host, text: "/a".into(), is_prefix: false });
        }
    }
}
