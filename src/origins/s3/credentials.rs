//! Who signs.
use aws_credential_types::Credentials;
use std::{env, fmt};

/// An access key of AWS, or of a compatible server. The secret is not shown by `Debug`.
#[derive(Clone)]
pub struct S3Credentials(pub(super) Credentials);

impl S3Credentials {
    /// An access key and its secret.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self::of(access_key_id.into(), secret_access_key.into(), None)
    }

    /// With the token of a session: the key is a temporary one.
    #[must_use]
    pub fn session_token(self, token: impl Into<String>) -> Self {
        let id = self.0.access_key_id().to_owned();
        Self::of(id, self.0.secret_access_key().to_owned(), Some(token.into()))
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`, as they are now. `None` if one of the first two is not set.
    pub fn from_env() -> Option<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let (id, secret) = (set("AWS_ACCESS_KEY_ID")?, set("AWS_SECRET_ACCESS_KEY")?);
        Some(Self::of(id, secret, set("AWS_SESSION_TOKEN")))
    }

    fn of(id: String, secret: String, token: Option<String>) -> Self {
        Self(Credentials::new(id, secret, token, None, "tower-cdn"))
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Credentials").field(&self.0.access_key_id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_environment() {
        let with = |set: &'static [(&str, &str)]| {
            S3Credentials::from_variables(move |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let both = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        assert!(with(&[]).is_none());
        assert!(with(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "")]).is_none());
        let found = with(&[
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
        ])
        .expect("all are set");
        assert_eq!(found.0.session_token(), Some("token"));
        let [id, secret] = both.map(|(_, value)| value);
        assert_eq!((found.0.access_key_id(), found.0.secret_access_key()), (id, secret));
        assert_eq!(format!("{found:?}"), "S3Credentials(\"id\")", "the secret is not shown");
    }
}
