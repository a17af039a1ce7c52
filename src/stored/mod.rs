//! What a store keeps: a head, and content that can be read many times.
mod content;
mod head;
mod kept;
mod parts;
mod pieces;
mod reading;
mod record;
pub(crate) mod rope;
mod variants;

pub use content::Content;
pub use head::StoredHead;
pub(crate) use head::{FoundValid, Kind, Membership, ResponseHead, compact};
pub(crate) use kept::{KeptDate, KeptDirectives, Rare, RareParts};
pub(crate) use parts::{Parts, Whose};
#[cfg(feature = "tiered")]
pub(crate) use pieces::Filling;
pub(crate) use pieces::of_its_size;
pub use reading::ContentBody;
pub use record::RecordError;
pub(crate) use variants::{Shape, VariantIndex};

/// What a [`Store`](crate::Store) maps a [`CacheKey`](crate::CacheKey) to. Cheap to clone: clones share head and content.
///
/// # Example: the same response with its content in memory
/// ```
/// use tower_cdn::{StoreError, StoredResponse};
///
/// async fn into_memory(response: StoredResponse) -> Result<StoredResponse, StoreError> {
///     let content = response.content.collect().await?;
///     Ok(response.with_content(content))
/// }
/// # let _ = into_memory;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredResponse {
    /// Everything but the content.
    pub head: StoredHead,
    /// The content, in memory, elsewhere, or still arriving.
    pub content: Content,
}

impl StoredResponse {
    /// A head and its content.
    pub fn new(head: StoredHead, content: Content) -> Self {
        Self { head, content }
    }

    /// What lies under a key. The full key is compared: a collision in a store is a miss.
    #[inline]
    pub(crate) fn under(self, key: &crate::CacheKey) -> Option<(Kind, Content)> {
        let Self { head, content } = self;
        (head.key == *key).then_some((head.kind, content))
    }

    /// The same head with this content.
    #[must_use]
    pub fn with_content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// The same content with this head.
    #[must_use]
    pub fn with_head(self, head: StoredHead) -> Self {
        Self { head, ..self }
    }
}
