//! Content in memory, as far as it is small enough.
use crate::{
    Content, StoreError,
    stored::{ContentBody, Filling},
};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What [`Gathering::gather`] came to.
pub(super) enum Gathered<'a> {
    /// All of it, and the memory that it takes.
    Whole(Content, Held<'a>),
    /// To be read once, from its beginning.
    TooLarge(Content),
}

/// What is gathered for both tiers.
pub(super) struct Gathering<'a> {
    /// The largest content.
    pub(super) limit: u64,
    /// Bytes that all hold.
    pub(super) held: &'a AtomicU64,
}

/// All together hold no more than so many of the largest.
const AT_A_TIME: u64 = 64;

impl<'a> Gathering<'a> {
    /// Reads content into memory. An error means that it broke off.
    pub(super) async fn gather(self, content: &Content) -> Result<Gathered<'a>, StoreError> {
        let mut held = Held { gathering: self, bytes: 0 };
        let len = content.len();
        if content.is_in_memory() {
            let fits = len.is_some_and(|len| len <= held.gathering.limit);
            let content = content.clone();
            return Ok(if fits {
                Gathered::Whole(content, held)
            } else {
                Gathered::TooLarge(content)
            });
        }
        let limit = held.gathering.limit;
        if len.is_some_and(|len| len > limit) || !held.grow(0) {
            return Ok(Gathered::TooLarge(content.clone()));
        }
        let mut body = content.read();
        let (mut bytes, mut trailers) = (Filling::into(content.buffer(), len), None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    if !held.grow(bytes.len().saturating_add(data.len() as u64)) {
                        let read = [bytes.finish(), data.into()].map(|read| read.read());
                        let body = ContentBody::chain(read.into_iter().chain([body]).collect());
                        return Ok(Gathered::TooLarge(Content::once(len, body)));
                    }
                    bytes.push(data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let content = bytes.finish().with_trailers(trailers);
        Ok(Gathered::Whole(content, held))
    }
}

/// Bytes that are held until this is dropped.
pub(super) struct Held<'a> {
    gathering: Gathering<'a>,
    bytes: u64,
}

impl Held<'_> {
    /// Makes it so many bytes, if that is not too much.
    fn grow(&mut self, bytes: u64) -> bool {
        let Gathering { limit, held } = self.gathering;
        if bytes > limit {
            return false;
        }
        let more = bytes.saturating_sub(self.bytes);
        self.bytes = self.bytes.saturating_add(more);
        held.fetch_add(more, Ordering::Relaxed).saturating_add(more)
            <= limit.saturating_mul(AT_A_TIME)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gathering.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
