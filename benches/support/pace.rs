//! How requests are sent: one after the other, each body read to its end.
use super::request::Ask;
use http::Response;
use http_body::Body;
use std::{future::poll_fn, pin::pin};
use tokio::runtime::{Builder, Runtime};
use tower::Service;

/// One thread, so that a count is a count of all there is to do.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Sends a copy of each and tells how many bytes of content came back.
pub(crate) async fn send_all<S, B>(service: &mut S, requests: &[Ask]) -> usize
where
    S: Service<Ask, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Data = bytes::Bytes, Error: std::fmt::Debug>,
{
    let mut bytes = 0;
    for request in requests {
        let response = service.call(request.clone()).await.expect("an answer");
        bytes += read(response.into_body()).await;
    }
    bytes
}

/// Reads a body to its end.
pub(crate) async fn read<B>(body: B) -> usize
where
    B: Body<Data = bytes::Bytes, Error: std::fmt::Debug>,
{
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        bytes += frame.expect("a frame").data_ref().map_or(0, bytes::Bytes::len);
    }
    bytes
}
