//! The future of these services.
use super::OriginError;
use crate::BoxError;
use http::Response;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Response future of the services of this module.
///
/// # Cancel safety
/// Dropping it drops the request to the origin that is being asked.
pub struct ResponseFuture<B>(Answer<B>);

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, OriginError>> + Send>>;

impl<B> ResponseFuture<B> {
    pub(crate) fn new(
        answer: impl Future<Output = Result<Response<B>, OriginError>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(answer))
    }

    /// Of an inner service, with the error of these services.
    pub(crate) fn of<E: Into<BoxError>>(
        answer: impl Future<Output = Result<Response<B>, E>> + Send + 'static,
    ) -> Self {
        Self::new(async move { answer.await.map_err(OriginError::failed) })
    }
}

impl<B> Future for ResponseFuture<B> {
    type Output = Result<Response<B>, OriginError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
