//! A bucket of Amazon S3, or of a server that speaks its protocol.
mod bucket;
mod credentials;
mod object;
mod sign;

pub use bucket::{S3Bucket, SignRequests};
pub use credentials::S3Credentials;

use super::{OriginError, ResponseFuture, unasked::Unasked};
use crate::BoxError;
use bucket::Place;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ALLOW, AUTHORIZATION, CONNECTION, HOST},
    request::Parts,
};
use http_body::Body;
use object::NotAnObject;
use std::{
    future,
    sync::Arc,
    task::{Context, Poll},
};
use tower::ServiceExt;
use tower_service::Service;

/// Asks a bucket for objects, with requests that are signed by AWS Signature Version 4. The bucket may be private.
///
/// It stands inside the cache, in front of the service that sends requests: what it adds is neither keyed nor stored, and a hit is not signed.
///
/// - The path of a request names the object: `/a%20b` is the object `a b`, `/a+b` is `a+b`, `/a%2Fb` is the same as `/a/b`, and `//` stays as it is. It is sent
///   in the one form in which S3 expects paths to be signed. A path that climbs out of the bucket or of [`S3Bucket::prefix`], or that is not well encoded, is answered with 400, and one that
///   names no object with 404: nobody is shown what is in the bucket.
/// - Ranges and conditions pass, and so do all other fields. Where a request is signed, `Authorization` and the `X-Amz-` fields of the client are removed, which would be signed in the name of the operator, and
///   `Connection`, which could take a signed field out. The query is always removed but for the parameters that [`S3Bucket::query`] names: it can ask for much else than an object.
/// - Only GET and HEAD are signed. OPTIONS, which asks about cross-origin requests, is sent without a signature. Other methods are answered with
///   405 where they would be signed.
///
/// The inner service gets the absolute URI, and the `Host` that is signed; `HttpOrigin` (feature `client`) has to be built for
/// [`S3Bucket::origin`], or to keep the host.
///
/// # Example: a private bucket
#[cfg_attr(feature = "client", doc = "```no_run")]
#[cfg_attr(not(feature = "client"), doc = "```ignore")]
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower::Layer;
/// use tower_cdn::{CdnCacheLayer, origins::{HttpOrigin, OriginError, S3Bucket, S3Credentials, S3Origin}};
///
/// let bucket = S3Bucket::new("assets", "eu-central-1")
///     .credentials(S3Credentials::from_env().expect("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
/// let tls = hyper_rustls::HttpsConnectorBuilder::new()
///     .with_webpki_roots()
///     .https_only()
///     .enable_http1()
///     .build();
/// let origin: HttpOrigin<Full<Bytes>> = HttpOrigin::builder().build_with(bucket.origin()?, tls)?;
/// let service = CdnCacheLayer::in_memory(64 * 1024 * 1024).layer(S3Origin::new(origin, bucket)?);
/// # Ok::<_, OriginError>(())
/// ```
#[derive(Clone, Debug)]
pub struct S3Origin<S> {
    inner: S,
    bucket: Arc<S3Bucket>,
    place: Place,
}

impl<S> S3Origin<S> {
    /// Sends requests for objects of this bucket by this service.
    ///
    /// # Errors
    /// If the bucket's name or its endpoint cannot be used, or if requests are to be signed and there are no credentials.
    pub fn new(inner: S, bucket: S3Bucket) -> Result<Self, OriginError> {
        let place = bucket.place()?;
        Ok(Self { inner, bucket: Arc::new(bucket), place })
    }

    /// The request to the bucket, or the status with which this one is answered.
    fn prepare(&self, head: &mut Parts, has_body: bool) -> Result<(), StatusCode> {
        let credentials = self.bucket.signs(head.headers.contains_key(AUTHORIZATION));
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let credentials = match credentials {
            Some(_) if !is_read && head.method != Method::OPTIONS => {
                return Err(StatusCode::METHOD_NOT_ALLOWED);
            }
            credentials => credentials.filter(|_| is_read),
        };
        let object = object::path(head.uri.path(), &self.bucket).map_err(|why| match why {
            NotAnObject::Malformed => StatusCode::BAD_REQUEST,
            NotAnObject::Nothing => StatusCode::NOT_FOUND,
        })?;
        let query = object::query(head.uri.query(), &self.bucket);
        let Place { scheme, host, folder } = &self.place;
        let uri = Uri::builder()
            .scheme(scheme.clone())
            .authority(host.clone())
            .path_and_query(format!("{folder}/{object}{query}"))
            .build();
        // It may be too long.
        head.uri = uri.map_err(|_| StatusCode::URI_TOO_LONG)?;
        let host = HeaderValue::from_str(host.as_str()).map_err(|_| StatusCode::BAD_GATEWAY)?;
        head.headers.insert(HOST, host);
        if let Some(credentials) = credentials {
            remove_what_is_signed(head);
            let now = self.bucket.clock.now();
            sign::sign(head, has_body, credentials, &self.bucket.region, now)
                .ok_or(StatusCode::BAD_GATEWAY)?;
        }
        Ok(())
    }
}

/// Nothing of the client is signed in the name of the operator. `Connection` could make a signed field go astray.
fn remove_what_is_signed(head: &mut Parts) {
    let names: Vec<_> = (head.headers.keys())
        .filter(|name| name.as_str().starts_with("x-amz-"))
        .cloned()
        .chain([AUTHORIZATION, CONNECTION])
        .collect();
    for name in names {
        head.headers.remove(name);
    }
}

impl<S, Q, B> Service<Request<Q>> for S3Origin<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    Q: Body + Send + 'static,
    B: Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = OriginError;
    type Future = ResponseFuture<B>;

    /// Always ready: a request waits for the inner service within the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        if let Err(status) = self.prepare(&mut head, !body.is_end_stream()) {
            return ResponseFuture::new(future::ready(Ok(refusal(status))));
        }
        ResponseFuture::of(self.inner.clone().oneshot(Request::from_parts(head, body)))
    }
}

/// The bucket is not asked, so that what is wrong with the request says nothing of it. A bucket that no request can be signed for is of no use, though.
fn refusal<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    if status.is_client_error() {
        response.extensions_mut().insert(Unasked);
    }
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    response
}
