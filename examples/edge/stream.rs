//! A client's TCP connection, with what the server has to know of it beside HTTP.

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Version;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Time without a byte until a client is asked whether it is still there, and between two questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What is known of a client. Each flag is only ever set, and guards no other memory.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    spoke: AtomicBool,
    http_1_0: AtomicBool,
    abort: AtomicBool,
}

impl Peer {
    /// Takes note of a request.
    pub(crate) fn request(&self, version: Version) {
        self.spoke.store(true, Ordering::Relaxed);
        if version == Version::HTTP_10 {
            self.http_1_0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there was a request.
    pub(crate) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Takes note that a response broke off. To a client of HTTP/1.0 the end of the connection is
    /// the end of a body of unknown length, so an orderly close would look like success; the
    /// connection is reset instead. Others see the break in the framing, and get all that was sent.
    pub(crate) fn broke_off(&self) {
        if self.http_1_0.load(Ordering::Relaxed) {
            self.abort.store(true, Ordering::Relaxed);
        }
    }
}

/// One of two handles: hyper does not read while a response is under way, and does not see then
/// that the client is [`gone`].
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: Arc<TcpStream>,
    peer: Arc<Peer>,
}

impl Stream {
    pub(crate) fn new(tcp: Arc<TcpStream>, peer: Arc<Peer>) -> Self {
        Self { tcp, peer }
    }
}

/// Waits until the connection is broken: reset, or not answering to keepalives.
///
/// The end of what the client sends is no such break: it may still be waiting for the response. If
/// it has closed the connection altogether, its system answers a keepalive with a reset, once it has
/// forgotten the connection.
pub(crate) async fn gone(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    // Without it only those who say that they go are noticed.
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
    if tcp.ready(Interest::ERROR).await.is_err() {
        // There is no telling: writes will find out.
        pending::<()>().await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.peer.abort.load(Ordering::Relaxed) {
            // If it fails the connection is gone already.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            if let Some(done) = done(self.tcp.try_read_buf(buf)) {
                return Poll::Ready(done.map(drop));
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            if let Some(done) = done(self.tcp.try_write(buf)) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            if let Some(done) = done(self.tcp.try_write_vectored(bufs)) {
                return Poll::Ready(done);
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept here.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.tcp).shutdown(Shutdown::Write))
    }
}

/// `None` if it has to be tried again when the socket is ready.
fn done<T>(result: io::Result<T>) -> Option<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}
