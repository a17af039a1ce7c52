//! A small and quick store in front of a large and slow one.
//!
//! What keeps the two in step:
//! - Writes to one key take turns ([`turns`]), so that both tiers see them in one order.
//! - A copy from far to near is made only if there was no write since the response was read.
//! - Where near has what far could neither take nor give up, it is remembered that far is out of date ([`outdated`]). Until both tiers have answered, a
//!   write counts as such a one: dropping its future anywhere leaves nothing that may come back.
mod gather;
mod outdated;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod turns;
mod uses;

use super::Store;
use crate::{CacheKey, StoreError, StoredHead, StoredResponse};
use bytes::Bytes;
use gather::{Gathered, Gathering};
use outdated::{Outdated, Unsettled};
use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};
use turns::Turns;
use uses::Uses;

/// Two stores as one: what is small lies in both and is answered from `Near`, everything lies in `Far`.
///
/// `Near` is meant to be in memory, and `Far` to be larger and to outlive the process. Tiers nest: `Tiered<A, Tiered<B, C>>`.
///
/// | | what happens |
/// | --- | --- |
/// | `get` | Near's answer, else far's; what is found in far is copied into near, see [`promote_after`](Self::promote_after) |
/// | `peek` | Near's answer. What near does not have `get` looks for in far |
/// | `put` | Into both, near first; into far only what is larger than [`near_limit`](Self::near_limit) or what near refuses. Returns when both have it |
/// | `freshen`, `delete` | In both |
/// | `note`, `notes` | In both, since each must have them as long as it has responses; where they differ, far's count |
///
/// # Faults
///
/// A fault of one tier does not hide the answer of the other. It is an error only where nothing answers (`get`), where nothing was stored (`put`,
/// `freshen`), and where something may be left that should not be: a `delete` that failed in either tier, or a write that near neither took nor gave up the
/// old response for. A response that far could not take is removed from far; if that fails as well, it is remembered for as long as the process lives that
/// far is out of date. [`faults`](Self::faults) counts what was no error, and the feature `tracing` tells it.
///
/// Near must not outlive the process if far does: a process that is killed between the two writes would leave the new response in near and the
/// old one in far, and near may drop its own at any time.
///
/// # Cancel safety
///
/// Dropping the future of a write at any point leaves nothing that may come back: far counts as out of date unless the write has come to its end.
///
/// # Memory
///
/// Content up to the near limit is gathered in memory before it is put: 64 such responses at a time, in bytes; what comes on top goes to far
/// only. Larger content streams to far. The tables take some 100 KiB, and as much again once far has been out of date.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use tower_cdn::{CdnCacheLayer, MemoryStore, Tiered};
///
/// // Far would be on a disk.
/// let (near, far) = (MemoryStore::new(1024 * 1024), MemoryStore::new(64 * 1024 * 1024));
/// let store = Tiered::new(near, far).near_limit(64 * 1024).promote_after(2);
/// let layer = CdnCacheLayer::new(store);
/// # let _ = layer;
/// # });
/// ```
pub struct Tiered<Near, Far> {
    near: Near,
    far: Far,
    near_limit: u64,
    uses: Uses,
    turns: Turns,
    outdated: Outdated,
    /// Bytes that are being gathered.
    gathering: AtomicU64,
    faults: AtomicU64,
}

impl<Near, Far> Tiered<Near, Far> {
    /// `near` in front of `far`.
    pub fn new(near: Near, far: Far) -> Self {
        Self {
            near,
            far,
            near_limit: NEAR_LIMIT,
            uses: Uses::new(1),
            turns: Turns::default(),
            outdated: Outdated::default(),
            gathering: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }

    /// How often a response is found in far before it is copied into near. Default: 1, at once, since most that is asked for again is asked for soon. More keeps what
    /// is asked for rarely from being read whole and from driving others out of near; zero is the same as one.
    ///
    /// Uses are counted in a table of fixed size: where two keys meet, the later one begins anew.
    #[must_use]
    pub fn promote_after(self, uses: u8) -> Self {
        Self { uses: Uses::new(uses), ..self }
    }

    /// The largest content in bytes that is put into near. Default: 1 MiB, which is most pages, scripts and pictures; what is larger takes long to send
    /// whatever it is read from, and would drive out a thousand others. What is copied from far is read whole before it is answered, so this bounds that wait too.
    #[must_use]
    pub fn near_limit(self, bytes: u64) -> Self {
        Self { near_limit: bytes, ..self }
    }

    /// The store in front.
    pub fn near(&self) -> &Near {
        &self.near
    }

    /// The store behind it.
    pub fn far(&self) -> &Far {
        &self.far
    }

    /// How many operations failed in one tier without being an error, since the other one had the answer.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "only logged"))]
    fn made_good(&self, tier: &'static str, operation: &'static str, error: &StoreError) {
        // What does not fit is no fault.
        if error.is_of_content() {
            return;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "tower_cdn", tier, operation, error = ?error, "one tier of the store failed");
    }
}

const NEAR_LIMIT: u64 = 1024 * 1024;

impl<Near: Store, Far: Store> Tiered<Near, Far> {
    /// What was found in far when there had been so many `writes`, as it is answered: copied into near if it is time for that.
    async fn found_in_far(
        &self,
        key: &CacheKey,
        found: StoredResponse,
        writes: u64,
    ) -> Result<StoredResponse, StoreError> {
        if found.content.len().is_none_or(|len| len > self.near_limit) || !self.uses.are_enough(key)
        {
            return Ok(found);
        }
        let Gathered::Whole(content, _held) = self.gathering().gather(&found.content).await? else {
            return Ok(found);
        };
        let found = found.with_content(content);
        if let Some(_turn) = self.turns.take_if(key, writes)
            && self.near.put(key, found.clone()).await.is_ok()
        {
            self.uses.forget(key);
        }
        Ok(found)
    }

