//! What the answer to an unsafe request makes invalid, for caches that have not seen it (RFC 9111 section 4.4, RFC 9875 section 3).
use super::{groups, invalidation, twins::twins};
use http::{HeaderMap, Uri};

/// What the answer to an unsafe request makes invalid: URIs, and groups of their origin. A cache that the answer did not pass is told of it by
/// [`Handle::changed`](crate::Handle::changed).
///
/// # Example
/// ```
/// use tower_cdn::Changed;
///
/// let changed = Changed::new("http://example.com/articles/1".parse().unwrap())
///     .uri("http://example.com/articles".parse().unwrap())
///     .group("articles");
/// assert_eq!((changed.uris().len(), changed.groups()), (2, &["articles".to_owned()][..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    uris: Vec<Uri>,
    groups: Vec<String>,
}

impl Changed {
    /// The target of the request, as an absolute URI.
    pub fn new(target: Uri) -> Self {
        Self { uris: vec![target], groups: Vec::new() }
    }

    /// One more absolute URI: one of the same origin that the answer names.
    #[must_use]
    pub fn uri(mut self, uri: Uri) -> Self {
        if !self.uris.contains(&uri) {
            self.uris.push(uri);
        }
        self
    }

    /// A group of responses of the same origin.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.groups.push(name.into());
        self
    }

    /// What the answer is known to have changed, the target first.
    pub fn uris(&self) -> &[Uri] {
        &self.uris
    }

    /// The groups that it names by `Cache-Group-Invalidation`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// What these fields of the answer to a request for `target` say, for caches that may know what is https here as http: all of it under both schemes. `None` if the target is not
    /// absolute.
    #[cfg_attr(not(feature = "origins"), allow(dead_code, reason = "only they need it"))]
    pub(crate) fn of_answer(target: &Uri, headers: &HeaderMap) -> Option<Self> {
        let targets = twins(target);
        // The answer may speak of either origin, and in its own words.
        let named = targets.iter().flat_map(|target| invalidation::named_uris(target, headers));
        let named: Vec<Uri> = named.flat_map(|uri| twins(&uri)).collect();
        let mut uris = targets.into_iter().chain(named);
        let first = Self::new(uris.next()?);
        let mut changed = uris.fold(first, Self::uri);
        changed.groups = groups::listed(headers, &groups::CACHE_GROUP_INVALIDATION);
        Some(changed)
    }
}
