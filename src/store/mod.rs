//! Where stored responses live.
//!
//! A [`Store`] is a dumb map: it knows nothing of freshness, `Vary` or invalidation, which are the engine's business. Write one of
//! your own in plain `async fn`, and check it with [`conformance`].
pub mod conformance;
#[cfg(all(feature = "disk", unix))]
mod disk;
mod erased;
mod hashed;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "tiered")]
mod tiered;

#[cfg(all(feature = "disk", unix))]
pub use disk::{DiskBuilder, DiskStats, DiskStore, OpenError};
pub(crate) use erased::ErasedStore;
pub(crate) use hashed::Hashed;
#[cfg(feature = "memory")]
pub use memory::MemoryStore;
#[cfg(feature = "tiered")]
pub use tiered::Tiered;

use crate::{CacheKey, StoreError, StoredHead, StoredResponse};
use bytes::Bytes;
use std::{
    future::{Future, ready},
    sync::Arc,
};

/// A map from [`CacheKey`] to [`StoredResponse`].
///
/// The contract, which [`conformance::check`] checks:
/// - What was put is got, byte for byte, or it is not there. It may vanish at any time.
/// - A response becomes visible only when its content was read to the end without an error. Until then, and if it fails or its future is
///   dropped, what was there before stays.
/// - Errors are for faults. The cache takes one for a miss; what hangs or panics as well.
///
/// All methods may be called from many tasks at once, also for one key.
///
/// # Example: a store in a map
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_cdn::{CacheKey, Store, StoreError, StoredHead, StoredResponse};
///
/// #[derive(Debug, Default)]
/// struct MapStore(Mutex<HashMap<CacheKey, StoredResponse>>);
///
/// impl Store for MapStore {
///     async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
///         Ok(self.0.lock().unwrap().get(key).cloned())
///     }
///
///     async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
///         let content = response.content.collect().await?;
///         self.0.lock().unwrap().insert(key.clone(), response.with_content(content));
///         Ok(())
///     }
///
///     async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
///         let mut map = self.0.lock().unwrap();
///         let stored = map.get_mut(key).filter(|stored| head.is_update_of(&stored.head));
///         Ok(stored.map(|stored| stored.head = head).is_some())
///     }
///
///     async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
///         self.0.lock().unwrap().remove(key);
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// tower_cdn::store::conformance::check(async || MapStore::default()).await;
/// # });
/// ```
pub trait Store: Send + Sync + 'static {
    /// What lies under the key.
    fn get(
        &self,
        key: &CacheKey,
    ) -> impl Future<Output = Result<Option<StoredResponse>, StoreError>> + Send;

    /// The same, if it can be told at once without waiting for anything. `None` only means "ask [`get`](Self::get)". This is the path
    /// of a hit: a store in memory should answer here.
    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        let _ = key;
        None
    }

    /// True if [`peek`](Self::peek) tells all there is: what it does not find is not there, and [`get`](Self::get) is not asked. For
    /// stores that never wait.
    fn peek_tells_all(&self) -> bool {
        false
    }

    /// Reads the content to its end and puts the response under the key. Polled first in the task of the request that brought the response, where it need not wait for
    /// content: what takes long does that elsewhere.
    fn put(
        &self,
        key: &CacheKey,
        response: StoredResponse,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Replaces the head and keeps the content (RFC 9111 section 4.3.4), as one step. `false` if nothing is there, or a response whose head this
    /// is no [update of](StoredHead::is_update_of): one that came in between has other content.
    fn freshen(
        &self,
        key: &CacheKey,
        head: StoredHead,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes what lies under the key. It is fine if nothing does.
    fn delete(&self, key: &CacheKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What was [noted](Self::note) and not withdrawn, with its numbers. Asked once, when the layer is built. A store that keeps nothing beyond the life
    /// of the process has nothing to tell, which is the default.
    fn notes(&self) -> Vec<(u64, Bytes)> {
        Vec::new()
    }

    /// Keeps a small note of the cache under this number for as long as responses are kept, in place of what was noted under it before, or withdraws
    /// it with `None`. Once this has returned, the end of the process does not undo it. The default keeps nothing.
    fn note(
        &self,
        number: u64,
        note: Option<Bytes>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        let _ = (number, note);
        ready(Ok(()))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Store> Store for Arc<T> {
    fn get(
        &self,
        key: &CacheKey,
    ) -> impl Future<Output = Result<Option<StoredResponse>, StoreError>> + Send {
        T::get(self, key)
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        T::peek(self, key)
    }

    fn peek_tells_all(&self) -> bool {
        T::peek_tells_all(self)
    }

    fn put(
        &self,
        key: &CacheKey,
        response: StoredResponse,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        T::put(self, key, response)
    }

    fn freshen(
        &self,
        key: &CacheKey,
        head: StoredHead,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        T::freshen(self, key, head)
    }

    fn delete(&self, key: &CacheKey) -> impl Future<Output = Result<(), StoreError>> + Send {
        T::delete(self, key)
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        T::notes(self)
    }

    fn note(
        &self,
        number: u64,
        note: Option<Bytes>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        T::note(self, number, note)
    }
}
