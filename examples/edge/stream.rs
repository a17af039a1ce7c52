//! A client's TCP connection, with what the server has to know of it beside HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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

#[derive(Debug)]
pub(crate) struct Stream {
    tcp: TcpStream,
    peer: Arc<Peer>,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, peer: Arc<Peer>) -> Self {
        Self { tcp, peer }
    }

    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().tcp)
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
        self.tcp().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.tcp().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tcp().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_shutdown(cx)
    }
}
