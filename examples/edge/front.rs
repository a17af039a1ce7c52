//! The service outside the cache: it checks requests, cleans responses, and writes the access log.

use std::convert::Infallible;
use std::io::{self, Write};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri, Version};
use tower::{Service, ServiceExt};
use tower_cdn::CacheStatus;

use crate::last::ErrorLast;
use crate::origin::RequestBody;
use crate::reply::{self, Cause};
use crate::{check, hop};

/// The cache's body, or the text of a refusal.
pub(crate) type FrontBody<B> = ErrorLast<Either<B, Full<Bytes>>>;

#[derive(Clone)]
pub(crate) struct Front<S> {
    cache: S,
    log: bool,
}

impl<S, B> Front<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    pub(crate) fn new(cache: S, log: bool) -> Self {
        Self { cache, log }
    }

    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<FrontBody<B>>, Infallible> {
        let logged = self.log.then(|| (request.method().clone(), request.uri().clone()));
        let (mut head, body) = request.into_parts();
        let mut response = match check::admit(&mut head) {
            Ok(()) => self
                .cache
                .oneshot(Request::from_parts(head, RequestBody::Left(body)))
                .await?
                .map(Either::Left),
            Err((status, text)) => reply::text(status, text).map(Either::Right),
        };
        let status = response.status();
        hop::clean_response(response.headers_mut(), status);
        // The version tells what this server speaks, not the origin (RFC 9110 §2.5).
        *response.version_mut() = Version::HTTP_11;
        if let Some((method, uri)) = logged {
            log(&method, &uri, &response);
        }
        Ok(response.map(ErrorLast::new))
    }
}

/// One line: method, target, status, cache status, and after a fault its cause.
fn log<B>(method: &Method, uri: &Uri, response: &Response<B>) {
    let status = response.status().as_u16();
    let cache = match response.extensions().get::<CacheStatus>() {
        Some(cache) => cache.to_string(),
        None => "-".to_owned(),
    };
    let cause = match response.extensions().get::<Cause>() {
        Some(Cause(cause)) => format!(" ({})", cause.escape_debug()),
        None => String::new(),
    };
    // A log that cannot be written must not stop the server.
    let _ = writeln!(io::stderr(), "{method} {uri} {status} {cache}{cause}");
}
