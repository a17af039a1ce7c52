//! The regional caches behind this one: what is said here is said there first.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_cdn::Handle;

use super::{BoxError, Token};
use crate::connector;
use crate::plan::process_name;
use crate::url::OriginUrl;

/// RFC 8586: regions that name each other would not come to an end.
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Time for one of them to do what it is asked for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time to connect to it: clients wait for some of what is said, and no longer than that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// Regional caches, by the addresses of their operators. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Regions(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) urls: Vec<OriginUrl>,
    /// There is one if there are any regions.
    token: Option<Token>,
    /// Of this process.
    name: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Requests at once: a region has few places for operators, and other edges want some too.
    places: Semaphore,
    /// The cache of this process, once there is one.
    pub(super) own: OnceLock<Handle>,
}

/// So many.
const PLACES: usize = 8;

impl Regions {
    pub(crate) fn new(urls: Vec<OriginUrl>, token: Option<Token>) -> Self {
        let name = process_name();
        let tls = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let tcp = connector::tcp(GaiResolver::new(), CONNECT_TIMEOUT);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(4))
            .build(tls.wrap_connector(tcp));
        let (places, own) = (Semaphore::new(PLACES), OnceLock::new());
        Self(Arc::new(Shared { urls, token, name, client, places, own }))
    }

    /// What is told late is done here once more: it may have been fetched from there again meanwhile.
    pub(crate) fn set_own(&self, handle: Handle) {
        let _ = self.0.own.set(handle);
    }

    pub(crate) fn is_loop(&self, headers: &HeaderMap) -> bool {
        crate::hop::tokens(headers, &CDN_LOOP).any(|name| name == self.0.name.as_bytes())
    }

    /// Says the same to all of them at once. What each of them has answered, or an `error`.
    pub(crate) async fn pass_on(
        &self,
        path: &'static str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Vec<Value> {
        let said = self.0.urls.iter().map(async |url| {
            let mut answer = match self.say(url, path, headers, body.clone(), TIMEOUT).await {
                Ok(answer) => answer,
                Err(why) => json!({ "error": why }),
            };
            if let Some(members) = answer.as_object_mut() {
                members
                    .insert("url".to_owned(), json!(format!("{}://{}", url.scheme, url.authority)));
            }
            answer
        });
        join_all(said).await
    }

    pub(super) async fn say(
        &self,
        url: &OriginUrl,
        path: &'static str,
        headers: &HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Value, String> {
        let said = async {
            // It is never closed.
            let _place = self.0.places.acquire().await?;
            let request = self.request(url, path, headers, body)?;
            let response = self.0.client.request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?;
            Ok::<_, BoxError>((status, body.to_bytes()))
        };
        let (status, body) = match timeout(limit, said).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(crate::fault::chain(&*error)),
            Err(_) => return Err(format!("no answer within {limit:?}")),
        };
        let answer = serde_json::from_slice(&body).ok().filter(Value::is_object);
        match answer {
            Some(answer) if status == StatusCode::OK => Ok(answer),
            Some(answer) => match answer.get("error").and_then(Value::as_str) {
                Some(why) => Err(format!("{}: {why}", status.as_u16())),
                None => Err(format!("{}: {answer}", status.as_u16())),
            },
            None => Err(format!("{}: no answer that can be understood", status.as_u16())),
        }
    }

    fn request(
        &self,
        url: &OriginUrl,
        path: &'static str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, BoxError> {
        let uri = Uri::builder()
            .scheme(url.scheme.clone())
            .authority(url.authority.clone())
            .path_and_query(path);
        let mut request = Request::post(uri.build()?)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        for line in headers.get_all(CDN_LOOP) {
            request.headers_mut().append(CDN_LOOP, line.clone());
        }
        request.headers_mut().append(CDN_LOOP, HeaderValue::from_str(&self.0.name)?);
        if let Some(token) = &self.0.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.credentials());
        }
        Ok(request)
    }
}
