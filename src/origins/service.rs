//! Hands a request to the origin that was selected.
use super::{OriginError, OriginName, ResponseFuture, SelectOrigin};
use crate::BoxError;
use http::{Request, Response};
use std::{
    future,
    sync::Arc,
    task::{Context, Poll},
};
use tower::ServiceExt;
use tower_service::Service;

/// Holds origins by name and hands each request to the one that a [`SelectOrigin`] names. The request is not changed.
///
/// All origins are of one type; [`BoxCloneSyncService`](tower::util::BoxCloneSyncService) makes different ones alike. It is always
/// ready: a request waits for the readiness of its own origin only.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use http::{Request, Response, request::Parts};
/// use std::convert::Infallible;
/// use tower::{ServiceExt, service_fn};
/// use tower_cdn::origins::Origins;
///
/// let says = |text: &'static str| {
///     service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(Response::new(text)) })
/// };
/// let by_path = |head: &Parts| if head.uri.path().starts_with("/api/") { "api" } else { "site" };
/// let origins = Origins::new(by_path).origin("api", says("{}")).origin("site", says("hello"));
///
/// let response = origins.oneshot(Request::get("/api/users").body(()).unwrap()).await.unwrap();
/// assert_eq!(response.into_body(), "{}");
/// # });
/// ```
#[derive(Debug)]
pub struct Origins<Sel, S> {
    select: Arc<Sel>,
    origins: Vec<(OriginName, S)>,
    fallback: Option<OriginName>,
}

impl<Sel, S> Origins<Sel, S> {
    /// No origins yet, and what selects among them.
    pub fn new(select: Sel) -> Self {
        Self { select: Arc::new(select), origins: Vec::new(), fallback: None }
    }

    /// Adds an origin. One that has the same name is replaced.
    #[must_use]
    pub fn origin(mut self, name: impl Into<OriginName>, service: S) -> Self {
        let name = name.into();
        self.origins.retain(|(known, _)| *known != name);
        self.origins.push((name, service));
        self
    }

    /// The origin of requests for which none is named. Default: such a request fails, see
    /// [`OriginError::is_unknown_origin`]. A name that no origin has always fails.
    #[must_use]
    pub fn fallback(mut self, name: impl Into<OriginName>) -> Self {
        self.fallback = Some(name.into());
        self
    }

    /// The origin of this name.
    pub fn get(&self, name: &str) -> Option<&S> {
        self.origins.iter().find(|(known, _)| known.as_str() == name).map(|(_, service)| service)
    }
}

impl<Sel, S: Clone> Clone for Origins<Sel, S> {
    fn clone(&self) -> Self {
        Self {
            select: Arc::clone(&self.select),
            origins: self.origins.clone(),
            fallback: self.fallback.clone(),
        }
    }
}

impl<Sel, S, Q, B> Service<Request<Q>> for Origins<Sel, S>
where
    Sel: SelectOrigin,
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    Q: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = OriginError;
    type Future = ResponseFuture<B>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (head, body) = request.into_parts();
        let name = self.select.select(&head).or_else(|| self.fallback.clone());
        let Some(origin) = name.as_ref().and_then(|name| self.get(name.as_str())) else {
            return ResponseFuture::new(future::ready(Err(OriginError::unknown(name))));
        };
        ResponseFuture::of(origin.clone().oneshot(Request::from_parts(head, body)))
    }
}
