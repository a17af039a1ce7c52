//! How a client is made.
use super::{HttpOrigin, Shared, Target};
use crate::{BoxError, origins::OriginError};
use http::Uri;
use http_body::Body;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connection, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower::{ServiceExt, timeout::Timeout, util::BoxCloneSyncService};
use tower_service::Service;

/// Configures a [`HttpOrigin`].
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpOriginBuilder {
    timeouts: Timeouts,
    idle: Duration,
    max_idle: usize,
    max_connections: usize,
    keep_host: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

impl Default for HttpOriginBuilder {
    fn default() -> Self {
        Self {
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                first_byte: Duration::from_secs(30),
                between_bytes: Duration::from_secs(30),
            },
            idle: Duration::from_secs(5),
            max_idle: 256,
            max_connections: 1024,
            keep_host: false,
        }
    }
}

impl HttpOriginBuilder {
    /// How long it may take to get a free place, to find the name's addresses and to connect, TLS included, all together. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self
    }

    /// How long the head of a response may take from the last byte of the request on. For a request without a body that includes
    /// connecting. Default: 30 s.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.first_byte = timeout;
        self
    }

    /// How long the body of a response may pause while somebody waits for it: a reader that is slow itself is not the origin's fault. Default: 30 s.
    pub fn between_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.between_bytes = timeout;
        self
    }

    /// How long a connection is kept that is not in use. Default: 5 s, as many servers do.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// How many connections are kept that are not in use. Default: 256.
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// How many connections are in use at once, from the request to the end of the response's body; further requests wait. At least one.
    /// Default: 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sends the `Host` of the client's request instead of the origin's name. Default: off.
    pub fn keep_host(mut self, keep: bool) -> Self {
        self.keep_host = keep;
        self
    }

    /// An origin of scheme `http`, by its scheme, host and port. Its path is not used.
    ///
    /// # Errors
    /// If the scheme is another one, or if there is no host.
    pub fn build<Q>(self, origin: Uri) -> Result<HttpOrigin<Q>, OriginError>
    where
        Q: Body + Send + 'static,
        Q::Data: Send,
        Q::Error: Into<BoxError>,
    {
        if origin.scheme_str() != Some("http") {
            return Err(OriginError::unusable(origin));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(60)));
        self.build_with(origin, connector)
    }

    /// An origin that is reached by this connector, which may speak TLS or connect to something else than a TCP port.
    ///
    /// # Example: over TLS
    /// ```no_run
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use tower_cdn::origins::HttpOrigin;
    ///
    /// let tls = hyper_rustls::HttpsConnectorBuilder::new()
    ///     .with_webpki_roots()
    ///     .https_only()
    ///     .enable_http1()
    ///     .build();
    /// let uri = "https://www.example.com".parse().unwrap();
    /// let origin: HttpOrigin<Full<Bytes>> = HttpOrigin::builder().build_with(uri, tls)?;
    /// # Ok::<_, tower_cdn::origins::OriginError>(())
    /// ```
    ///
    /// # Errors
    /// If the URI has no scheme or no host.
    pub fn build_with<Q, C>(self, origin: Uri, connector: C) -> Result<HttpOrigin<Q>, OriginError>
    where
        Q: Body + Send + 'static,
        Q::Data: Send,
        Q::Error: Into<BoxError>,
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let target = Target::new(origin, self.keep_host)?;
        // Also for connections that go on in the background, since another one was free first.
        let connector =
            Timeout::new(connector.map_err(Into::<BoxError>::into), self.timeouts.connect);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle)
            .pool_max_idle_per_host(self.max_idle)
            .build(BoxCloneSyncService::new(connector));
        let places = Arc::new(Semaphore::new(self.max_connections));
        let shared = Arc::new(Shared { target, timeouts: self.timeouts, places });
        Ok(HttpOrigin { client: BoxCloneSyncService::new(client), shared })
    }
}
