//! What a fetch has brought, and how it is read while it arrives.
use crate::{
    CacheKey,
    engine::look_up::Found,
    stored::{
        Content, ResponseHead,
        rope::{Reader, Rope},
    },
};
use std::sync::Arc;

/// What a fetch has brought for everybody.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    /// Under which key it is, or will be, stored.
    pub(crate) key: CacheKey,
    pub(crate) head: Arc<ResponseHead>,
    pub(crate) source: Source,
    /// True if it is stale, and is used since the origin failed.
    pub(crate) on_error: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Stored(Content),
    Arriving(Rope),
}

impl Landed {
    pub(crate) fn stored(key: CacheKey, found: Found) -> Self {
        Self { key, head: found.head, source: Source::Stored(found.content), on_error: false }
    }

    /// Something to read it all from. `None` if its start has been freed already.
    pub(crate) fn open(&self) -> Option<Supply> {
        match &self.source {
            Source::Stored(content) => Some(Supply::Stored(content.clone())),
            Source::Arriving(rope) => rope.whole().map(Supply::Arriving),
        }
    }
}

/// Where one reader reads from.
#[derive(Debug)]
pub(crate) enum Supply {
    Stored(Content),
    Arriving(Reader),
}
