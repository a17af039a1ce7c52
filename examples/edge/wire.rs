//! A TCP connection to the origin that does not write a request to who has hung up.
//!
//! A server may close a connection of the pool at any time. hyper looks for that before it takes a
//! request, but between that look and the write there is time enough, on a busy machine, for a
//! request to go where nobody reads. So there is a last look before the head of a request is
//! written; if it finds the end, the write fails with [`Unsent`], and the request may go elsewhere.
//!
//! That is for plain HTTP/1.1 only, where one request at a time is on the wire. For TLS, and what is
//! within, a write tells nothing.

use std::error::Error;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// This head of a request was not written.
struct Unsent(Vec<u8>);

/// Not what it says: that may be secret.
impl std::fmt::Debug for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unsent").field("len", &self.0.len()).finish()
    }
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by the origin before the request was sent")
    }
}

impl Error for Unsent {}

/// What, as `error` says, begins like the head of a request and was not written.
///
/// It may be what is left of a longer head, or of a body.
pub(crate) fn unsent<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a [u8]> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref());
        if let Some(Unsent(head)) = inner.or_else(|| error.downcast_ref()) {
            return Some(head);
        }
        next = error.source();
    }
    None
}

#[derive(Debug)]
pub(crate) struct Wire {
    tcp: TcpStream,
    looks: bool,
    /// Whether something was read since the last write.
    read: bool,
}

/// A connection that just reads and writes.
pub(crate) fn plain(tcp: TokioIo<TcpStream>) -> TokioIo<Wire> {
    TokioIo::new(Wire { tcp: tcp.into_inner(), looks: false, read: false })
}

/// A connection that looks before it writes.
pub(crate) fn looking(tcp: TokioIo<TcpStream>) -> TokioIo<Wire> {
    TokioIo::new(Wire { tcp: tcp.into_inner(), looks: true, read: false })
}

impl Wire {
    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().tcp)
    }

    fn look(&mut self, next: &[u8]) -> io::Result<()> {
        if !mem::take(&mut self.read) || !self.looks || !is_head(next) {
            return Ok(());
        }
        // Straight to the socket, which does not block: tokio may not have heard of the end yet.
        // An error is left for the write to find.
        match SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::NotConnected, Unsent(next.to_vec()))),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Whether `bytes` begin with a request line.
fn is_head(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\r').next().is_some_and(|line| line.ends_with(b" HTTP/1.1"))
}

impl Connection for Wire {
    /// Tells nothing: what is told goes with each response, and nobody asks.
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = self.as_mut().tcp().poll_read(cx, buf);
        self.read |= buf.filled().len() > before;
        poll
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.look(buf)?;
        self.tcp().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look(bufs.first().map_or(&[], |first| first))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Around(io::Error);

    impl std::fmt::Display for Around {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Ok(())
        }
    }

    impl Error for Around {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn what_was_not_written_is_found_within_other_errors() {
        let error = || io::Error::new(io::ErrorKind::NotConnected, Unsent(b"GET /".to_vec()));
        assert_eq!(unsent(&error()), Some(&b"GET /"[..]));
        assert_eq!(unsent(&Around(error())), Some(&b"GET /"[..]));
        assert_eq!(unsent(&io::Error::other("else")), None);
        assert!(!format!("{:?}", error()).contains("GET"));
    }
}
