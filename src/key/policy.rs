//! What goes into a key, as the operator decides.
use http::HeaderName;

/// What goes into the cache key beside scheme, host, port, path and query, and what becomes of what does not.
///
/// # Example: strip tracking parameters, key a cookie
/// ```
/// use tower_cdn::{KeyPolicy, Parameters};
///
/// let policy = KeyPolicy::default()
///     .query(Parameters::AllBut(vec!["utm_source".into(), "utm_campaign".into()]))
///     .sort_query(true)
///     .cookie("theme")
///     .header(http::header::ACCEPT_LANGUAGE);
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    pub(super) headers: Vec<HeaderName>,
    pub(super) cookies: Vec<String>,
    pub(super) query: Parameters,
    pub(super) sort_query: bool,
    pub(super) influential: Influential,
    pub(super) default_host: Option<String>,
    pub(super) https: bool,
    pub(super) max_url: usize,
}

/// Which query parameters count. What does not count is removed from the request before it is forwarded, so that the inner service
/// cannot answer differently for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parameters {
    /// All of them, as received.
    #[default]
    All,
    /// None.
    None,
    /// Only these.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

/// What to do with fields that change the answers of many applications although nobody keys them, such as
/// `X-Forwarded-Host`: one of them in one request could poison the answer to all others.
///
/// These are: `base-url`, `forwarded`, `front-end-https`, `http-url`, `proxy-host`, `request-uri`, `rsc`, `x-backend-host`, `x-forwarded-base`, `x-forwarded-host`, `x-forwarded-path`, `x-forwarded-port`, `x-forwarded-prefix`, `x-forwarded-proto`, `x-forwarded-protocol`, `x-forwarded-scheme`, `x-forwarded-server`, `x-forwarded-ssl`, `x-forwarded-uri`, `x-forwarded-url`, `x-host`, `x-http-destinationurl`, `x-http-host-override`, `x-http-method`, `x-http-method-override`, `x-invoke-path`, `x-invoke-status`, `x-method-override`, `x-middleware-prefetch`, `x-middleware-subrequest`, `x-nextjs-data`, `x-now-route-matches`, `x-original-host`, `x-original-uri`, `x-original-url`, `x-proxy-url`, `x-rewrite-url`, `x-scheme`, `x-url-scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Influential {
    /// Where one is present, its name and value become part of the key.
    #[default]
    Key,
    /// They are removed from the forwarded request.
    Strip,
    /// They are forwarded and not keyed: something in front of the cache sets them for all requests alike.
    Trust,
}

impl Default for KeyPolicy {
    /// Everything that HTTP says identifies a resource, and influential fields where present.
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            cookies: Vec::new(),
            query: Parameters::All,
            sort_query: false,
            influential: Influential::Key,
            default_host: None,
            https: false,
            max_url: 8 * 1024,
        }
    }
}

impl KeyPolicy {
    /// Adds a request field to the key. Prefer `Vary` where the inner service can send it.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.headers.push(name);
        self
    }

    /// Adds a cookie to the key, by its name.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookies.push(name.into());
        self
    }

    /// Which query parameters count. Default: all.
    #[must_use]
    pub fn query(mut self, which: Parameters) -> Self {
        self.query = which;
        self
    }

    /// Sorts the query parameters, in the key and in what is forwarded. Default: off, since the order may mean something.
    #[must_use]
    pub fn sort_query(mut self, sort: bool) -> Self {
        self.sort_query = sort;
        self
    }

    /// What to do with influential fields. Default: they become part of the key.
    #[must_use]
    pub fn influential(mut self, what: Influential) -> Self {
        self.influential = what;
        self
    }

    /// The host of requests that name none; they are forwarded with it. Default: HTTP/1.1 requests without a host are answered with 400
    /// (RFC 9112 section 3.2), others are forwarded without the cache.
    ///
    /// All behaviours of a [`Distribution`](crate::Distribution) have that of its default behaviour.
    #[must_use]
    pub fn default_host(mut self, host: impl Into<String>) -> Self {
        self.default_host = Some(host.into());
        self
    }

    /// Takes over the default host of the `other` policy. The error is its own, if that is a different one.
    pub(crate) fn share_default_host(&mut self, other: &Self) -> Result<(), String> {
        let own = self.default_host.take().filter(|own| Some(own) != other.default_host.as_ref());
        self.default_host.clone_from(&other.default_host);
        own.map_or(Ok(()), Err)
    }

    /// The scheme of requests whose target has none is `https`. Default: `http`.
    #[must_use]
    pub fn https(mut self, https: bool) -> Self {
        self.https = https;
        self
    }

    /// The longest URL that is cached, in bytes; longer ones are forwarded without the cache. Default: 8 KiB.
    #[must_use]
    pub fn max_url(mut self, bytes: usize) -> Self {
        self.max_url = bytes;
        self
    }
}
