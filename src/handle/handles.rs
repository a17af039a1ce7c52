//! Several handles as one.
use super::{Handle, Invalidate};
use crate::{
    BoxError, Changed, InvalidationError, Receipt, Stats,
    engine::Engine,
    invalidation::{Mode, Target, read_uri},
};
use futures_util::future::join_all;
use http::Uri;
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

/// Several handles as one: those of tiers of caches in front of each other, or of caches beside each other. Cheap to clone.
///
/// What is invalidated goes in all of them, in their order: give the one that is nearest to the origin first, so that no other one can get from it what it has just
/// dropped. It is in force in all of them before anything is waited for.
///
/// # Example: an edge and a regional cache
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use tower_cdn::{CdnCacheLayer, Handles};
///
/// let regional = CdnCacheLayer::in_memory(1024 * 1024);
/// let edge = CdnCacheLayer::in_memory(1024 * 1024);
/// let handles = Handles::new([regional.handle(), edge.handle()]);
///
/// let receipts = handles.invalidate_path("/images/*").host("example.com").soft().await?;
/// assert_eq!(receipts.len(), 2);
/// # Ok::<_, tower_cdn::InvalidationError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Handles(Arc<[Handle]>);

impl Handles {
    /// These handles, the one that is nearest to the origin first.
    pub fn new(handles: impl IntoIterator<Item = Handle>) -> Self {
        Self(handles.into_iter().collect())
    }

    /// Counts of what happened so far, in the order of the handles.
    pub fn stats(&self) -> Vec<Stats> {
        self.0.iter().map(Handle::stats).collect()
    }

    /// See [`Handle::invalidate`].
    pub fn invalidate<U>(&self, uri: U) -> InvalidateEach
    where
        U: TryInto<Uri>,
        U::Error: Into<BoxError>,
    {
        InvalidateEach(read_uri(uri).map(|uri| self.each(|handle| handle.invalidate(uri.clone()))))
    }

    /// See [`Handle::invalidate_path`].
    pub fn invalidate_path(&self, pattern: impl AsRef<str>) -> InvalidateEach {
        InvalidateEach(Ok(self.each(|handle| handle.invalidate_path(pattern.as_ref()))))
    }

    /// See [`Handle::invalidate_tags`].
    pub fn invalidate_tags(
        &self,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> InvalidateEach {
        let tags: Vec<_> = tags.into_iter().collect();
        let tags = || tags.iter().map(AsRef::as_ref);
        InvalidateEach(Ok(self.each(|handle| handle.invalidate_tags(tags()))))
    }

    /// See [`Handle::invalidate_all`].
    pub fn invalidate_all(&self) -> InvalidateEach {
        InvalidateEach(Ok(self.each(Handle::invalidate_all)))
    }

    /// See [`Handle::changed`].
    pub fn changed(&self, changed: &Changed) {
        self.0.iter().for_each(|handle| handle.changed(changed));
    }

    fn each(&self, invalidate: impl FnMut(&Handle) -> Invalidate) -> Vec<Invalidate> {
        self.0.iter().map(invalidate).collect()
    }
}

/// An invalidation that [`Handles`] make when it is awaited; it gives a receipt for each.
///
/// # Errors
/// As for [`Invalidate`]: nothing was done then, by none of them.
///
/// # Cancel safety
/// Nothing is done before it is polled. From the first poll on it is in force everywhere; dropping it after that leaves only the receipts behind.
#[derive(Debug)]
#[must_use = "nothing is invalidated until it is awaited"]
pub struct InvalidateEach(Result<Vec<Invalidate>, InvalidationError>);

impl InvalidateEach {
    /// See [`Invalidate::soft`].
    pub fn soft(self) -> Self {
        self.map(Invalidate::soft)
    }

    /// See [`Invalidate::host`].
    pub fn host(self, host: impl AsRef<str>) -> Self {
        self.map(|one| one.host(host.as_ref()))
    }

    /// See [`Invalidate::error`].
    pub fn error(&self) -> Option<&InvalidationError> {
        match &self.0 {
            Ok(each) => each.iter().find_map(Invalidate::error),
            Err(error) => Some(error),
        }
    }

    fn map(self, change: impl FnMut(Invalidate) -> Invalidate) -> Self {
        Self(self.0.map(|each| each.into_iter().map(change).collect()))
    }
}

impl IntoFuture for InvalidateEach {
    type Output = Result<Vec<Receipt>, InvalidationError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        type Ready = (Arc<Engine>, Mode, Vec<Target>);
        Box::pin(async move {
            let ready = |Invalidate { engine, targets, mode }| Ok((engine, mode, targets?));
            let ready = self.0?.into_iter().map(ready);
            let ready: Vec<Ready> = ready.collect::<Result<_, InvalidationError>>()?;
            // None waits for the one before, so all of them are in force now.
            let in_force: Vec<_> = (ready.into_iter())
                .map(|(engine, mode, targets)| engine.invalidate_as_told(mode, targets))
                .collect();
            Ok(join_all(in_force.into_iter().map(|one| one.receipt())).await)
        })
    }
}
