//! An origin over HTTP, inside the cache: it sends a request once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::body::{OriginBody, RequestBody};
use crate::client::{Clients, Sent};
use crate::fault::{Fault, chain};
use crate::hop;
use crate::plan::{Host, OriginPlan};
use crate::response::{self, Unusable};
use crate::upgrade::Tunnels;
use crate::upload::{Clock, Late, Upload};
use crate::upstream::{Answer, Ask, BoxError};

/// A handle to the origin, cheap to clone.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Shared>);

struct Shared {
    plan: OriginPlan,
    /// Whether HTTP/2 may be spoken.
    http2: bool,
    /// What the origin is called in URIs, which only its pools see unless HTTP/2 is spoken.
    name: Authority,
    /// Its own `Host`, for requests that have none. `None` where HTTP/2 may be spoken, which has the name
    /// in the URI.
    host: Option<HeaderValue>,
    clients: Clients,
    tunnels: Tunnels,
    /// Of requests under way.
    places: Option<Arc<Semaphore>>,
}

impl Origin {
    pub(crate) fn new(plan: OriginPlan, tunnels: Tunnels) -> Self {
        // Over HTTP/2 the name of the host is `:authority`, which the pooled client takes from the URI,
        // as the name of the pool. So HTTP/2 is offered (by ALPN) only when that name is the origin's
        // own; over HTTP/1.1 any `Host` can be sent.
        let http2 = plan.host == Host::Own && plan.url.scheme == Scheme::HTTPS;
        let clients = Clients::new(&plan, http2);
        let host = if http2 { None } else { plan.url.host() };
        // The pooled client hashes this name three times for each request, one byte at a time. If it
        // is not sent, a short one will do.
        let name = match &host {
            Some(_) => Authority::from_static("o"),
            None => plan.url.authority.clone(),
        };
        let most = |number: usize| number.clamp(1, Semaphore::MAX_PERMITS);
        let places =
            plan.limits.max_connections.map(|number| Arc::new(Semaphore::new(most(number))));
        Self(Arc::new(Shared { plan, http2, name, host, clients, tunnels, places }))
    }
}

impl Ask for Origin {
    fn ask(&self, request: Request<RequestBody>) -> Answer {
        let shared = Arc::clone(&self.0);
        match &self.0.places {
            None => Box::pin(shared.send(request, None)),
            Some(places) => {
                let places = Arc::clone(places);
                Box::pin(async move {
                    let place = turn(places, shared.plan.limits.connect).await?;
                    shared.send(request, Some(place)).await
                })
            }
        }
    }
}

/// A request beyond the limit waits as long as for a connection.
async fn turn(places: Arc<Semaphore>, limit: Duration) -> Result<OwnedSemaphorePermit, Fault> {
    match timeout(limit, places.acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Fault::Busy(limit)),
    }
}

impl Shared {
    /// The request is handed on at once, so that the future, which is made for each, stays small.
    fn send(
        self: Arc<Self>,
        mut request: Request<RequestBody>,
        place: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Result<Response<OriginBody>, BoxError>> + Send {
        let method = request.method().clone();
        let client_side = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let upgrade = hop::clean_request(&mut head.headers, head.version);
        self.address(&mut head);
        if self.http2 && !upgrade {
            // HTTP/2 has no such field, and hyper would take `TE` away with it.
            head.headers.remove(header::CONNECTION);
        }
        frame(&mut head, &body);
        let patience = body.patience();
        let (upload, clock) = Upload::new(body, patience);
        let sent = self.clients.send(Request::from_parts(head, upload), upgrade);
        let client_side = upgrade.then_some(client_side);
        self.receive(method, sent, clock, client_side, place)
    }

    async fn receive(
        self: Arc<Self>,
        method: Method,
        sent: Sent,
        clock: Clock,
        client_side: Option<OnUpgrade>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<OriginBody>, BoxError> {
        let limits = &self.plan.limits;
        let response = pin!(self.clients.response(sent));
        let response = clock.bound(limits.first_byte, response).await;
        let mut response = match response {
            Ok(Ok(response)) => response,
            // What a client does wrong says nothing of the origin: it is no error.
            _ if clock.is_broken() => {
                return Ok(Fault::ClientBroke.into_response().map(Into::into));
            }
            Ok(Err(error)) if error.is_connect() => {
                return Err(Fault::Unreachable(chain(&error)).into());
            }
            Ok(Err(error)) => return Err(Fault::Broken(chain(&error)).into()),
            Err(Late::Client(limit)) => {
                return Ok(Fault::ClientSlow(limit).into_response().map(Into::into));
            }
            Err(Late::Origin) => return Err(Fault::TimedOut(limits.first_byte).into()),
        };

        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client_side) = client_side else {
                return Err(Fault::Broken("101 to a request without Upgrade".to_owned()).into());
            };
            let origin_side = hyper::upgrade::on(&mut response);
            self.tunnels.open(client_side, origin_side, place);
            return Ok(self.settled(response, &method, None)?);
        }
        Ok(self.settled(response, &method, place)?)
    }

    fn settled(
        &self,
        mut response: Response<Incoming>,
        method: &Method,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<OriginBody>, Fault> {
        response::settle(&mut response, method, self.plan.framing)
            .map_err(|Unusable(why)| Fault::Broken(why.to_owned()))?;
        let limit = self.plan.limits.between_bytes;
        Ok(response.map(|body| OriginBody::arriving(body, limit, place)))
    }

    /// Points the request at the origin. The name of the host stays the client's, in `Host`.
    fn address(&self, head: &mut request::Parts) {
        let path = head.uri.path_and_query().cloned();
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(self.plan.url.scheme.clone());
        parts.authority = Some(self.name.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // With all three of its parts a URI is whole.
        head.uri = Uri::from_parts(parts).unwrap_or_default();
        head.version = Version::HTTP_11;
        // Nothing that hyper left there for the client's connection is for this one.
        head.extensions.clear();
        match &self.plan.host {
            Host::Client => {}
            Host::Own => drop(head.headers.remove(header::HOST)),
            Host::Named(name) => drop(head.headers.insert(header::HOST, name.clone())),
        }
        if let Some(host) = &self.host {
            head.headers.entry(header::HOST).or_insert_with(|| host.clone());
        }
    }
}

/// Says how a body of unknown length is framed. hyper's client does so by itself, but not for GET
/// and HEAD, whose bodies it would drop.
fn frame(head: &mut request::Parts, body: &RequestBody) {
    let known = head.headers.contains_key(header::CONTENT_LENGTH)
        || body.is_end_stream()
        || body.size_hint().exact().is_some();
    if !known {
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
