//! Where blocking work runs: on the threads that tokio keeps for it, never on those of the tasks.
use crate::StoreError;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
};

/// Work that runs elsewhere. What is dropped before it began does not run.
#[derive(Debug)]
pub(super) struct Blocking<T>(JoinHandle<T>);

/// Begins now.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    Blocking(spawn_blocking(work))
}

/// Runs to its end whoever waits: on a thread for blocking work, or here and now where there is no runtime and blocking disturbs nobody.
pub(super) fn detach(work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_no_runtime) => work(),
    }
}

/// Work for a thread of its own, which may take long.
pub(super) fn thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("tower-cdn-disk".into()).spawn(work).map(drop)
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(StoreError::new)
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
