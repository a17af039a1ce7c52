//! A limit on how long something may take.
use futures_util::future::poll_immediate;
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::{error::Elapsed, timeout};

/// As [`timeout`], but what is ready at once, as most answers of a store in memory and most frames are, needs no timer.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match poll_immediate(future.as_mut()).await {
        Some(output) => Ok(output),
        None => timeout(limit, future).await,
    }
}
