//! Content on its way into memory.
use super::MemoryStore;
use crate::{
    Content, StoreError,
    error::{ContentError, Cut},
};
use std::sync::atomic::Ordering;

impl MemoryStore {
    /// Reads content into memory, as long as it may fit beside what others are reading in.
    pub(super) async fn read(&self, content: &Content) -> Result<Content, StoreError> {
        let mut reading = Reading { store: self, bytes: 0 };
        content.collect_within(|bytes| reading.reserve(bytes)).await
    }
}

/// Bytes that are being read in, all together never more than the capacity.
struct Reading<'a> {
    store: &'a MemoryStore,
    bytes: u64,
}

impl Reading<'_> {
    /// Makes it so many bytes, if that fits.
    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(more) = bytes.checked_sub(self.bytes) else { return Ok(()) };
        let before = self.store.reading.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        if bytes > self.store.largest() {
            return Err(too_large());
        }
        let fits = before.saturating_add(more) <= self.store.capacity;
        if fits { Ok(()) } else { Err(ContentError(Cut::NotStored).into()) }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.store.reading.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// It will never fit, which is no fault.
pub(super) fn too_large() -> StoreError {
    ContentError(Cut::TooLarge).into()
}
