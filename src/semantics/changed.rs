//! What the answer to an unsafe request makes invalid, for caches that have not seen it (RFC 9111 section 4.4, RFC 9875 section 3).
use super::{groups, invalidation};
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

    /// What these fields of an answer say. There are several targets where nobody knows which scheme was meant; `None` if there is none.
    #[cfg_attr(not(feature = "origins"), allow(dead_code, reason = "only they need it"))]
    pub(crate) fn of_answer(targets: &[Uri], headers: &HeaderMap) -> Option<Self> {
        let (first, others) = targets.split_first()?;
        let mut changed = Self::new(first.clone());
        let named = targets.iter().flat_map(|target| invalidation::named_uris(target, headers));
        for uri in others.iter().cloned().chain(named) {
            changed = changed.uri(uri);
        }
        changed.groups = groups::listed(headers, &groups::CACHE_GROUP_INVALIDATION);
        Some(changed)
    }
}
