//! Which bucket, and how it is asked.
use super::S3Credentials;
use crate::{Clock, origins::OriginError};
use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// A bucket, and how it is asked.
///
/// # Example: a server that speaks the protocol of S3
/// ```
/// use tower_cdn::origins::{S3Bucket, S3Credentials};
///
/// let bucket = S3Bucket::new("assets", "us-east-1")
///     .endpoint("http://minio.internal:9000".parse().unwrap())
///     .prefix("site/")
///     .index("index.html")
///     .credentials(S3Credentials::new("access key", "secret key"));
/// assert_eq!(bucket.origin().unwrap(), "http://minio.internal:9000/");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct S3Bucket {
    name: String,
    pub(super) region: String,
    endpoint: Option<Uri>,
    virtual_host: Option<bool>,
    pub(super) prefix: String,
    pub(super) index: Option<String>,
    pub(super) query: Vec<String>,
    credentials: Option<S3Credentials>,
    sign: SignRequests,
    pub(super) clock: Clock,
}

/// Which requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignRequests {
    /// All, in place of what the client may have sent: the bucket trusts the cache alone.
    #[default]
    Always,
    /// None: the bucket is public.
    Never,
    /// Those in which the client has sent no `Authorization`; others pass with the client's own.
    UnlessAuthorized,
}

/// Where requests for the bucket's objects go.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) scheme: Scheme,
    pub(super) host: Authority,
    /// In front of the object's path.
    pub(super) folder: String,
}

impl S3Bucket {
    /// A bucket at AWS. Default for everything else: nothing in front of the objects' names, no index, no query, all requests signed.
    pub fn new(name: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            region: region.into(),
            endpoint: None,
            virtual_host: None,
            prefix: String::new(),
            index: None,
            query: Vec::new(),
            credentials: None,
            sign: SignRequests::default(),
            clock: Clock::default(),
        }
    }

    /// The server, by its scheme, host and port. Default: `https://s3.` region `.amazonaws.com`.
    pub fn endpoint(mut self, endpoint: Uri) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Names the bucket in the host (`assets.s3.eu-central-1.amazonaws.com`) and not in the path. Default: in the host at AWS, unless its name has a dot, for which the
    /// certificates of AWS are not good; in the path if an [`endpoint`](Self::endpoint) is set.
    pub fn virtual_host(mut self, is_in_host: bool) -> Self {
        self.virtual_host = Some(is_in_host);
        self
    }

    /// What all objects' names begin with: requests name what follows. Default: nothing.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Added to paths that end with a slash: `/` is `/index.html`. Default: nothing; `/` is 404.
    pub fn index(mut self, name: impl Into<String>) -> Self {
        self.index = Some(name.into());
        self
    }

    /// Query parameters that are handed on, such as `versionId`. Default: none. With a signature they are asked in the name of the operator.
    pub fn query<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.query = names.into_iter().map(Into::into).collect();
        self
    }

    /// With what requests are signed.
    pub fn credentials(mut self, credentials: S3Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Which requests are signed. Default: [`SignRequests::Always`].
    pub fn sign(mut self, which: SignRequests) -> Self {
        self.sign = which;
        self
    }

    /// Where the time of signatures is read. Default: [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The origin to connect to: scheme, host and port.
    ///
    /// # Errors
    /// As for [`S3Origin::new`](super::S3Origin::new).
    pub fn origin(&self) -> Result<Uri, OriginError> {
        let Place { scheme, host, .. } = self.place()?;
        let uri = Uri::builder().scheme(scheme).authority(host).path_and_query("/").build();
        uri.map_err(OriginError::misconfigured)
    }

    /// The credentials to sign a request with, if it is to be signed.
    pub(super) fn signs(&self, is_authorized: bool) -> Option<&S3Credentials> {
        let is_signed = match self.sign {
            SignRequests::Always => true,
            SignRequests::Never => false,
            SignRequests::UnlessAuthorized => !is_authorized,
        };
        self.credentials.as_ref().filter(|_| is_signed)
    }

    pub(super) fn place(&self) -> Result<Place, OriginError> {
        if self.sign != SignRequests::Never && self.credentials.is_none() {
            return Err(OriginError::misconfigured(
                "requests are to be signed without credentials",
            ));
        }
        let is_in_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_in_name) || self.name.contains("..") {
            return Err(OriginError::misconfigured(format!(
                "no name of a bucket: {:?}",
                self.name
            )));
        }
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("https://s3.{}.amazonaws.com", self.region)
                .parse()
                .map_err(OriginError::misconfigured)?,
        };
        let parts = endpoint.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(OriginError::misconfigured("an endpoint needs a scheme and a host"));
        };
        let by_default = self.endpoint.is_none() && !self.name.contains('.');
        if !self.virtual_host.unwrap_or(by_default) {
            return Ok(Place { scheme, host: authority, folder: format!("/{}", self.name) });
        }
        let host = format!("{}.{authority}", self.name).parse();
        Ok(Place { scheme, host: host.map_err(OriginError::misconfigured)?, folder: String::new() })
    }
}
