//! The store behind a guard: whatever it does (errors, hangs, panics), the cache takes for a miss.
use super::{Engine, within::within};
use crate::{
    CacheKey, StoreError, StoredHead, StoredResponse,
    stored::{Content, Kind, ResponseHead, VariantIndex},
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, join, select},
};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
};
use tokio::{
    sync::{Mutex, MutexGuard, oneshot},
    time::sleep,
};

/// The lists of variants are read, changed and written back: one at a time for one URI.
#[derive(Debug)]
pub(crate) struct Indexing(Box<[Mutex<()>]>);

impl Default for Indexing {
    fn default() -> Self {
        Self((0..64).map(|_| Mutex::default()).collect())
    }
}

impl Indexing {
    /// Also taken by an invalidation that deletes a list.
    pub(super) async fn lock(&self, primary: &CacheKey) -> Option<MutexGuard<'_, ()>> {
        let at = primary.hash64().checked_rem(self.0.len() as u64)?;
        match self.0.get(usize::try_from(at).ok()?) {
            Some(mutex) => Some(mutex.lock().await),
            None => None,
        }
    }
}

/// What has come of a response that the store was given.
pub(super) enum Put {
    Kept,
    /// It is larger than what is stored.
    TooLarge,
    /// What was there may still be there.
    Failed,
}

impl Engine {
    #[inline]
    pub(super) fn peek_at(&self, key: &CacheKey) -> Option<(Kind, Content)> {
        catch_unwind(AssertUnwindSafe(|| self.shared.store.peek(key))).unwrap_or_else(|_| {
            self.fault("peek", "panicked");
            None
        })
    }

    pub(super) async fn get_at(&self, key: &CacheKey) -> Option<(Kind, Content)> {
        if self.shared.peek_tells_all {
            return self.peek_at(key);
        }
        self.guarded("get", async { self.shared.store.get(key).await }).await.flatten()
    }

    pub(super) async fn freshen_at(&self, key: &CacheKey, head: StoredHead) -> bool {
        if let Some(number) = self.not_reserved(&head)
            && !Box::pin(self.reserve(number)).await
        {
            return false;
        }
        self.guarded("freshen", async { self.shared.store.freshen(key, head).await }).await
            == Some(true)
    }

    /// False if the store failed: what was there may still be there.
    pub(super) async fn delete_at(&self, key: &CacheKey) -> bool {
        self.guarded("delete", async { self.shared.store.delete(key).await }).await.is_some()
    }

    /// False if the store failed.
    pub(super) async fn note_at(&self, number: u64, note: Option<Bytes>) -> bool {
        self.guarded("note", async { self.shared.store.note(number, note).await }).await.is_some()
    }

    /// The number of a response, if no note covers it yet.
    fn not_reserved(&self, head: &StoredHead) -> Option<u64> {
        match &head.kind {
            Kind::Response(head) => Some(head.fetch).filter(|number| !self.is_reserved(*number)),
            Kind::Variants(_) => None,
        }
    }

    /// Puts a response whose content may be arriving. The store has as long as that takes, and the usual time once `arrived` is over.
    pub(super) async fn put_at(
        &self,
        key: &CacheKey,
        response: StoredResponse,
        arrived: impl Future<Output = ()>,
    ) -> Put {
        let mut reserving = None;
        if let Some(number) = self.not_reserved(&response.head) {
            let (covered, is_covered) = oneshot::channel();
            if response.content.hold_end(is_covered.map(|covered| covered.is_ok())) {
                // Clients would wait for a store that does not read what arrives. Its end is what makes it visible.
                reserving = Some(Box::pin(async move {
                    if self.reserve(number).await {
                        _ = covered.send(());
                    }
                }));
            } else if !Box::pin(self.reserve(number)).await {
                return Put::Failed;
            }
        }
        let put =
            AssertUnwindSafe(async { self.shared.store.put(key, response).await }).catch_unwind();
        let limit = async {
            match reserving {
                Some(reserving) => drop(join(arrived, reserving).await),
                None => arrived.await,
            }
            sleep(self.policy.limits.store_timeout).await;
        };
        match select(pin!(put), pin!(limit)).await {
            Either::Left((Ok(Ok(())), _)) => {
                self.shared.counters.stored();
                Put::Kept
            }
            Either::Left((Ok(Err(error)), _)) if error.is_too_large() => Put::TooLarge,
            Either::Left((Ok(Err(error)), _)) => {
                if !error.is_of_content() {
                    self.fault("put", &error);
                }
                Put::Failed
            }
            Either::Left((Err(_panic), _)) => {
                self.fault("put", "panicked");
                Put::Failed
            }
            Either::Right(_) => {
                self.fault("put", "timed out");
                Put::Failed
            }
        }
    }

    /// Notes a variant in the list under its primary key; removes those that are too many. `had_index` if there was a list when it was asked for.
    pub(super) async fn index_variant(
        &self,
        primary: &CacheKey,
        key: &CacheKey,
        head: &ResponseHead,
        had_index: bool,
    ) {
        let Some((generation, shape)) = &head.rare.variant else { return };
        let _turn = self.shared.indexing.lock(primary).await;
        let known = match self.get_at(primary).await.map(|(kind, _)| kind) {
            // Made anew by somebody else since: ours belongs to variants that are gone.
            Some(Kind::Variants(index)) if index.generation != *generation => {
                self.delete_at(key).await;
                return;
            }
            Some(Kind::Variants(index)) => Some(index),
            // Newer, and for every request: it took the place of all variants.
            Some(Kind::Response(there)) if there.fetch > head.fetch => {
                self.delete_at(key).await;
                return;
            }
            // Deleted since: a list with this generation would bring back all that it had.
            None if had_index => {
                self.delete_at(key).await;
                return;
            }
            Some(Kind::Response(_)) | None => None,
        };
        let limit = self.policy.limits.max_variants;
        let keys = (key.clone(), head.rare.by_language.as_deref().cloned());
        let (index, gone) = match &known {
            Some(index) => index.added(shape, keys, limit),
            None => VariantIndex::new(*generation).added(shape, keys, limit),
        };
        let head = StoredHead::variants(primary.clone(), index);
        let marker = StoredResponse { head, content: Content::from(Bytes::new()) };
        self.guarded("put", async { self.shared.store.put(primary, marker).await }).await;
        for key in gone {
            self.delete_at(&key).await;
        }
    }

    async fn guarded<T>(
        &self,
        what: &'static str,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let caught = AssertUnwindSafe(operation).catch_unwind();
        match within(self.policy.limits.store_timeout, caught).await {
            Ok(Ok(Ok(answer))) => return Some(answer),
            Ok(Ok(Err(error))) => self.fault(what, &error),
            Ok(Err(_panic)) => self.fault(what, "panicked"),
            Err(_elapsed) => self.fault(what, "timed out"),
        }
        None
    }

    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "only logged"))]
    pub(super) fn fault(&self, what: &'static str, why: impl std::fmt::Debug) {
        self.shared.counters.store_fault();
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "tower_cdn", operation = what, error = ?why, "store failed");
    }
}
