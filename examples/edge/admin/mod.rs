//! What an operator may say while the program runs, on an address of its own: `POST /invalidate`,
//! `GET /statistics`; and `POST /changed`, by which edges tell a regional cache what answers have
//! changed that it has not seen.
//!
//! Who asks has the token, or learns nothing but that it is needed.

mod order;
mod regions;
mod reply;
pub(crate) mod server;
#[cfg(feature = "origins")]
mod tell;
pub(crate) mod token;

use std::error::Error;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_cdn::{Handle, Invalidate};

use order::{Order, Target};
pub(crate) use regions::Regions;
use reply::Refusal;
pub(crate) use token::Token;

type BoxError = Box<dyn Error + Send + Sync>;

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

/// Time for a body to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers an operator. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admin(Arc<Shared>);

struct Shared {
    token: Token,
    handle: Handle,
    /// They hear of everything first.
    regions: Regions,
}

impl Admin {
    pub(crate) fn new(token: Token, handle: Handle, regions: Regions) -> Self {
        Self(Arc::new(Shared { token, handle, regions }))
    }

    pub(crate) async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        self.done(request).await.unwrap_or_else(Refusal::into_response)
    }

    async fn done<B>(self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (head, body) = request.into_parts();
        if !self.0.token.is_in(&head.headers) {
            return Err(Refusal::of(StatusCode::UNAUTHORIZED, "a token is needed"));
        }
        let method = match head.uri.path() {
            "/statistics" => Method::GET,
            "/invalidate" | "/changed" => Method::POST,
            _ => return Err(Refusal::of(StatusCode::NOT_FOUND, "there is no such thing")),
        };
        if head.method != method {
            return Err(Refusal::method(&method));
        }
        if method == Method::GET {
            return Ok(reply::json(StatusCode::OK, &reply::statistics(&self.0.handle.stats())));
        }
        if self.0.regions.is_loop(&head.headers) {
            return Err(Refusal::of(StatusCode::LOOP_DETECTED, "it has been here before"));
        }
        if !is_json(&head.headers) {
            let what = "the body has to be application/json";
            return Err(Refusal::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        let body = read(body).await?;
        let order = match head.uri.path() {
            "/changed" => Order::read_changed(&body),
            _ => Order::read(&body),
        };
        let order = order.map_err(|why| Refusal::of(StatusCode::BAD_REQUEST, why))?;
        // Whoever asked may leave; what was begun comes to its end.
        let done = tokio::spawn(self.carry_out(order, head.headers, body));
        done.await.unwrap_or_else(|_| Err(Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, "failed")))
    }

    /// All of it or nothing: what is wrong is found before anything is done. What a region could not
    /// do is done here all the same, and told.
    async fn carry_out(
        self,
        order: Order,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let Shared { handle, regions, .. } = &*self.0;
        let (path, targets) = match &order {
            Order::Changed(_) => ("/changed", Vec::new()),
            Order::Invalidate(order) => ("/invalidate", order.targets(handle)),
        };
        if let Some(error) = targets.iter().find_map(|(_, one)| one.error()) {
            return Err(Refusal::of(StatusCode::BAD_REQUEST, error.to_string()));
        }
        let told = regions.pass_on(path, &headers, body).await;
        if let Order::Changed(changed) = &order {
            handle.changed(changed);
        }
        let receipts = receipts(targets).await?;
        let is_done = told.iter().all(|region| region.get("error").is_none());
        let status = if is_done { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        let mut answer = json!({ "receipts": receipts });
        if !told.is_empty()
            && let Some(members) = answer.as_object_mut()
        {
            members.insert("regional".to_owned(), Value::Array(told));
        }
        Ok(reply::json(status, &answer))
    }
}

/// All are in force before the first one is waited for.
async fn receipts(targets: Vec<(Target, Invalidate)>) -> Result<Vec<Value>, Refusal> {
    let (targets, invalidations): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
    let receipts = join_all(invalidations.into_iter().map(IntoFuture::into_future)).await;
    let receipt = |(target, receipt): (Target, Result<_, _>)| match receipt {
        Ok(receipt) => Ok(reply::receipt(&target, &receipt)),
        Err(error) => Err(Refusal::of(StatusCode::BAD_REQUEST, format!("{error}"))),
    };
    targets.into_iter().zip(receipts).map(receipt).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let too_large = || Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::of(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Refusal::of(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
