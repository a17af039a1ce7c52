//! What goes on where its client has left.
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, time::timeout};

/// Comes to its end, though not later than after this time, also where nobody waits for it any more: what it has changed counts all the same.
pub(super) struct GoesOn<T: 'static> {
    future: Option<BoxFuture<'static, T>>,
    limit: Duration,
}

impl<T: 'static> GoesOn<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static, limit: Duration) -> Self {
        Self { future: Some(Box::pin(future)), limit }
    }
}

impl<T: 'static> Future for GoesOn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Not there while it is polled: what panics does not go on.
        let Some(mut future) = self.future.take() else { return Poll::Pending };
        let polled = future.poll_unpin(cx);
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }
}

impl<T: 'static> Drop for GoesOn<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let limit = self.limit;
            runtime.spawn(async move { drop(timeout(limit, future.map(drop)).await) });
        }
    }
}
