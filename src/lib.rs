//! A CDN edge as one tower layer: a shared HTTP cache (RFC 9111) in front of any [`tower_service::Service`].
//!
//! # A layer, and that is all
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_cdn::CdnCacheLayer;
//!
//! let app: Router = Router::new()
//!     .route("/", get(|| async { ([("cache-control", "max-age=60")], "made once a minute") }))
//!     .layer(CdnCacheLayer::in_memory(64 * 1024 * 1024));
//! ```
//!
//! # The life of a request
//!
//! 1. **Under which rules?** Those of the layer, or, with a [`Distribution`], those of the first behaviour that matches: it may refuse the method (403), and take away
//!    fields that the origin is not to see ([`ForwardedHeaders`]).
//! 2. **Does it take part?** GET and HEAD without content do. All else is passed on as it is, but for `Host`, which always names the target's host, and for `Via` and `CDN-Loop` where the policy
//!    names them; its bodies are unboxed and never buffered. A successful answer to an unsafe method makes what is stored for its URI invalid.
//! 3. **Look up.** The key is made of scheme, host, port, path and query, and of what [`KeyPolicy`] adds. `Vary` selects among variants.
//! 4. **Judge.** Fresh: the answer is ready at once, and the inner service is neither called nor asked whether it is ready. Stale but
//!    allowed: the same, and one fetch behind the client's back. Else the inner service is asked, with the validators of what is stored.
//! 5. **Fetch.** One for all who ask for the same, which goes on in a task of its own if it has to wait. As soon as the head says that the response may be shared, all get it while its
//!    body arrives; the store is one more reader. If it may not, all are released at once.
//! 6. **Deliver.** Conditions and ranges of the client are answered from the stored response; `Age` and `Cache-Status` tell what happened, and so does the
//!    [`CacheStatus`] among the response's extensions.
//!
//! # Cancel safety
//!
//! Dropping a response future, or a body, never disturbs anybody else. Dropping the request that started a fetch leaves the fetch to those
//! who follow it and to the store; a fetch that nobody wants any more ends. A request with an unsafe method that was sent
//! goes on for [`CachePolicy::fetch_timeout`] at most, since its answer tells what is not valid any more. Dropping the body of a forwarded response drops the inner service's body.
//!
//! # Errors
//!
//! The service's error is the inner service's: the cache adds none. A fault of the store is a miss. The one thing that the cache can do to a
//! client beside answering is to break off a body that is not complete, by a [`ContentError`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `memory` | yes | [`MemoryStore`] and [`CdnCacheLayer::in_memory`] |
//! | `disk` | no | `store::DiskStore`, on Unix; needs Rust 1.90 |
//! | `tiered` | no | `Tiered`: one store in front of another |
//! | `origins` | no | the module `origins`: selection of origins and failover |
//! | `client` | no | `origins::HttpOrigin`: connections to an origin; implies `origins` |
//! | `s3` | no | `origins::S3Origin`: private buckets; implies `origins` |
//! | `tracing` | no | events with the target `tower_cdn`: one for each request, a warning for each fault of a store and for each origin that is skipped |
//!
//! # Runtime
//!
//! Fetches that have to wait are tokio tasks and timers tokio timers: a tokio runtime with time enabled is needed. The inner service is polled first in the task of the
//! request, and then in the fetch's: it cannot rely on task-locals of the one who asked.
//!
//! # Learn more
//!
//! - [`CdnCacheLayer`]: building and sharing a cache; [`Handle`]: invalidation and statistics; [`Handles`]: those of several tiers.
//! - [`CachePolicy`]: what is stored, for how long, with which limits; its presets.
//! - [`Distribution`]: other rules for other paths and hosts, the origin that each asks, error pages.
//! - [`KeyPolicy`]: what makes two requests ask for the same thing.
//! - [`store`]: keeping responses; [`MemoryStore`], `DiskStore` (feature `disk`), `Tiered` (feature `tiered`), and [`Store`] with [`store::conformance`] for one of your own.
//! - [`CacheStatus`]: what happened to a request, and why.
//! - [`Clock`]: tests in virtual time.
//! - `origins` (feature `origins`): which origin answers, failover, one place for each object, a regional tier.
#![cfg_attr(not(feature = "memory"), allow(rustdoc::broken_intra_doc_links))]

mod body;
mod clock;
mod distribution;
mod engine;
mod error;
mod error_page;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod invalidation;
mod key;
mod layer;
#[cfg(feature = "origins")]
pub mod origins;
mod policy;
mod semantics;
mod service;
pub mod store;
mod stored;
mod sync;

pub use body::CacheBody;
pub use clock::Clock;
pub use distribution::{
    Behaviour, Distribution, DistributionBuilder, DistributionError, Dynamic, ForwardedHeaders,
    OriginName,
};
pub use engine::Stats;
pub use error::{BoxError, ContentError, StoreError};
pub use handle::{Handle, Handles, Invalidate, InvalidateEach};
pub use invalidation::{InvalidationError, Receipt};
pub use key::{CacheKey, Influential, KeyPolicy, Parameters};
pub use layer::{Builder, CdnCacheLayer};
pub use policy::{Bypass, CachePolicy, DoNotCollapse, DoNotStore, RangeFetch};
pub use semantics::{
    cache_status::{CacheStatus, Detail, Forward},
    changed::Changed,
    sharing::SetCookie,
    storing::NotStored,
};
pub use service::{CdnCache, ResponseFuture};
#[cfg(feature = "memory")]
pub use store::MemoryStore;
pub use store::Store;
#[cfg(feature = "tiered")]
pub use store::Tiered;
pub use stored::{Content, ContentBody, RecordError, StoredHead, StoredResponse};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
