//! Which rules a request falls under: behaviours by path and host, the first that matches.
mod error;
mod forwarded;
mod host;
mod name;
mod pattern;

pub use error::DistributionError;
pub use forwarded::ForwardedHeaders;
pub use name::OriginName;

use crate::{CachePolicy, KeyPolicy};
use error::Wrong;
use host::HostPattern;
use http::{HeaderMap, Method, StatusCode, Uri, header, uri::PathAndQuery};
use pattern::PathPattern;
use std::fmt;

/// An ordered list of behaviours, and one for all requests that none of them matches. The first that matches counts.
///
/// Paths are compared byte by byte, as they were received: what an origin takes for the same path (`/a/../b`, `//b`, `/%62`) may fall under another behaviour. Where a behaviour
/// protects something, let the one behind it be as strict.
///
/// # Example: an API behind the same name as a site
/// ```
/// use tower_cdn::{Behaviour, CachePolicy, CdnCacheLayer, Distribution, MemoryStore};
///
/// # fn main() -> Result<(), tower_cdn::DistributionError> {
/// let distribution = Distribution::builder(Behaviour::new(CachePolicy::cloudfront()).origin("site"))
///     .behaviour("/api/*", Behaviour::dynamic().origin("api"))
///     .behaviour("*.jpg", Behaviour::new(CachePolicy::cloudfront()).origin("images"))
///     .error_page(http::StatusCode::NOT_FOUND, "/errors/404.html", None)
///     .build()?;
/// let layer = CdnCacheLayer::builder(MemoryStore::new(64 * 1024 * 1024))
///     .distribution(distribution)
///     .build();
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Distribution {
    pub(crate) behaviours: Vec<Matched>,
    pub(crate) default: Behaviour,
    pub(crate) error_pages: Vec<ErrorPage>,
}

/// A behaviour, and the requests that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    path: PathPattern,
    host: Option<HostPattern>,
    pub(crate) behaviour: Behaviour,
}

/// What clients get in place of an error.
#[derive(Clone, Debug)]
pub(crate) struct ErrorPage {
    pub(crate) of: StatusCode,
    pub(crate) path: PathAndQuery,
    pub(crate) status: StatusCode,
}

/// A request extension that tells what stands behind the cache: nothing of this request is cached, so a cache further in would gain nothing by it. The requests that a
/// [dynamic](Behaviour::dynamic) behaviour matches have it, and no others, whatever stands outside has put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynamic;

impl Distribution {
    /// A distribution that has only this behaviour so far, for all requests.
    pub fn builder(default: Behaviour) -> DistributionBuilder {
        DistributionBuilder { default, behaviours: Vec::new(), error_pages: Vec::new() }
    }

    /// The place of the behaviour that is for this request; `None` for the default.
    pub(crate) fn route(&self, uri: &Uri, headers: &HeaderMap) -> Option<usize> {
        let (host, path) = (host_of(uri, headers), uri.path());
        self.behaviours.iter().position(|matched| {
            matched.path.matches(path)
                && matched.host.as_ref().is_none_or(|wanted| wanted.matches(host))
        })
    }
}

/// Of a request whose host is settled: it is the one that the key has.
fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.host().or_else(named).unwrap_or_default()
}

/// What becomes of the requests that fall under it.
///
/// # Example: a page in several languages, from an origin of its own
/// ```
/// use tower_cdn::{Behaviour, CachePolicy, KeyPolicy};
///
/// let behaviour = Behaviour::new(CachePolicy::default())
///     .key_policy(KeyPolicy::default().header(http::header::ACCEPT_LANGUAGE))
///     .origin("pages")
///     .methods([http::Method::GET, http::Method::HEAD]);
/// # let _ = behaviour;
/// ```
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub(crate) policy: CachePolicy,
    pub(crate) keys: KeyPolicy,
    pub(crate) forwarded: ForwardedHeaders,
    pub(crate) origin: Option<OriginName>,
    pub(crate) is_dynamic: bool,
    host: Option<String>,
    /// All of them, if there is no list.
    methods: Option<Vec<Method>>,
}

impl Behaviour {
    /// Responses are cached as the policy says. GET, HEAD and OPTIONS are allowed, and `Authorization` and `Cookie` are not forwarded, but for what the key policy names.
    pub fn new(policy: CachePolicy) -> Self {
        Self {
            policy,
            keys: KeyPolicy::default(),
            forwarded: ForwardedHeaders::default(),
            origin: None,
            is_dynamic: false,
            host: None,
            methods: Some(vec![Method::GET, Method::HEAD, Method::OPTIONS]),
        }
    }

    /// Nothing is cached; all methods are allowed and all fields forwarded. A successful answer to an unsafe method invalidates what other behaviours have stored for its URI.
    pub fn dynamic() -> Self {
        Self {
            forwarded: ForwardedHeaders::All,
            is_dynamic: true,
            methods: None,
            ..Self::new(CachePolicy::default())
        }
    }

