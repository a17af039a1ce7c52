//! A CDN edge as one tower layer.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod clock;
mod engine;
mod error;
mod key;
mod layer;
mod policy;
mod semantics;
mod service;
pub mod store;
mod stored;

pub use body::CacheBody;
pub use clock::Clock;
pub use engine::Stats;
pub use error::{BoxError, ContentError, StoreError};
pub use key::{CacheKey, Influential, KeyPolicy, Parameters};
pub use layer::{Builder, CdnCacheLayer, Handle};
pub use policy::{CachePolicy, DoNotStore};
pub use semantics::{
    cache_status::{CacheStatus, Detail, Forward},
    storing::{NotStored, SetCookie},
};
pub use service::{CdnCache, ResponseFuture};
#[cfg(feature = "memory")]
pub use store::MemoryStore;
pub use store::Store;
pub use stored::{Content, ContentBody, RecordError, StoredHead, StoredResponse};
