//! What an origin is called.
use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of an origin. Cheap to clone.
///
/// A [`Behaviour`](crate::Behaviour) puts it among the extensions of the requests that it matches.
///
/// # Example
/// ```
/// use tower_cdn::OriginName;
///
/// assert_eq!(OriginName::from("api"), OriginName::from("api".to_owned()));
/// ```
#[derive(Clone)]
pub struct OriginName(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl OriginName {
    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&'static str> for OriginName {
    fn from(name: &'static str) -> Self {
        Self(Text::Static(name))
    }
}

impl From<String> for OriginName {
    fn from(name: String) -> Self {
        Self(Text::Shared(name.into()))
    }
}

impl From<Arc<str>> for OriginName {
    fn from(name: Arc<str>) -> Self {
        Self(Text::Shared(name))
    }
}

impl PartialEq for OriginName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for OriginName {}

impl std::hash::Hash for OriginName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl AsRef<str> for OriginName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for OriginName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for OriginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for OriginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