    /// Another policy. On a [dynamic](Self::dynamic) behaviour only what requests carry of their way counts ([`CachePolicy::cdn_loop`], [`CachePolicy::via`]).
    #[must_use]
    pub fn policy(mut self, policy: CachePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What makes two requests ask for the same thing. Default: [`KeyPolicy::default`].
    #[must_use]
    pub fn key_policy(mut self, keys: KeyPolicy) -> Self {
        self.keys = keys;
        self
    }

    /// The fields of requests that the origin gets. Default: [`ForwardedHeaders::AllButSensitive`], and all for a [dynamic](Self::dynamic) behaviour.
    #[must_use]
    pub fn forwarded_headers(mut self, which: ForwardedHeaders) -> Self {
        self.forwarded = which;
        self
    }

    /// The methods that are allowed; the cache itself answers requests with others, by 403. Default: GET, HEAD and OPTIONS, and all for a [dynamic](Self::dynamic) behaviour.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// The origin that answers: its name is put among the extensions of each request, where `origins::ByExtension` finds it. Default: none.
    #[must_use]
    pub fn origin(mut self, name: impl Into<OriginName>) -> Self {
        self.origin = Some(name.into());
        self
    }

    /// Only requests for this host, whatever their port: a name or an address, or `*.example.com` for all names under `example.com`, but not that one. Default: any. It counts for nothing
    /// on the default behaviour.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }
}

/// Builds a [`Distribution`]; see there for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct DistributionBuilder {
    default: Behaviour,
    behaviours: Vec<(String, Behaviour)>,
    error_pages: Vec<(StatusCode, String, Option<StatusCode>)>,
}

impl DistributionBuilder {
    /// Adds a behaviour behind those that are there, for the paths that match: `*` is any run of characters, also one with slashes, `?` is one character; case counts,
    /// the query does not, and the leading `/` may be left out.
    pub fn behaviour(mut self, path: impl Into<String>, behaviour: Behaviour) -> Self {
        self.behaviours.push((path.into(), behaviour));
        self
    }

    /// Answers with the page at `path`, in place of every response to GET and HEAD that has this status, whoever made it: the origin, the store, or the cache itself. An inner service that
    /// fails counts as 502. The page has the status `as_status` if there is one, else that of the error. Of several pages for one status the first counts.
    ///
    /// The page is a request of the same client to the same host, without its conditions and ranges: it falls under the behaviour that its path matches, and is cached as
    /// that says. If it does not come with 200, the error stays as it was.
    ///
    /// It needs an empty request body. Which one that is is known for the usual types of `http-body-util`; for all others, axum's `Body` among them, [`Builder::empty_body`](crate::Builder::empty_body) has
    /// to tell, and without it no page is fetched.
    pub fn error_page(
        mut self,
        status: StatusCode,
        path: impl Into<String>,
        as_status: Option<StatusCode>,
    ) -> Self {
        self.error_pages.push((status, path.into(), as_status));
        self
    }

    /// The distribution.
    ///
    /// # Errors
    /// If a pattern, a host or an error page is none, if a behaviour is hidden completely by an earlier one, or if one has another
    /// [default host](KeyPolicy::default_host) than the default behaviour.
    pub fn build(self) -> Result<Distribution, DistributionError> {
        let mut behaviours: Vec<Matched> = Vec::with_capacity(self.behaviours.len());
        for (pattern, mut behaviour) in self.behaviours {
            behaviour
                .keys
                .share_default_host(&self.default.keys)
                .map_err(|host| Wrong::DefaultHost { pattern: pattern.clone(), host })?;
            let path = PathPattern::new(&pattern)
                .map_err(|reason| Wrong::Pattern { pattern: pattern.clone(), reason })?;
            let host = behaviour.host.as_deref().map(HostPattern::new).transpose();
            let host = host.map_err(|reason| {
                let host = behaviour.host.clone().unwrap_or_default();
                Wrong::Host { pattern, host, reason }
            })?;
            let matched = Matched { path, host, behaviour };
            if let Some(earlier) = behaviours.iter().find(|earlier| earlier.covers(&matched)) {
                let (earlier, later) = (earlier.to_string(), matched.to_string());
                return Err(Wrong::Hidden { earlier, later }.into());
            }
            behaviours.push(matched);
        }
        let pages = self.error_pages.into_iter().map(|(of, path, status)| {
            let wrong = |reason| Wrong::ErrorPage { status: of, path: path.clone(), reason };
            if !path.starts_with('/') {
                return Err(wrong("a path begins with `/`"));
            }
            if !of.is_client_error() && !of.is_server_error() {
                return Err(wrong("the status is no error"));
            }
            let status = status.unwrap_or(of);
            if status.is_informational() || BODILESS.contains(&status) {
                return Err(wrong("a response with the new status has no content"));
            }
            let path = path.parse().map_err(|_| wrong("it is no path"))?;
            Ok(ErrorPage { of, path, status })
        });
        let error_pages = pages.collect::<Result<_, _>>()?;
        Ok(Distribution { behaviours, default: self.default, error_pages })
    }
}

const BODILESS: [StatusCode; 4] = [
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
];

impl Matched {
    /// Does it take all requests that the other one would take?
    fn covers(&self, other: &Self) -> bool {
        let covers_host = match (&self.host, &other.host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => own.covers(others),
        };
        covers_host && self.path.covers(&other.path)
    }
}

impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.behaviour.host {
            Some(host) => write!(f, "{} of {host}", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}
