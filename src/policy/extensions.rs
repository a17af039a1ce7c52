//! What the inner service, or something in front of the cache, says of one request or response.

/// A response extension by which the inner service says: never store this response, whatever its fields say.
///
/// # Example: a handler that knows better than its fields
/// ```
/// use tower_cdn::DoNotStore;
///
/// let mut response = http::Response::new("for you only");
/// response.extensions_mut().insert(DoNotStore);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoNotStore;

/// A request extension by which something in front of the cache says: this request does not take part.
///
/// # Example: a layer that knows who asks
/// ```
/// use tower_cdn::Bypass;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Bypass);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bypass;

/// A request extension by which something in front of the cache says: this request does not wait for another one's fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoNotCollapse;
