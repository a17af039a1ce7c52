//! What a client got, and from whom, in one line.
use crate::support::{Ask, Client, Origin, Reply, RequestBody};
use http::{Request, Response};
use tower::Service;
use tower_cdn::{
    BoxError,
    origins::{Attempts, FailoverPolicy, OriginError, OriginGroup},
};

pub(crate) type Group = OriginGroup<Origin>;

/// Origins called `a`, `b`, `c` and so on.
pub(crate) fn origins<const N: usize>() -> [Origin; N] {
    std::array::from_fn(|_| Origin::new())
}

pub(crate) fn named(origins: &[Origin]) -> Vec<(&'static str, Origin)> {
    ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(origins.iter().cloned()).collect()
}

pub(crate) fn group(origins: &[Origin]) -> Client<Group> {
    Client::new(OriginGroup::new(named(origins)))
}

pub(crate) fn group_of(policy: FailoverPolicy, origins: &[Origin]) -> Client<Group> {
    Client::new(OriginGroup::with_policy(policy, named(origins)))
}

/// `200 hello (a=503, b=200)`, or `! why (a=failed)`.
pub(crate) async fn told<S, B>(ask: Ask<S>) -> String
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = OriginError>,
    S: Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    match ask.outcome().await {
        Ok(reply) => {
            let (status, attempts) = (reply.status, attempts(&reply));
            format!("{status} {} ({attempts})", reply.text().await)
        }
        Err(error) => format!("! {error} ({})", error.attempts()),
    }
}

pub(crate) fn attempts(reply: &Reply) -> String {
    reply.extensions.get::<Attempts>().map_or_else(String::new, Attempts::to_string)
}

/// Tells in a task of its own.
pub(crate) fn start_told<S, B>(ask: Ask<S>) -> tokio::task::JoinHandle<String>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = OriginError>,
    S: Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    tokio::spawn(told(ask))
}

pub(crate) fn counts(origins: &[Origin]) -> Vec<usize> {
    origins.iter().map(Origin::count).collect()
}
