//! A bucket of S3, or of a server that speaks its protocol.

#[cfg(feature = "s3")]
use std::env;

use hyper::Uri;
#[cfg(feature = "s3")]
use tower_cdn::origins::{S3Bucket, S3Credentials, SignRequests};

use crate::plan::OriginLimits;
#[cfg(feature = "s3")]
use crate::plan::{Host, OriginPlan};
use crate::response::Framing;

/// A bucket. Its credentials are no part of it: variables of the environment have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketPlan {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) endpoint: Option<Uri>,
    pub(crate) virtual_host: Option<bool>,
    pub(crate) prefix: String,
    pub(crate) index: Option<String>,
    pub(crate) query: Vec<String>,
    pub(crate) sign: Sign,
    /// What the names of those variables begin with: `AWS` means `AWS_ACCESS_KEY_ID` and its kin.
    pub(crate) variables: String,
    pub(crate) framing: Framing,
    pub(crate) limits: OriginLimits,
}

/// Which requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Always,
    Never,
    UnlessAuthorized,
}

#[cfg(feature = "s3")]
impl BucketPlan {
    /// The bucket, and the server that has it.
    pub(crate) fn bucket(&self) -> Result<(S3Bucket, OriginPlan), String> {
        let mut bucket = S3Bucket::new(&self.name, &self.region)
            .prefix(&self.prefix)
            .query(self.query.iter().cloned())
            .sign(match self.sign {
                Sign::Always => SignRequests::Always,
                Sign::Never => SignRequests::Never,
                Sign::UnlessAuthorized => SignRequests::UnlessAuthorized,
            });
        if let Some(endpoint) = &self.endpoint {
            bucket = bucket.endpoint(endpoint.clone());
        }
        if let Some(virtual_host) = self.virtual_host {
            bucket = bucket.virtual_host(virtual_host);
        }
        if let Some(index) = &self.index {
            bucket = bucket.index(index);
        }
        if self.sign != Sign::Never {
            bucket = bucket.credentials(self.credentials()?);
        }
        let uri = bucket.origin().map_err(|error| crate::fault::chain(&error))?.into_parts();
        let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
            return Err("the server of the bucket has no name".to_owned());
        };
        let origin = OriginPlan {
            url: crate::url::OriginUrl { scheme, authority },
            // It is signed.
            host: Host::Client,
            framing: self.framing,
            limits: self.limits.clone(),
        };
        Ok((bucket, origin))
    }

    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.bucket().map(drop)
    }

    fn credentials(&self) -> Result<S3Credentials, String> {
        let variable = |name: &str| {
            let name = format!("{}_{name}", self.variables);
            env::var(&name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
                format!("requests are to be signed, and the environment has no {name}")
            })
        };
        let credentials =
            S3Credentials::new(variable("ACCESS_KEY_ID")?, variable("SECRET_ACCESS_KEY")?);
        Ok(match variable("SESSION_TOKEN") {
            Ok(token) => credentials.session_token(token),
            Err(_) => credentials,
        })
    }
}

#[cfg(all(feature = "origins", not(feature = "s3")))]
impl BucketPlan {
    pub(crate) fn check(&self) -> Result<(), String> {
        Err("a bucket needs the feature s3, without which this program was built".to_owned())
    }
}
