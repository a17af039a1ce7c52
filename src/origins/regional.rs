//! A second tier of caches between the edge and the origin.
use super::{
    OriginError, OriginName, ResponseFuture,
    tell::{ErasedTell, TellChanged},
};
use crate::{
    BoxError, Changed, Dynamic, KeyPolicy,
    semantics::{fields, invalidation},
};
use futures_util::future::join_all;
use http::{Method, Request, Response, Uri, header::UPGRADE, request::Parts};
use http_body_util::Either;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower::ServiceExt;
use tower_service::Service;

/// Sends the requests of an edge to a regional tier, and those that gain nothing there to the origin. It stands inside the edge's cache.
///
/// To the origin go:
/// - all methods but GET and HEAD: PUT, POST, PATCH, DELETE, OPTIONS, and those that nobody knows,
/// - requests of a [dynamic](crate::Behaviour::dynamic) behaviour, of which nothing is cached, and those that ask for another protocol,
/// - requests for [origins that are local](Self::local) to the edge.
///
/// The regional tier is any service: another [`CdnCache`](crate::CdnCache) of this process, or a client that reaches caches elsewhere, such as
/// [`Nearest`](super::Nearest) or [`Sharded`](super::Sharded) over several. Responses pass as they come, with their first byte. Ages and `Cache-Status` add up as they do over any chain of
/// caches: what is a minute old in the region is a minute old at the edge.
///
/// # What the tiers have to agree on
/// - The [`KeyPolicy`]: what one tier tells apart or takes as the same, the other one should too.
/// - Which fields list tags: [`CachePolicy::tag_fields`](crate::CachePolicy::tag_fields) of both, and [`CachePolicy::pass_tags`](crate::CachePolicy::pass_tags) of the tier, or the edge
///   does not know the tags of what came through it.
/// - Which fields of requests go on ([`ForwardedHeaders`](crate::ForwardedHeaders)): what the tier lets through and does not key, the edge may not let through either.
/// - Not [`CachePolicy::cdn_loop`](crate::CachePolicy::cdn_loop): each tier needs a name of its own, or the second one takes the first one's requests for a loop.
///
/// # Invalidation
/// The answer to an unsafe request does not pass the regional tier, so the tier has to be [told](Self::tells). It is told before the edge gets the answer, so that nobody who asks after
/// that gets from it what was there before. Operators use [`Handles`](crate::Handles).
///
/// # Where the regional tier fails
/// It fails with its error: an [`OriginError`] that has it as its source. Whether the origin is asked then is for an [`OriginGroup`](super::OriginGroup) to say: put
/// one in the place of the regional tier, with the origin behind it. An error response of the tier is an answer like any other: it tells what the origin said.
///
/// # Example: two tiers in one process
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_cdn::{CdnCacheLayer, Handles, origins::Regional};
///
/// let origin = service_fn(|_: Request<Full<Bytes>>| async {
///     let response = Response::builder().header("cache-control", "max-age=60");
///     Ok::<_, Infallible>(response.body(Full::<Bytes>::from("hello")).unwrap())
/// });
/// let regional = CdnCacheLayer::in_memory(64 * 1024 * 1024);
/// let edge = CdnCacheLayer::in_memory(16 * 1024 * 1024);
/// let service = edge.layer(
///     Regional::new(regional.layer(origin), origin).local(["api"]).tells(regional.handle()),
/// );
/// let handles = Handles::new([regional.handle(), edge.handle()]);
///
/// let request = Request::get("http://example.com/").body(Full::default()).unwrap();
/// let response = service.oneshot(request).await.unwrap();
/// assert_eq!(response.headers().get_all("cache-status").iter().count(), 2);
/// # drop(handles);
/// # });
/// ```
///
/// # Example: the origin answers where no region can be reached
/// ```
/// # fn built<S: Clone>(region: S, origin: S) {
/// use tower_cdn::origins::{FailoverPolicy, OriginGroup, Regional};
///
/// // Only errors and timeouts: a 503 of the region is the origin's.
/// let policy = FailoverPolicy::default().statuses([]).unhealthy([]);
/// let tier = OriginGroup::with_policy(policy, [("region", region), ("origin", origin.clone())]);
/// let inside_the_edge = Regional::new(tier, origin);
/// # let _ = inside_the_edge;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Regional<R, O> {
    regional: R,
    origin: O,
    rules: Arc<Rules>,
}

