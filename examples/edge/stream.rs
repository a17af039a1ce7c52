//! A client's TCP connection, with what the server has to know of it beside HTTP.

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::Version;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Time without a byte until a client is asked whether it is still there, and between two questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Who has an answer is heard out for so long, with pauses no longer than this, and for so many bytes.
const HEAR_TIMEOUT: Duration = Duration::from_secs(30);
const HEAR_PAUSE: Duration = Duration::from_secs(5);
const HEAR_MOST: usize = 64 << 20;

/// Bytes read at once of what nobody wants.
const HEAR_AT_ONCE: usize = 16 << 10;

/// What is known of a client. The flags guard no other memory.
#[derive(Debug)]
pub(crate) struct Peer {
    /// How long it may take nothing of what waits for it, or send nothing that is waited for.
    patience: Duration,
    spoke: AtomicBool,
    http_1_0: AtomicBool,
    abort: AtomicBool,
    /// Whether it has, or may have, more to send that nobody wants.
    unheard: AtomicBool,
    /// Whether all that it was to get is sent, in order.
    told: AtomicBool,
    /// Whether it has ended what it sends.
    ended: AtomicBool,
}

impl Peer {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            spoke: AtomicBool::default(),
            http_1_0: AtomicBool::default(),
            abort: AtomicBool::default(),
            unheard: AtomicBool::default(),
            told: AtomicBool::default(),
            ended: AtomicBool::default(),
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Takes note of a request.
    pub(crate) fn request(&self, version: Version) {
        self.spoke.store(true, Ordering::Relaxed);
        self.unheard.store(false, Ordering::Relaxed);
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

    /// Takes note that the rest of what it sends is not wanted.
    pub(crate) fn went_unheard(&self) {
        self.unheard.store(true, Ordering::Relaxed);
    }

    /// Whether it has an answer, and may still be sending what comes before that.
    fn speaks_on(&self) -> bool {
        self.unheard.load(Ordering::Relaxed)
            && self.told.load(Ordering::Relaxed)
            && !self.ended.load(Ordering::Relaxed)
    }
}

/// One of two handles: hyper does not read while a response is under way, and does not see then
/// that the client is [`gone`].
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: Arc<TcpStream>,
    peer: Arc<Peer>,
    stall: Stall,
}

/// How long a write has been waiting for the client.
#[derive(Debug, Default)]
struct Stall {
    since: Option<Instant>,
    /// Made by the first write that waits, and left where it is by those that need not.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Whether the same write has been waiting for so long.
    fn poll(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        // If it is that long it never comes.
        let Some(deadline) = since.checked_add(patience) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() < deadline {
            // That was for a write of before.
            timer.as_mut().reset(deadline);
            return timer.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}

impl Stream {
    pub(crate) fn new(tcp: Arc<TcpStream>, peer: Arc<Peer>) -> Self {
        Self { tcp, peer, stall: Stall::default() }
    }

    /// A write has to wait for a client, which may be one that never takes anything. Its connection is
    /// reset then: what it has not taken would go on to use memory of the system.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stall.poll(self.peer.patience, cx));
        self.peer.abort.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads what there is. Where that is less than there is room for, nothing is left, so the next
    /// read waits at once and does not ask the system first: after each response that would be one
    /// call for nothing.
    fn try_read(&self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let room = buf.remaining();
        let mut read = Err(io::ErrorKind::WouldBlock.into());
        // What is taken back is the readiness from before the read: that of bytes which came since
        // stays.
        let _ = self.tcp.try_io(Interest::READABLE, || {
            read = self.tcp.try_read_buf(buf);
            match read {
                Ok(length) if 0 < length && length < room => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        read
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

/// Hears a client out that has its answer before it has sent all. To close a connection with bytes
/// that nobody has read resets it, and what the client has not read yet may be lost with that (RFC 9112
/// §9.6).
///
/// `None` if there is nothing to hear, or the connection goes on as a tunnel, which has a handle too.
pub(crate) fn hear_out(tcp: Arc<TcpStream>, peer: &Peer) -> Option<impl Future<Output = ()>> {
    let mut tcp = Arc::into_inner(tcp).filter(|_| peer.speaks_on())?;
    let heard = async move {
        let (mut bytes, mut heard) = (vec![0; HEAR_AT_ONCE], 0);
        while heard < HEAR_MOST {
            match timeout(HEAR_PAUSE, tcp.read(&mut bytes)).await {
                Ok(Ok(length)) if length > 0 => heard += length,
                _ => return,
            }
        }
    };
    Some(timeout(HEAR_TIMEOUT, heard).map(drop))
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
            if let Some(done) = done(self.try_read(buf)) {
                if matches!(done, Ok(0)) {
                    self.peer.ended.store(true, Ordering::Relaxed);
                }
                return Poll::Ready(done.map(drop));
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.tcp.poll_write_ready(cx) else {
                return self.poll_stall(cx);
            };
            ready?;
            if let Some(done) = done(self.tcp.try_write(buf)) {
                self.stall.since = None;
                return Poll::Ready(done);
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.tcp.poll_write_ready(cx) else {
                return self.poll_stall(cx);
            };
            ready?;
            if let Some(done) = done(self.tcp.try_write_vectored(bufs)) {
                self.stall.since = None;
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
        self.peer.told.store(true, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn only_a_write_that_waits_makes_a_client_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let tcp = Arc::new(listener.accept().await.unwrap().0);
        let mut stream = Stream::new(tcp, Arc::new(Peer::new(PATIENCE)));
        let mut write = async || {
            let start = Instant::now();
            let mut written = 0;
            loop {
                match stream.write(&[b'x'; 65_536]).await {
                    Ok(length) => written += length,
                    Err(error) => return (error.kind(), written, start.elapsed()),
                }
            }
        };
        let (kind, written, took) = write().await;
        assert!(kind == io::ErrorKind::TimedOut && took >= PATIENCE, "{kind} after {took:?}");
        // What it takes now is late, but the next write has its own time.
        let mut taken = 0;
        while taken < written {
            taken += client.read(&mut [0; 65_536]).await.unwrap();
        }
        tokio::time::sleep(PATIENCE * 10).await;
        let (kind, written, took) = write().await;
        assert!(kind == io::ErrorKind::TimedOut && took >= PATIENCE, "{kind} after {took:?}");
        assert!(written > 0);
    }

    #[tokio::test]
    async fn what_was_read_to_its_end_is_not_ready_until_more_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let tcp = Arc::new(listener.accept().await.unwrap().0);
        let mut stream = Stream::new(Arc::clone(&tcp), Arc::new(Peer::new(PATIENCE)));
        let is_ready =
            || poll_fn(|cx| Poll::Ready(matches!(tcp.poll_read_ready(cx), Poll::Ready(Ok(())))));
        let mut bytes = [0; 4];

        for part in [&b"one"[..], b"two"] {
            client.write_all(part).await.unwrap();
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 3);
            assert_eq!(bytes[..3], *part);
            assert!(!is_ready().await, "nothing is left");
        }

        client.write_all(b"threefour").await.unwrap();
        for part in [b"thre", b"efou"] {
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 4);
            assert_eq!(bytes, *part);
            assert!(is_ready().await, "there may be more");
        }
        client.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 1);
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 0, "the end is not missed");
    }
}
