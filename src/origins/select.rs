//! From a request to the name of an origin.
use super::OriginName;
use http::request::Parts;

/// Names the origin that is to answer a request.
///
/// Implemented for closures that return a name, and by [`ByExtension`]. It is asked once for each request that reaches
/// [`Origins`](super::Origins), so it should not take long.
///
/// # Example: by the first label of the host
/// ```
/// use http::request::Parts;
/// use tower_cdn::origins::{OriginName, SelectOrigin};
///
/// struct ByHost;
///
/// impl SelectOrigin for ByHost {
///     fn select(&self, request: &Parts) -> Option<OriginName> {
///         let (label, _) = request.uri.host()?.split_once('.')?;
///         Some(label.to_owned().into())
///     }
/// }
/// # let (parts, ()) = http::Request::get("http://img.example.com/").body(()).unwrap().into_parts();
/// # assert_eq!(ByHost.select(&parts), Some("img".into()));
/// ```
pub trait SelectOrigin {
    /// The name of the origin, or `None` for the one that answers by default, see [`Origins::fallback`](super::Origins::fallback).
    fn select(&self, request: &Parts) -> Option<OriginName>;
}

impl<F, N> SelectOrigin for F
where
    F: Fn(&Parts) -> N,
    N: Into<OriginName>,
{
    fn select(&self, request: &Parts) -> Option<OriginName> {
        Some(self(request).into())
    }
}

/// Selects the origin whose [`OriginName`] is among the request's extensions: something outside has chosen already. The cache hands
/// extensions of requests on; they are no part of its key.
///
/// # Example
/// ```
/// use tower_cdn::origins::{ByExtension, OriginName, SelectOrigin};
///
/// let request = http::Request::get("/").extension(OriginName::from("api")).body(()).unwrap();
/// let (parts, ()) = request.into_parts();
/// assert_eq!(ByExtension.select(&parts), Some("api".into()));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByExtension;

impl SelectOrigin for ByExtension {
    fn select(&self, request: &Parts) -> Option<OriginName> {
        request.extensions.get().cloned()
    }
}
