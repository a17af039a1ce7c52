//! What can fail: opaque errors with a source.
use std::{error::Error, fmt};

/// Alias for a type-erased error type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A store failed. The cache takes it for a miss; no client ever sees it.
///
/// # Example: from any other error
/// ```
/// let error = tower_cdn::StoreError::new(std::io::Error::other("disk on fire"));
/// assert_eq!(error.to_string(), "store failed");
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("store failed")]
pub struct StoreError(#[source] BoxError);

impl StoreError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }

    /// Content that broke off, or is not stored after all, is no fault of the store.
    pub(crate) fn is_of_content(&self) -> bool {
        self.cut().is_some()
    }

    /// The content is larger than what is stored, whoever has found that out.
    pub(crate) fn is_too_large(&self) -> bool {
        self.cut() == Some(Cut::TooLarge)
    }

    /// What became of the content, if that is why.
    pub(crate) fn cut(&self) -> Option<Cut> {
        let mut source = self.source();
        while let Some(inner) = source {
            if let Some(ContentError(cut)) = inner.downcast_ref() {
                return Some(*cut);
            }
            source = inner.source();
        }
        None
    }
}

impl From<BoxError> for StoreError {
    fn from(source: BoxError) -> Self {
        Self(source)
    }
}

impl From<ContentError> for StoreError {
    fn from(source: ContentError) -> Self {
        Self(source.into())
    }
}

impl From<std::io::Error> for StoreError {
    fn from(source: std::io::Error) -> Self {
        Self(source.into())
    }
}

/// Content that ended before it was complete. A body that yields it has no end: whoever reads must not take what came
/// before for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentError(pub(crate) Cut);

/// Who cut the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The inner service ended it early, by an error, a panic, or fewer or more bytes than declared.
    Origin,
    /// This reader held up the others for too long.
    TooSlow,
    /// It is not stored after all: invalidated, or it paused for too long, or there is no room now.
    NotStored,
    /// It is not stored, since it is larger than what is.
    TooLarge,
    /// The store did not have what it should have.
    Store,
}

impl ContentError {
    /// The inner service's body broke.
    pub fn is_origin(&self) -> bool {
        self.0 == Cut::Origin
    }

    /// The reader was too slow for the others.
    pub fn is_too_slow(&self) -> bool {
        self.0 == Cut::TooSlow
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Cut::Origin => "origin body ended early",
            Cut::TooSlow => "reader held up others for too long",
            Cut::NotStored => "response is not stored after all",
            Cut::TooLarge => "response is too large to be stored",
            Cut::Store => "stored content is not there any more",
        })
    }
}

impl Error for ContentError {}
