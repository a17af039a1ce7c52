//! Pages in place of errors, fetched through the distribution itself.
use crate::{BoxError, CacheBody, CdnCache, ResponseFuture, engine::Engines};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, header, request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use std::sync::Arc;
use tower_service::Service;

/// A request that may have to be made again, for a page.
pub(crate) struct Again(Parts);

impl Again {
    /// What is not a plain GET or HEAD gets errors as they are.
    pub(crate) fn of<Q>(request: &Request<Q>) -> Option<Self> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.version = request.version();
        head.headers = about_client(request.headers());
        head.extensions = request.extensions().clone();
        Some(Self(head))
    }

    /// The same client asks for that page.
    fn request<Q>(self, page: PathAndQuery, body: Q) -> Option<Request<Q>> {
        let Self(mut head) = self;
        let mut uri = head.uri.into_parts();
        uri.path_and_query = Some(page);
        head.uri = Uri::from_parts(uri).ok()?;
        Some(Request::from_parts(head, body))
    }
}

/// Conditions, ranges and content were about the page that could not be had.
fn about_client(headers: &HeaderMap) -> HeaderMap {
    let is_kept = |name: &str| {
        !(name.starts_with("if-") || name.starts_with("content-"))
            && name != header::RANGE
            && name != header::TRANSFER_ENCODING
    };
    let fields = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The `first` answer, or the page that is to take its place. An inner service that fails counts as 502.
pub(crate) async fn respond<S, Q, B>(
    first: ResponseFuture<S, Q, B>,
    service: CdnCache<S>,
    engines: Arc<Engines>,
    again: Again,
) -> Result<Response<CacheBody<B>>, S::Error>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    Q: Body + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let first = first.await;
    let status = first.as_ref().map_or(StatusCode::BAD_GATEWAY, Response::status);
    let Some(page) = engines.error_page(status) else { return first };
    let body = engines.any().spare.body::<Q>();
    let Some(request) = body.and_then(|body| again.request(page.path.clone(), body)) else {
        return first;
    };
    match service.answer(request).await {
        Ok(mut response) if response.status() == StatusCode::OK => {
            *response.status_mut() = page.status;
            Ok(response)
        }
        _ => first,
    }
}