    fn gathering(&self) -> Gathering<'_> {
        Gathering { limit: self.near_limit, held: &self.gathering }
    }

    /// Content is in memory: both get it within one turn.
    async fn put_both(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let _turn = self.turns.take(key).await;
        let unsettled = self.outdated.unless_settled(key);
        let near = self.near.put(key, response.clone()).await;
        let far = self.far.put(key, response).await;
        match (near, far) {
            (Ok(()), Ok(())) => unsettled.settle(),
            (Ok(()), Err(error)) => {
                self.made_good("far", "put", &error);
                self.clear_far(key, unsettled).await;
            }
            // What far has now must not lie behind what near had before.
            (Err(error), Ok(())) => {
                self.made_good("near", "put", &error);
                self.near.delete(key).await?;
                unsettled.settle();
            }
            // Both have what they had before.
            (Err(_), Err(error)) => {
                unsettled.settle();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Content is large, and may be arriving: it goes to far only. Others may write meanwhile, so that nobody knows whether this comes before or after in far;
    /// far alone counts in the end.
    async fn put_far(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        let turn = self.turns.take(key).await;
        self.near.delete(key).await?;
        let alone = turn.alone_from_here(&self.outdated, key);
        let put = self.far.put(key, response).await;
        if put.is_ok() {
            let _turn = self.turns.take(key).await;
            self.near.delete(key).await?;
        }
        alone.settle();
        put
    }

    /// Far must not have what near has replaced.
    async fn clear_far(&self, key: &CacheKey, unsettled: Unsettled<'_>) {
        match self.far.delete(key).await {
            Ok(()) => unsettled.settle(),
            Err(error) => self.made_good("far", "delete", &error),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<Near: Store, Far: Store> Store for Tiered<Near, Far> {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        let near = match self.near.get(key).await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let writes = self.turns.writes(key);
        let Some(found) = self.far.get(key).await? else { return near };
        if self.outdated.concerns(key, &found.head) {
            return near;
        }
        if let Err(error) = near {
            self.made_good("near", "get", &error);
        }
        self.found_in_far(key, found, writes).await.map(Some)
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        self.near.peek(key)
    }

    /// Never: what near does not have, far may have, and is asked by `get`, which copies it.
    fn peek_tells_all(&self) -> bool {
        false
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.outdated.has_seen(&response.head);
        match self.gathering().gather(&response.content).await? {
            Gathered::Whole(content, _held) => {
                self.put_both(key, response.with_content(content)).await
            }
            Gathered::TooLarge(content) => self.put_far(key, response.with_content(content)).await,
        }
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.outdated.has_seen(&head);
        let _turn = self.turns.take(key).await;
        let unsettled = self.outdated.unless_settled(key);
        let near = self.near.freshen(key, head.clone()).await;
        let far = self.far.freshen(key, head).await;
        match (near, far) {
            (Ok(true), Ok(true)) => unsettled.settle(),
            // Far has nothing, or something else.
            (Ok(true), Ok(false)) => self.clear_far(key, unsettled).await,
            (Ok(true), Err(error)) => {
                self.made_good("far", "freshen", &error);
                self.clear_far(key, unsettled).await;
            }
            // And so here with near.
            (near, Ok(true)) => {
                if let Err(error) = near {
                    self.made_good("near", "freshen", &error);
                }
                self.near.delete(key).await?;
                unsettled.settle();
            }
            (Ok(false), Ok(false)) => {
                unsettled.settle();
                return Ok(false);
            }
            // Both have what they had before.
            (Ok(false) | Err(_), Err(error)) | (Err(error), Ok(false)) => {
                unsettled.settle();
                return Err(error);
            }
        }
        Ok(true)
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        let _turn = self.turns.take(key).await;
        let unsettled = self.outdated.unless_settled(key);
        let near = self.near.delete(key).await;
        self.far.delete(key).await?;
        unsettled.settle();
        near
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        let notes = self.near.notes().into_iter().chain(self.far.notes());
        notes.collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        let _turn = self.turns.take_for_note(number).await;
        let far = self.far.note(number, note.clone()).await;
        self.near.note(number, note).await?;
        far
    }
}

impl<Near: fmt::Debug, Far: fmt::Debug> fmt::Debug for Tiered<Near, Far> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiered")
            .field("near", &self.near)
            .field("far", &self.far)
            .field("near_limit", &self.near_limit)
            .finish_non_exhaustive()
    }
}
