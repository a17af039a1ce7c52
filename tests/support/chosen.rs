//! The store of the stories: in memory, or what the environment chooses.
//!
//! `TOWER_CDN_STORE=tiers` puts memory in front of memory, `TOWER_CDN_STORE=disk` memory in front of a disk; `TOWER_CDN_NEAR_LIMIT` is the largest content in
//! bytes that the memory in front gets. A disk takes real time. Virtual time stands still as long as tokio's threads for blocking work have
//! something to do, so that no timeout passes meanwhile; but who lets the others run has to wait for the disk, as [`settle`](super::settle) does.
use bytes::Bytes;
use tower_cdn::{CacheKey, MemoryStore, Store, StoreError, StoredHead, StoredResponse};

#[cfg(feature = "tiered")]
type Tiers<Far> = std::sync::Arc<tower_cdn::Tiered<MemoryStore, Far>>;

/// Clones share one store.
#[derive(Clone)]
pub(crate) enum Chosen {
    Memory(MemoryStore),
    #[cfg(feature = "tiered")]
    Tiers(Tiers<MemoryStore>),
    #[cfg(all(feature = "tiered", feature = "disk", unix))]
    Disk(Tiers<super::disk::Watched>),
}

/// An empty store of this capacity.
pub(crate) fn chosen(capacity: u64) -> Chosen {
    let memory = MemoryStore::new(capacity);
    match std::env::var("TOWER_CDN_STORE").as_deref() {
        Err(_) | Ok("" | "memory") => Chosen::Memory(memory),
        #[cfg(feature = "tiered")]
        Ok("tiers") => Chosen::Tiers(tiers(memory, MemoryStore::new(capacity))),
        #[cfg(all(feature = "tiered", feature = "disk", unix))]
        Ok("disk") => Chosen::Disk(tiers(memory, super::disk::Watched::new())),
        Ok(other) => panic!(
            "TOWER_CDN_STORE={other} is none of memory, tiers (feature tiered), disk (feature disk too)"
        ),
    }
}

#[cfg(feature = "tiered")]
fn tiers<Far>(near: MemoryStore, far: Far) -> Tiers<Far> {
    let tiered = tower_cdn::Tiered::new(near, far);
    let limit = std::env::var("TOWER_CDN_NEAR_LIMIT").ok();
    let limit = limit.map(|limit| limit.parse().expect("a number of bytes"));
    std::sync::Arc::new(match limit {
        Some(limit) => tiered.near_limit(limit),
        None => tiered,
    })
}

/// The same for whichever store it is.
macro_rules! each {
    ($self:ident, $store:ident => $what:expr) => {
        match $self {
            Chosen::Memory($store) => $what,
            #[cfg(feature = "tiered")]
            Chosen::Tiers($store) => $what,
            #[cfg(all(feature = "tiered", feature = "disk", unix))]
            Chosen::Disk($store) => $what,
        }
    };
}

impl Chosen {
    /// How many responses are stored: what is in front lies behind as well.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(store) => store.len(),
            #[cfg(feature = "tiered")]
            Self::Tiers(tiers) => tiers.far().len(),
            #[cfg(all(feature = "tiered", feature = "disk", unix))]
            Self::Disk(tiers) => tiers.far().len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Memory(store) => store.weight(),
            #[cfg(feature = "tiered")]
            Self::Tiers(tiers) => tiers.near().weight().max(tiers.far().weight()),
            #[cfg(all(feature = "tiered", feature = "disk", unix))]
            Self::Disk(tiers) => tiers.near().weight(),
        }
    }
}

impl Store for Chosen {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        each!(self, store => store.get(key).await)
    }

    fn peek(&self, key: &CacheKey) -> Option<StoredResponse> {
        each!(self, store => store.peek(key))
    }

    fn peek_tells_all(&self) -> bool {
        each!(self, store => store.peek_tells_all())
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        each!(self, store => store.put(key, response).await)
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        each!(self, store => store.freshen(key, head).await)
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        each!(self, store => store.delete(key).await)
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        each!(self, store => store.notes())
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        each!(self, store => store.note(number, note).await)
    }
}
