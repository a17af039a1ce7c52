//! Which origin answers: selection, failover, the nearest of several, one place for each object.
//!
//! Everything here is a tower [`Service`](tower_service::Service) that stands where the origin stands: inside the cache, or without one.
//!
//! - [`Origins`] hands each request to the origin that a [`SelectOrigin`] names.
//! - [`OriginGroup`] asks its origins in order until one answers well.
//! - [`Nearest`] asks the quickest and least busy of equal origins.
//! - [`Sharded`] keeps each object in one place among several.
//! - [`Regional`] sends an edge's requests to a second tier of caches, but for those that gain nothing there.
//! - `HttpOrigin` (feature `client`) is one origin over HTTP/1.1: its connections and timeouts.
//! - `S3Origin` (feature `s3`) is a bucket, also a private one: it signs requests.
//!
//! [`OriginGroup`], [`Nearest`] and [`Sharded`] fail over and watch the health of their origins by one [`FailoverPolicy`]. They nest: an origin of a group may be a group.
//!
//! # Example: an API, and files that two origins have
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{BoxError, ServiceExt, service_fn, util::BoxCloneSyncService};
//! use tower_cdn::origins::{Attempts, OriginGroup, Origins};
//!
//! type Origin = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
//!
//! fn origin(status: u16) -> Origin {
//!     BoxCloneSyncService::new(service_fn(move |_| async move {
//!         Ok(Response::builder().status(status).body(Full::default())?)
//!     }))
//! }
//!
//! let files = OriginGroup::new([("primary", origin(503)), ("secondary", origin(200))]);
//! let origins = Origins::new(|head: &http::request::Parts| {
//!     if head.uri.path().starts_with("/api/") { "api" } else { "files" }
//! })
//! .origin("api", origin(200))
//! .origin("files", BoxCloneSyncService::new(files.map_err(Into::into)));
//!
//! let request = Request::get("http://example.com/logo.svg").body(Full::default()).unwrap();
//! let response = origins.oneshot(request).await.unwrap();
//! let attempts = response.extensions().get::<Attempts>().unwrap();
//! assert_eq!(attempts.to_string(), "primary=503, secondary=200");
//! # });
//! ```
//!
//! # Bodies of requests
//! A request is sent to a second origin only if it can be made again: its method is GET, HEAD or OPTIONS and its body is at its end. The
//! body that goes to the second origin is `Q::default()`, which is empty for the usual types (`Full`, `Empty`, `BoxBody`, `axum::body::Body`). Bodies of
//! hyper's server have no empty value: turn them into such a type with [`map_request`](tower::ServiceExt::map_request).
//!
//! # Errors
//! These services fail with an [`OriginError`]. The cache hands it on where it may not answer with something stale; [`OriginError::status`] says what to tell
//! the client then.
//!
//! # Cancel safety
//! Dropping a response future drops the request to the origin that is being asked. It counts neither for nor against the health of that origin.
//! Nor does an upload to an `HttpOrigin` (feature `client`) that its client breaks off, or what an `S3Origin` (feature `s3`) refuses
//! by itself.
#[macro_use]
mod macros;

mod attempts;
mod check;
#[cfg(feature = "client")]
mod client;
mod error;
mod failover;
mod future;
mod group;
mod health;
mod member;
mod meter;
mod nearest;
mod policy;
mod regional;
mod repeat;
#[cfg(feature = "s3")]
mod s3;
mod select;
mod service;
mod sharded;
mod tell;
mod unasked;

pub use crate::OriginName;
pub use attempts::{Attempt, Attempts, Outcome};
#[cfg(feature = "client")]
pub use client::{HttpBody, HttpOrigin, HttpOriginBuilder};
pub use error::OriginError;
pub use future::ResponseFuture;
pub use group::OriginGroup;
pub use nearest::Nearest;
pub use policy::FailoverPolicy;
pub use regional::Regional;
#[cfg(feature = "s3")]
pub use s3::{S3Bucket, S3Credentials, S3Origin, SignRequests};
pub use select::{ByExtension, SelectOrigin};
pub use service::Origins;
pub use sharded::Sharded;
pub use tell::TellChanged;
