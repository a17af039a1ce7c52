//! The handle: invalidation and statistics.
mod handles;
#[cfg(feature = "origins")]
mod told;

pub use handles::{Handles, InvalidateEach};

use crate::{
    BoxError, CacheKey, Changed, InvalidationError, Receipt, Stats,
    engine::Engine,
    invalidation::{Mode, Target, read_uri},
};
use http::Uri;
use std::{
    collections::HashSet,
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

/// What controls a cache and tells how it does. Cheap to clone.
///
/// # Invalidation
/// What is stored goes when it is told to: by its URI, its path, its tags, or all of it. Once the call has returned, no request that starts later gets what was
/// asked for before, whichever variant it is. A fetch that is under way is delivered to those who wait for it, and to nobody else; the same holds for a refresh behind a
/// client's back. It takes the same time however much is stored: nothing is searched, each response is asked when it is looked up.
///
/// An invalidation is hard, and what it names is gone; or [soft](Invalidate::soft), and it is stale from now. It concerns all services and all [behaviours](crate::Distribution) of the layer.
///
/// # Example: the pages of one host, and all that have a tag
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let handle = tower_cdn::CdnCacheLayer::in_memory(64 * 1024 * 1024).handle();
///
/// handle.invalidate("http://example.com/a.css").await?;
/// handle.invalidate_path("/images/*").host("example.com").await?;
/// let receipt = handle.invalidate_tags(["news", "sports"]).soft().await?;
/// println!("number {} at {:?}", receipt.number(), receipt.time());
/// # Ok::<_, tower_cdn::InvalidationError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    engine: Arc<Engine>,
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Counts of what happened so far.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Invalidates one URI, with scheme and host: all its variants, and all that is stored for it because of what
    /// [`KeyPolicy`](crate::KeyPolicy) keys beside the URI. What is hard is deleted from the store at once.
    ///
    /// The URI is keyed as that of a request is: query parameters that do not count do not count here either.
    ///
    /// # Example: a page that was edited
    /// ```
    /// # async fn edited(handle: &tower_cdn::Handle) -> Result<(), tower_cdn::InvalidationError> {
    /// handle.invalidate("https://example.com/news?page=1").await?;
    /// # Ok(()) }
    /// ```
    pub fn invalidate<U>(&self, uri: U) -> Invalidate
    where
        U: TryInto<Uri>,
        U::Error: Into<BoxError>,
    {
        self.all_of(
            read_uri(uri)
                .and_then(|uri| {
                    let keys = self.engine.keys_of_uri(&uri);
                    if keys.is_empty() { Err(InvalidationError::no_key()) } else { Ok(keys) }
                })
                .map(|keys| keys.into_iter().map(Target::Uri).collect()),
        )
    }

    /// Invalidates a path, or, with `*` as the last character, all that begin so. The query counts as part of the path: `/a` is `/a` without a query, `/a?*` is `/a`
    /// with any, and `/a*` is both, and `/about` too. Of all [hosts](Invalidate::host) and schemes, unless one host is named.
    ///
    /// The pattern is compared with the path as it was received, byte by byte, and with the query as it is keyed.
    ///
    /// # Example: everything below a folder
    /// ```
    /// # async fn deployed(handle: &tower_cdn::Handle) -> Result<(), tower_cdn::InvalidationError> {
    /// handle.invalidate_path("/assets/*").host("example.com").await?;
    /// # Ok(()) }
    /// ```
    pub fn invalidate_path(&self, pattern: impl AsRef<str>) -> Invalidate {
        self.one(Target::path(pattern.as_ref()))
    }

    /// Invalidates all responses that have at least one of these tags: by `Cache-Groups` (RFC 9875), or by the fields that
    /// [`CachePolicy::tag_fields`](crate::CachePolicy::tag_fields) names. Tags are compared byte by byte.
    ///
    /// A tag is meant wherever it occurs, on all [hosts](Invalidate::host), unless one is named. That is for operators: what an answer says by
    /// `Cache-Group-Invalidation` concerns its own origin only.
    ///
    /// # Example: an article, wherever it is shown
    /// ```
    /// # async fn edited(handle: &tower_cdn::Handle, id: u64) -> Result<(), tower_cdn::InvalidationError> {
    /// handle.invalidate_tags([format!("article-{id}")]).await?;
    /// # Ok(()) }
    /// ```
    pub fn invalidate_tags(&self, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Invalidate {
        let tags: Vec<_> = tags.into_iter().collect();
        self.all_of(Target::tags(tags.iter().map(AsRef::as_ref)))
    }

    /// Invalidates everything, or everything of one [host](Invalidate::host).
    ///
    /// # Example: a new version of the whole site
    /// ```
    /// # async fn deployed(handle: &tower_cdn::Handle) -> Result<(), tower_cdn::InvalidationError> {
    /// handle.invalidate_all().soft().await?;
    /// # Ok(()) }
    /// ```
    pub fn invalidate_all(&self) -> Invalidate {
        self.one(Ok(Target::everything()))
    }

    /// Invalidates what the answer to an unsafe request has changed that this cache has not seen: what an answer that it sees makes invalid by itself. In force when
    /// this returns; like those, it does not wait for the store.
    ///
    /// Not for operators: there may be as many of these as clients make, and they cannot drive out what operators have said.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Example: a job that writes past the cache
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let handle = tower_cdn::CdnCacheLayer::in_memory(1024 * 1024).handle();
    /// handle.changed(&tower_cdn::Changed::new("http://example.com/prices".parse().unwrap()));
    /// # });
    /// ```
    pub fn changed(&self, changed: &Changed) {
        let keys = changed.uris().iter().flat_map(|uri| self.engine.keys_of_uri(uri));
        let keys: HashSet<CacheKey> = keys.collect();
        let groups =
            changed.groups().iter().flat_map(|name| keys.iter().map(|key| key.group(name)));
        let groups: HashSet<CacheKey> = groups.collect();
        if !keys.is_empty() {
            let groups = groups.into_iter().map(Target::Group).collect();
            self.engine.invalidate_as_answered(keys.into_iter().collect(), groups);
        }
    }

    fn one(&self, target: Result<Target, InvalidationError>) -> Invalidate {
        self.all_of(target.map(|target| vec![target]))
    }

    fn all_of(&self, targets: Result<Vec<Target>, InvalidationError>) -> Invalidate {
        Invalidate { engine: Arc::clone(&self.engine), targets, mode: Mode::Hard }
    }
}

/// An invalidation that [`Handle`] makes when it is awaited.
///
/// # Errors
/// A pattern, tag, host or URI that is none: [`InvalidationError`] says what is wrong, and nothing was done. A store that fails is no error: the invalidation is in force
/// nevertheless, see [`Receipt::is_durable`].
///
/// # Cancel safety
/// Nothing is done before it is polled. From the first poll on it is in force; dropping it after that leaves only the receipt behind.
///
/// # Panics
/// When it is polled outside of a tokio runtime: a task tells the store.
#[must_use = "nothing is invalidated until it is awaited"]
pub struct Invalidate {
    engine: Arc<Engine>,
    targets: Result<Vec<Target>, InvalidationError>,
    mode: Mode,
}

impl Invalidate {
    /// What it names is not gone, but stale from now: the inner service is asked whether it is still good, and if that fails, it may answer as `stale-if-error`
    /// permits. It does not answer under `stale-while-revalidate`. Once it was validated it is fresh again.
    pub fn soft(mut self) -> Self {
        self.mode = Mode::Soft;
        self
    }

    /// Of this host only, whatever scheme and port. It is an error for an URI, which names its host itself.
    pub fn host(mut self, host: impl AsRef<str>) -> Self {
        let of_host = |target: Target| target.of_host(host.as_ref());
        self.targets = self.targets.and_then(|targets| targets.into_iter().map(of_host).collect());
        self
    }

    /// What is wrong with it, if anything is: known before it is awaited, so that several can be checked before the first one is made.
    pub fn error(&self) -> Option<&InvalidationError> {
        self.targets.as_ref().err()
    }
}

impl IntoFuture for Invalidate {
    type Output = Result<Receipt, InvalidationError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { engine, targets, mode } = self;
        Box::pin(async move { Ok(engine.invalidate_as_told(mode, targets?).receipt().await) })
    }
}

impl fmt::Debug for Invalidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidate")
            .field("targets", &self.targets)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
