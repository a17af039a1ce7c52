//! What `benches/compare` puts beside `edge`, each a server of one thread:
//!
//! ```text
//! floor_server hyper ADDRESS             the same 1 KiB for all, or 64 KiB where the path begins so
//! floor_server floor ADDRESS ORIGIN      out of a concurrent map, and forwards what is not there
//! floor_server proxy ADDRESS ORIGIN      forwards, without a cache
//! floor_server layer ADDRESS ORIGIN MIB  the same proxy in a `CdnCacheLayer`, which has so much memory
//! floor_server keep ADDRESS ORIGIN MIB   the same proxy, which keeps so many of the bytes that pass, and does nothing with them
//! floor_server origin ADDRESS            as many bytes as the first segment of the path says, for one only if the second is `private`
//! ```
mod support;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, uri};
use http_body_util::{BodyExt, Either, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use mimalloc::MiMalloc;
use std::{
    collections::VecDeque,
    convert::Infallible,
    env,
    error::Error,
    sync::{Arc, Mutex},
};
use support::{FRAME, Floor, Frames, MokaMap, Pace, fields};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CdnCacheLayer, MemoryStore};

/// That of `edge`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    match words.as_slice() {
        ["hyper", address] => runtime.block_on(serve(address, constant())),
        ["floor", address, origin] => {
            let floor = Floor { map: MokaMap::new(100_000), inner: proxy(origin) };
            runtime.block_on(serve(address, floor));
        }
        ["proxy", address, origin] => runtime.block_on(serve(address, proxy(origin))),
        ["keep", address, origin, mib] => {
            runtime.block_on(serve(address, keeping(proxy(origin), mebibytes(mib))));
        }
        ["layer", address, origin, mib] => {
            let bytes = mebibytes(mib) as u64;
            let layer = CdnCacheLayer::builder(MemoryStore::new(bytes))
                .policy(CachePolicy::default().max_object(bytes))
                .build();
            runtime.block_on(serve(address, layer.layer(proxy(origin))));
        }
        ["origin", address] => runtime.block_on(serve(address, origin())),
        _ => println!("to be run by benches/compare"),
    }
}

fn mebibytes(number: &str) -> usize {
    number.parse::<usize>().expect("a number of MiB") << 20
}

async fn serve<S, B>(address: &str, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.expect("the address is free");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The head of a response of this length; hyper adds the date.
fn head(length: usize) -> HeaderMap {
    let mut headers = fields(length);
    headers.remove(header::DATE);
    headers
}

trait Answers<B>:
    Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<B, S> Answers<B> for S where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

fn constant() -> impl Answers<Full<Bytes>> {
    let of = |length| (head(length), Bytes::from(vec![b'x'; length]));
    let (small, large) = (of(1 << 10), of(1 << 16));
    service_fn(move |request: Request<Incoming>| {
        let is_large = request.uri().path().starts_with("/65536/");
        let (headers, body) = if is_large { &large } else { &small };
        let mut response = Response::new(Full::new(body.clone()));
        *response.headers_mut() = headers.clone();
        async { Ok(response) }
    })
}

fn origin() -> impl Answers<Either<Full<Bytes>, Frames>> {
    let bytes = Bytes::from(vec![b'x'; 1 << 20]);
    service_fn(move |request: Request<Incoming>| {
        let mut segments = request.uri().path().split('/').skip(1);
        let length = segments.next().and_then(|length| length.parse().ok()).unwrap_or(1024);
        let body = if length <= bytes.len() {
            Either::Left(Full::new(bytes.slice(..length)))
        } else {
            Either::Right(Frames::new(length / FRAME, Pace::AtOnce))
        };
        let mut response = Response::new(body);
        *response.headers_mut() = head(length);
        if segments.next() == Some("private") {
            let value = HeaderValue::from_static("private, max-age=60");
            response.headers_mut().insert(header::CACHE_CONTROL, value);
        }
        async { Ok(response) }
    })
}

fn proxy(origin: &str) -> impl Answers<Either<Incoming, Full<Bytes>>> {
    let client: Client<HttpConnector, Incoming> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let authority: uri::Authority = origin.parse().expect("host:port");
    service_fn(move |mut request: Request<Incoming>| {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(uri::Scheme::HTTP);
        parts.authority = Some(authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).expect("all parts");
        request.headers_mut().remove(header::CONNECTION);
        let answer = client.request(request);
        async {
            Ok(answer.await.map_or_else(
                |_| {
                    let mut response = Response::new(Either::Right(Full::default()));
                    *response.status_mut() = StatusCode::BAD_GATEWAY;
                    response
                },
                |response| response.map(Either::Left),
            ))
        }
    })
}

type Passing = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// The least that is done for large responses by whatever stores what it streams: their frames stay, as they came, until there are so many bytes of later ones.
fn keeping(
    inner: impl Answers<Either<Incoming, Full<Bytes>>>,
    capacity: usize,
) -> impl Answers<Passing> {
    let kept = Arc::new(Mutex::new(Kept { capacity, ..Kept::default() }));
    inner.map_response(move |response: Response<_>| {
        let kept = Arc::clone(&kept);
        response.map(|body| {
            let frames = body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    kept.lock().expect("nobody panics").push(data.clone());
                }
                frame
            });
            frames.boxed_unsync()
        })
    })
}

#[derive(Default)]
struct Kept {
    frames: VecDeque<Bytes>,
    length: usize,
    capacity: usize,
}

impl Kept {
    fn push(&mut self, frame: Bytes) {
        self.length += frame.len();
        self.frames.push_back(frame);
        while self.length > self.capacity
            && let Some(oldest) = self.frames.pop_front()
        {
            self.length -= oldest.len();
        }
    }
}
