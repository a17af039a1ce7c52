//! What a store keeps: a head, and content that can be read many times.
mod content;
mod head;
mod parts;
mod record;
pub(crate) mod rope;
mod variants;

pub use content::{Content, ContentBody};
pub use head::StoredHead;
pub(crate) use head::{Kind, ResponseHead, compact};
pub(crate) use parts::{Parts, Piece, Whose};
pub use record::RecordError;
pub(crate) use variants::{Shape, VariantIndex};

/// What a [`Store`](crate::Store) maps a [`CacheKey`](crate::CacheKey) to. Cheap to clone: clones share head and content.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// Everything but the content.
    pub head: StoredHead,
    /// The content, in memory, elsewhere, or still arriving.
    pub content: Content,
}
