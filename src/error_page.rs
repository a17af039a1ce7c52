//! Pages in place of errors, fetched through the distribution itself.
use crate::{BoxError, CacheBody, CdnCache, ResponseFuture, engine::Engines};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, header, request::Parts,
    uri::PathAndQuery,
};
use http_body::{Body, Frame};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};
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
    let Some(body) = engines.any().spare.body::<Q>() else {
        engines.warn_of_no_page();
        return first;
    };
    let Some(request) = again.request(page.path.clone(), body) else { return first };
    let is_page = |response: &Response<_>| response.status() == StatusCode::OK;
    let found = match first {
        Err(error) => match service.answer(request).await {
            Ok(response) if is_page(&response) => response,
            _ => return Err(error),
        },
        Ok(response) => {
            let (head, body) = response.into_parts();
            let mut held = Held::new(body);
            match (held.until(service.answer(request)).await, held) {
                (Ok(response), _) if is_page(&response) => response,
                (_, held) => return Ok(Response::from_parts(head, held.into_body())),
            }
        }
    };
    let mut response = found;
    *response.status_mut() = page.status;
    Ok(response)
}

/// The body of an error that may have to be sent after all. It is read while the page is fetched: it would hold a connection to the origin otherwise, for which
/// the fetch may be waiting.
struct Held<B> {
    read: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Pin<Box<CacheBody<B>>>,
    /// Bytes that may still be read.
    room: usize,
}

/// Hardly an error says more than that.
const ROOM: usize = 256 * 1024;

impl<B> Held<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn new(body: CacheBody<B>) -> Self {
        Self { read: VecDeque::new(), rest: Box::pin(body), room: ROOM }
    }

    /// Reads until the `future` is ready.
    async fn until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll_read(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) {
        while self.room > 0 && !self.rest.is_end_stream() {
            match self.rest.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let read = frame.data_ref().map_or(0, Bytes::len);
                    self.room = self.room.saturating_sub(read.max(1));
                    self.read.push_back(Ok(frame));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.read.push_back(Err(error));
                    self.rest.set(CacheBody::empty());
                }
                // Who is at its end may not be asked again.
                Poll::Ready(None) => self.rest.set(CacheBody::empty()),
                Poll::Pending => return,
            }
        }
    }

    fn into_body(self) -> CacheBody<B> {
        CacheBody::begun(self.read, self.rest)
    }
}
