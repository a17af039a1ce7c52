//! The address on which an operator asks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Admin;

/// Time for the head of a request, and for a connection to be idle: who says nothing is not to hold a place for long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections at once; more of them wait.
const MAX_CONNECTIONS: usize = 1024;

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Starts a server that goes on for as long as the program does.
pub(crate) async fn start(listen: SocketAddr, admin: Admin) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(listen).await;
    let listener =
        listener.map_err(|error| format!("--admin: cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| format!("--admin: cannot tell the address: {error}"))?;
    tokio::spawn(serve(listener, admin));
    Ok(address)
}

async fn serve(listener: TcpListener, admin: Admin) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // It is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((tcp, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let admin = admin.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = admin.clone().answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(tcp), service);
        tokio::spawn(async move {
            let _place = place;
            // Its errors are the client's, and of nobody's interest.
            let _ = connection.await;
        });
    }
}
