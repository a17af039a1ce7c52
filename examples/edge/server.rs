//! The accept loop, and the end of it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use crate::body::RequestBody;
use crate::front::Front;
use crate::rarely::Rarely;
use crate::signals::Signals;
use crate::stream::{self, Peer, Stream};
use crate::timer::ConnectionTimer;
use crate::upgrade::Tunnels;
use crate::warning::warn;

/// Time for the head of a request, and for a connection to be idle between two.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Time after a first signal for what is under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for the end of connections that are cut, which takes no more than a few system calls.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until a signal, then until what is under way has ended, but no longer than a bound.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    front: Front<S>,
    tunnels: Tunnels,
    patience: Duration,
    mut signals: Signals,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let graceful = GracefulShutdown::new();
    let cut = watch::Sender::new(false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = signals.next() => break,
        };
        match accepted {
            Ok((tcp, _)) => {
                let peer = Arc::new(Peer::new(patience));
                let front = front.clone();
                let (watcher, cut) = (graceful.watcher(), cut.subscribe());
                tokio::spawn(async move { client(tcp, peer, front, watcher, cut).await });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn(&format!("cannot accept a connection: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);

    let drained = async {
        graceful.shutdown().await;
        tunnels.closed().await;
        // Some have their answer, and are heard out.
        cut.closed().await;
    };
    tokio::select! {
        drained = timeout(DRAIN_TIMEOUT, drained) => {
            if drained.is_err() {
                warn(&format!("some requests did not end within {DRAIN_TIMEOUT:?}"));
            }
        }
        () = signals.next() => warn("second signal: ending at once"),
    }
    // The end of the program would look like that of a body to some clients.
    cut.send_replace(true);
    let _ = timeout(CUT_TIMEOUT, cut.closed()).await;
}

/// For one connection, which has a timer of its own.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(ConnectionTimer::default())
        .header_read_timeout(REQUEST_TIMEOUT)
        // A client may close its side after the request and still wait for the response.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(REQUEST_TIMEOUT)
        .max_concurrent_streams(256);
    builder
}

async fn client<S, B>(
    tcp: TcpStream,
    peer: Arc<Peer>,
    front: Front<S>,
    watcher: Watcher,
    mut cut: watch::Receiver<bool>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // If it fails the connection is gone already, and hyper will see that.
    let _ = tcp.set_nodelay(true);
    let tcp = Arc::new(tcp);
    connection(&tcp, &peer, front, watcher, &mut cut).await;
    if let Some(hearing) = stream::hear_out(tcp, &peer) {
        tokio::select! {
            () = Box::pin(hearing) => {}
            () = is_cut(&mut cut) => {}
        }
    }
}

async fn connection<S, B>(
    tcp: &Arc<TcpStream>,
    peer: &Arc<Peer>,
    front: Front<S>,
    watcher: Watcher,
    cut: &mut watch::Receiver<bool>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = {
        let peer = Arc::clone(peer);
        service_fn(move |request: Request<Incoming>| {
            peer.request(request.version());
            front.answer(request, &peer)
        })
    };
    let io = TokioIo::new(Stream::new(Arc::clone(tcp), Arc::clone(peer)));
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(io, service);
    let mut connection = pin!(watcher.watch(connection));

    // hyper's own timeout begins when the version is known, which takes a first few bytes.
    let mut first = pin!(sleep(REQUEST_TIMEOUT));
    let silent = poll_fn(|cx| match peer.spoke() {
        true => Poll::Pending,
        false => first.as_mut().poll(cx),
    });
    let broken = async {
        tokio::select! {
            () = stream::gone(tcp) => {}
            () = is_cut(cut) => peer.broke_off(),
        }
    };
    let result = tokio::select! {
        // In this order: a connection that has ended tells more than that the client is gone. A random
        // one would cost a random number at each wake-up.
        biased;
        result = connection.as_mut() => Some(result),
        () = silent => None,
        () = Rarely::new(broken) => None,
    };
    // The stream is dropped after this, together with the connection.
    match result {
        Some(Err(error)) if is_of_the_body(&*error) => peer.broke_off(),
        Some(Err(error)) if is_of_the_head(&*error) => peer.went_unheard(),
        _ => {}
    }
}

/// Waits until all that is under way is cut.
async fn is_cut(cut: &mut watch::Receiver<bool>) {
    // It fails where there is no server any more.
    let _ = cut.wait_for(|cut| *cut).await;
}

/// Whether a connection ended because the body of a response ended with an error. Other errors are
/// those of the client, and of nobody's interest.
fn is_of_the_body(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user)
}

/// Whether a connection ended because hyper refused a request, whose rest may follow.
fn is_of_the_head(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
}

/// Whether an accept failed for a client that went away, so that the next can be had at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
