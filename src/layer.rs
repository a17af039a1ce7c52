//! The layer and its builder.
#[cfg(feature = "memory")]
use crate::MemoryStore;
use crate::{
    CachePolicy, CdnCache, Clock, Distribution, Handle, KeyPolicy, Store,
    engine::{Engine, Engines, Spare},
};
use std::sync::Arc;
use tower_layer::Layer;

/// Puts a CDN edge in front of a service. Cheap to clone: all clones, and all services made by them, share one store and one table of
/// fetches.
///
/// Needs a tokio runtime with time enabled.
///
/// # Example: in front of any service
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{Empty, Full};
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_cdn::{CacheStatus, CdnCacheLayer};
///
/// let service = ServiceBuilder::new()
///     .layer(CdnCacheLayer::in_memory(64 * 1024 * 1024))
///     .service(service_fn(|_: Request<Empty<Bytes>>| async {
///         let response = Response::builder().header("cache-control", "max-age=60");
///         Ok::<_, Infallible>(response.body(Full::new(Bytes::from("hello"))).unwrap())
///     }));
///
/// let request = Request::get("http://example.com/").body(Empty::new()).unwrap();
/// let response = service.oneshot(request).await.unwrap();
/// assert!(response.extensions().get::<CacheStatus>().unwrap().is_stored());
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct CdnCacheLayer {
    engines: Arc<Engines>,
}

impl CdnCacheLayer {
    /// A cache with this store and everything else by default.
    pub fn new(store: impl Store) -> Self {
        Self::builder(store).build()
    }

    /// A cache in memory that takes this many bytes.
    #[cfg(feature = "memory")]
    pub fn in_memory(bytes: u64) -> Self {
        Self::new(MemoryStore::new(bytes))
    }

    /// A cache with this store, to be configured.
    pub fn builder(store: impl Store) -> Builder {
        Builder { engine: Engine::new(store), distribution: None }
    }

    /// The same cache under another distribution, for an operator who changes the rules of a cache that runs. The store, the fetches under way, invalidations and
    /// statistics are shared with this layer and its services, which go on under their own rules: exchange them when it suits.
    ///
    /// - What is stored stays and answers as before, also where the new rules would not have stored it: a lifetime is decided when a response is stored.
    ///   [`Handle::invalidate_all`] is for those who want otherwise.
    /// - A request that finds a fetch of the other layer under way waits for it.
    /// - A [`Handle`] of either layer speaks for both, and knows the keys of both.
    ///
    /// It takes the place of [`Builder::policy`], [`Builder::key_policy`] and [`Builder::distribution`]; all else stays as it was built.
    ///
    /// # Example: another lifetime, and what is stored stays
    /// ```
    /// use std::time::Duration;
    /// use tower_cdn::{Behaviour, CachePolicy, CdnCacheLayer, Distribution};
    ///
    /// # fn main() -> Result<(), tower_cdn::DistributionError> {
    /// let layer = CdnCacheLayer::in_memory(64 * 1024 * 1024);
    /// let policy = CachePolicy::default().default_ttl(Duration::from_secs(60));
    /// let layer = layer.with_distribution(Distribution::builder(Behaviour::new(policy)).build()?);
    /// # let _ = layer;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_distribution(&self, distribution: Distribution) -> Self {
        Self { engines: Arc::new(self.engines.under(distribution)) }
    }

    /// What controls the cache and tells how it does.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(self.engines.any()))
    }
}

impl<S> Layer<S> for CdnCacheLayer {
    type Service = CdnCache<S>;

    fn layer(&self, inner: S) -> CdnCache<S> {
        CdnCache::new(inner, Arc::clone(&self.engines))
    }
}

/// Configures a [`CdnCacheLayer`]. The layer is shared, so it cannot change once it is built; [`CdnCacheLayer::with_distribution`] makes another one of the same cache.
///
/// # Example
/// ```
/// use tower_cdn::{CachePolicy, CdnCacheLayer, Clock, KeyPolicy, MemoryStore};
///
/// let layer = CdnCacheLayer::builder(MemoryStore::new(64 * 1024 * 1024))
///     .policy(CachePolicy::rfc9111())
///     .key_policy(KeyPolicy::default().https(true))
///     .clock(Clock::system())
///     .build();
/// # let _ = layer;
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    engine: Engine,
    distribution: Option<Distribution>,
}

impl Builder {
    /// What is stored and for how long. Default: [`CachePolicy::default`].
    pub fn policy(mut self, policy: CachePolicy) -> Self {
        self.engine.policy = policy;
        self
    }

    /// What makes two requests ask for the same thing. Default: [`KeyPolicy::default`].
    pub fn key_policy(mut self, keys: KeyPolicy) -> Self {
        self.engine.keys = keys;
        self
    }

    /// Other rules for other paths and hosts. Its default behaviour takes the place of [`policy`](Self::policy) and [`key_policy`](Self::key_policy). Default: none, and
    /// these two hold for all requests.
    ///
    /// Its error pages need [`empty_body`](Self::empty_body) for most types of request bodies.
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.distribution = Some(distribution);
        self
    }

    /// Where the time is read. Default: [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.engine.clock = clock;
        self
    }

    /// How to make an empty request body of the type that the services of this layer take.
    ///
    /// The cache makes a request of its own where the client's body is spent:
    /// - To fetch an [error page](crate::DistributionBuilder::error_page). Without an empty body no page is fetched, and clients get errors as they are.
    /// - Where the origin's answer contradicts what it was asked, and it has to be asked once more without conditions. Without an empty body such an answer is 502, or what is
    ///   stored where `stale-if-error` permits.
    ///
    /// Known already: `String`, and of `http-body-util` over [`Bytes`](bytes::Bytes) the types `Empty`, `Full`, and `UnsyncBoxBody` with the error [`Infallible`](std::convert::Infallible) or [`BoxError`](crate::BoxError). All
    /// others have to be told, among them axum's `Body`. hyper's `Incoming` has no empty value: turn it into another type in front of the cache.
    ///
    /// # Example: for axum
    /// ```
    /// # use tower_cdn::{CdnCacheLayer, MemoryStore};
    /// let layer = CdnCacheLayer::builder(MemoryStore::new(1024)).empty_body(axum::body::Body::empty).build();
    /// # let _ = layer;
    /// ```
    pub fn empty_body<Q: 'static>(mut self, make: impl Fn() -> Q + Send + Sync + 'static) -> Self {
        self.engine.spare = Arc::new(Spare::new(make));
        self
    }

    /// The layer.
    #[must_use]
    pub fn build(self) -> CdnCacheLayer {
        let engines = Engines::new(self.engine, self.distribution);
        engines.any().restore();
        CdnCacheLayer { engines: Arc::new(engines) }
    }
}