#[derive(Clone, Default)]
struct Rules {
    local: Vec<OriginName>,
    tells: Vec<Arc<dyn ErasedTell>>,
}

impl<R, O> Regional<R, O> {
    /// A regional tier, and the origin for what does not go there.
    pub fn new(regional: R, origin: O) -> Self {
        Self { regional, origin, rules: Arc::default() }
    }

    /// Origins that are near the edge: requests that name one of them, by an [`OriginName`] among their extensions, go there directly. Adds to those that were named before.
    #[must_use]
    pub fn local<N: Into<OriginName>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        Arc::make_mut(&mut self.rules).local.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whom to tell what answers to unsafe requests have changed: the [`Handle`](crate::Handle) of the regional cache, or what reaches it where it is. Adds to those that were
    /// named before; all are told at once, and the answer waits for all of them. Default: nobody, and the regional tier keeps what it has until it is stale.
    ///
    /// Other edges are not told: what they have stored they use as long as it is fresh.
    #[must_use]
    pub fn tells(mut self, whom: impl TellChanged) -> Self {
        Arc::make_mut(&mut self.rules).tells.push(Arc::new(whom));
        self
    }

    fn goes_to_the_region<Q>(&self, head: &Request<Q>) -> bool {
        matches!(*head.method(), Method::GET | Method::HEAD)
            && head.extensions().get::<Dynamic>().is_none()
            && !(head.headers().contains_key(UPGRADE) && fields::is_upgrade(head.headers()))
            && !head.extensions().get().is_some_and(|origin| self.rules.local.contains(origin))
    }
}

impl Rules {
    /// What the answer to this request would be about, if anybody has to know.
    fn target(&self, head: &Parts) -> Option<Uri> {
        if self.tells.is_empty() || !invalidation::is_unsafe(&head.method) {
            return None;
        }
        KeyPolicy::default().target_uri(head)
    }

    async fn tell(&self, changed: Changed) {
        join_all(self.tells.iter().map(|whom| whom.tell_boxed(changed.clone()))).await;
    }
}

impl<R, O, Q, A, B> Service<Request<Q>> for Regional<R, O>
where
    R: Service<Request<Q>, Response = Response<A>> + Clone + Send + 'static,
    R::Future: Send,
    R::Error: Into<BoxError>,
    O: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    O::Future: Send,
    O::Error: Into<BoxError>,
    Q: Send + 'static,
    A: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Either<A, B>>;
    type Error = OriginError;
    type Future = ResponseFuture<Either<A, B>>;

    /// Always ready: a request waits for the one that it is sent to.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        if self.goes_to_the_region(&request) {
            let answer = self.regional.clone().oneshot(request);
            return ResponseFuture::of(async {
                Ok::<_, R::Error>(answer.await?.map(Either::Left))
            });
        }
        let (head, body) = request.into_parts();
        let (rules, target, method) =
            (Arc::clone(&self.rules), self.rules.target(&head), head.method.clone());
        let answer = self.origin.clone().oneshot(Request::from_parts(head, body));
        ResponseFuture::of(async move {
            let response = answer.await?;
            // On the way to the region a target loses its scheme: what is https here may lie under http there.
            if invalidation::invalidates(&method, response.status())
                && let Some(target) = target
                && let Some(changed) = Changed::of_answer(&target, response.headers())
            {
                rules.tell(changed).await;
            }
            Ok::<_, O::Error>(response.map(Either::Right))
        })
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("local", &self.local).finish_non_exhaustive()
    }
}
