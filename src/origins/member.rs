//! An origin of a group.
use super::{
    OriginError, OriginName,
    health::Health,
    meter::{Measured, Meter},
};
use crate::BoxError;
use http::{Request, Response};
use http_body::Body;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time;
use tower::ServiceExt;
use tower_service::Service;

/// An origin: its name, its service, what is known of its health and its speed.
#[derive(Debug)]
pub(crate) struct Member<S> {
    pub(crate) name: OriginName,
    pub(crate) service: S,
    pub(crate) health: Arc<Health>,
    pub(crate) meter: Meter,
}

impl<S> Member<S> {
    pub(crate) fn new(name: OriginName, service: S) -> Self {
        Self { name, service, health: Arc::default(), meter: Meter::new() }
    }

    /// Sends a request, and waits this long until the service is ready and has answered. Whether it has answered well the caller knows.
    pub(crate) fn send<Q, B>(
        &self,
        request: Request<Q>,
        limit: Option<Duration>,
    ) -> impl Future<Output = (Result<Response<B>, OriginError>, Measured)> + use<S, Q, B>
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        Q: Body,
    {
        let is_upload = !request.body().is_end_stream();
        let answer = self.service.clone().oneshot(request);
        let measured = if is_upload { self.meter.start_upload() } else { self.meter.start() };
        async move {
            let answer = match limit {
                None => Ok(answer.await),
                Some(limit) => time::timeout(limit, answer).await,
            };
            let answer = match answer {
                Ok(answer) => answer.map_err(OriginError::failed),
                Err(_) => Err(OriginError::timed_out()),
            };
            (answer, measured)
        }
    }
}
