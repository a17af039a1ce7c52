//! What makes a request say what its key says: what is keyed is exactly what is forwarded.
use http::{HeaderValue, Uri, header, request::Parts};

/// What has to change. Rare, so that nobody else carries the room for it.
#[derive(Debug)]
pub(crate) struct Changes {
    /// With its port.
    pub(super) host: Option<HeaderValue>,
    pub(super) query: Option<String>,
}

impl Changes {
    #[cold]
    pub(super) fn make(self, head: &mut Parts) {
        let mut parts = head.uri.clone().into_parts();
        if let Some(query) = self.query {
            let path = head.uri.path();
            let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
            parts.path_and_query = target.parse().ok();
        }
        if let (Some(host), true) = (&self.host, parts.authority.is_some()) {
            parts.authority = host.as_bytes().try_into().ok();
        }
        if let Ok(changed) = Uri::from_parts(parts) {
            head.uri = changed;
        }
        if let (Some(host), Some(named)) = (self.host, head.headers.get_mut(header::HOST)) {
            *named = host;
        }
    }
}
