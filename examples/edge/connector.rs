//! Makes connections to one origin.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tower::{Service, ServiceExt};

use crate::upstream::BoxError;
use crate::wire::Wire;

type Connection = MaybeHttpsStream<TokioIo<Wire>>;

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

/// Makes TCP connections where a connection may take as long as `limit`.
///
/// A name's addresses share three quarters of it, so that a silent one does not keep the others from
/// being tried. The rest is for what comes before and after them: the look-up of the name, and TLS.
pub(crate) fn tcp<R>(resolver: R, limit: Duration) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    tcp.set_connect_timeout(Some(limit / 4 * 3));
    tcp
}

/// Cheap to clone: the pooled client does that for each request, whether it needs a connection or not.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Fn() -> Connecting + Send + Sync>);

impl Connector {
    /// Connects to `origin`, by whatever name the client asks.
    pub(crate) fn new<S>(service: S, origin: Uri) -> Self
    where
        S: Service<Uri, Response = Connection, Error = BoxError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Self(Arc::new(move || Box::pin(service.clone().oneshot(origin.clone()))))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Connecting {
        (self.0)()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::convert::Infallible;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use tokio::time::timeout;
    use tower::service_fn;

    const LIMIT: Duration = Duration::from_secs(2);

    /// An address that does not answer, as long as what comes with it is there: its queue is full.
    fn silent() -> (SocketAddr, Socket, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        socket.listen(0).expect("a listener");
        let address = socket.local_addr().expect("an address").as_socket().expect("of IP");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let queue = std::iter::from_fn(connect).collect();
        (address, socket, queue)
    }

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next_one() {
        let (silent, _socket, _queue) = silent();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let live = listener.local_addr().expect("an address");
        let found = [silent, live].into_iter();
        let resolver = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(found.clone())));
        let connected = tcp(resolver, LIMIT).oneshot(Uri::from_static("http://two.example/"));
        let connected = timeout(LIMIT, connected).await.expect("in time").expect("a connection");
        assert_eq!(connected.inner().peer_addr().expect("an address"), live);
    }
}
