//! A TCP connection to the origin that does not write a request to who has hung up, or who speaks
//! without being asked.
//!
//! A server may close a connection of the pool at any time. hyper looks for that before it takes a
//! request, but between that look and the write there is time enough, on a busy machine, for a
//! request to go where nobody reads. The same goes for bytes that nobody has asked for: they would be
//! the answer to the next request (RFC 9112 §9.2). So there is a last look before the head of a
//! request is written; if it finds either, the write fails with [`Unsent`], and the request may go
//! elsewhere.
//!
//! A body may look like a head, and an answer to it may be early. So it goes in [`Piece`]s.
//!
//! That is for plain HTTP/1.1 only, where one request at a time is on the wire. For TLS, and what is
//! within, a write tells nothing.

use std::error::Error;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
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
        f.write_str("closed, or spoken on, by the origin before the request was sent")
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
    /// Whether something was read since the last head was written.
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
        // An answer may come while a body is written: what was read counts until the next head.
        if !self.looks || !is_head(next) || !mem::take(&mut self.read) {
            return Ok(());
        }
        // Straight to the socket, which does not block: tokio may not have heard of the end yet.
        // An error is left for the write to find.
        match SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::NotConnected, Unsent(next.to_vec()))),
            Err(_) => Ok(()),
        }
    }
}

/// Whether `bytes` begin with a request line.
fn is_head(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\r').next().is_some_and(|line| line.ends_with(b" HTTP/1.1"))
}

/// A part of a body, with nothing in front of it: so nothing is what a write of it begins with.
#[derive(Debug)]
pub(crate) struct Piece(pub(crate) Bytes);

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        match into {
            [nothing, bytes, ..] if self.0.has_remaining() => {
                *nothing = IoSlice::new(&[]);
                *bytes = IoSlice::new(&self.0);
                2
            }
            _ => self.0.chunks_vectored(into),
        }
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.0.copy_to_bytes(length)
    }
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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

    #[tokio::test]
    async fn what_comes_after_an_early_answer_is_no_answer_to_the_next_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let (mut origin, _) = listener.accept().await.expect("a connection");
        let mut wire = looking(TokioIo::new(tcp)).into_inner();

        wire.write_all(b"POST / HTTP/1.1\r\n\r\n").await.expect("it is written");
        origin.write_all(b"answer").await.expect("it is read");
        wire.read_exact(&mut [0; 6]).await.expect("the answer");
        wire.write_all(b"the body").await.expect("it is written");
        origin.write_all(b"another one").await.expect("it is read");
        while SockRef::from(&wire.tcp).peek(&mut [MaybeUninit::uninit()]).is_err() {
            tokio::task::yield_now().await;
        }
        let error = wire.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect_err("not written");
        assert!(unsent(&error).is_some());
    }

    #[test]
    fn a_piece_has_nothing_in_front_of_it() {
        let mut piece = Piece(Bytes::from_static(b"GET / HTTP/1.1\r\n"));
        for rest in [&b"GET / HTTP/1.1\r\n"[..], b"/ HTTP/1.1\r\n"] {
            let mut slices = [IoSlice::new(b"-"); 3];
            assert_eq!(piece.chunks_vectored(&mut slices), 2);
            assert_eq!([&slices[0][..], &slices[1][..]], [b"", rest]);
            assert_eq!((piece.remaining(), piece.chunk()), (rest.len(), rest));
            assert_eq!(piece.chunks_vectored(&mut slices[..1]), 1);
            assert_eq!(&slices[0][..], rest);
            piece.advance(4);
        }
        assert_eq!(piece.copy_to_bytes(8), "TP/1.1\r\n");
        assert_eq!(piece.chunks_vectored(&mut [IoSlice::new(&[]); 3]), 0);
    }
}
