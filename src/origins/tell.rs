//! Who has to hear of answers that a tier does not see.
use crate::Changed;
use std::{future::Future, pin::Pin};

/// Tells a cache what the answer to an unsafe request has changed that did not pass it.
///
/// Implemented by [`Handle`](crate::Handle) and [`Handles`](crate::Handles), for caches of this process, and by closures, for those elsewhere.
///
/// # Cancel safety
/// It is asked as soon as the answer is there, and the client's response waits until its future is done. If the client leaves meanwhile, the edge's cache goes on with it for
/// [`CachePolicy::fetch_timeout`](crate::CachePolicy::fetch_timeout) at most, and then the future is dropped: one that has to come to its end should be a task.
///
/// # Example: a cache in another process
/// ```
/// use tower_cdn::{Changed, origins::TellChanged};
///
/// async fn post(changed: Changed) {
///     // Sends it, tries again where that fails, and gives up in time.
/// }
///
/// fn regional() -> impl TellChanged {
///     |changed: Changed| async move {
///         _ = tokio::spawn(post(changed)).await;
///     }
/// }
/// # let _ = regional();
/// ```
pub trait TellChanged: Send + Sync + 'static {
    /// Tells it. It cannot fail: what could not be told is this one's business.
    fn tell(&self, changed: Changed) -> impl Future<Output = ()> + Send;
}

impl<F, T> TellChanged for F
where
    F: Fn(Changed) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send,
{
    fn tell(&self, changed: Changed) -> impl Future<Output = ()> + Send {
        self(changed)
    }
}

/// The same behind a pointer.
pub(super) trait ErasedTell: Send + Sync {
    fn tell_boxed(&self, changed: Changed) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<T: TellChanged> ErasedTell for T {
    fn tell_boxed(&self, changed: Changed) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.tell(changed))
    }
}
