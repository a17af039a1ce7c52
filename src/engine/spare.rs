//! Empty request bodies, for the rare exchange that the cache has to make on its own after the client's body is spent.
use crate::BoxError;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use std::{any::Any, convert::Infallible, fmt};

/// Makes empty bodies of one type; which one is known where it is used.
#[derive(Default)]
pub(crate) struct Spare(Option<Box<dyn Any + Send + Sync>>);

struct Make<Q>(Box<dyn Fn() -> Q + Send + Sync>);

impl Spare {
    pub(crate) fn new<Q: 'static>(make: impl Fn() -> Q + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(Make::<Q>(Box::new(make)))))
    }

    /// An empty body, if bodies are of the type that was told, or of a well-known one.
    pub(crate) fn body<Q: 'static>(&self) -> Option<Q> {
        if let Some(Make(make)) = self.0.as_ref().and_then(|make| make.downcast_ref::<Make<Q>>()) {
            return Some(make());
        }
        let empty = Empty::<Bytes>::new;
        let known: [Box<dyn Any>; 5] = [
            Box::new(empty()),
            Box::new(Full::<Bytes>::default()),
            Box::new(String::new()),
            Box::new(UnsyncBoxBody::<Bytes, Infallible>::new(empty())),
            Box::new(empty().map_err(|never| -> BoxError { match never {} }).boxed_unsync()),
        ];
        known.into_iter().find_map(|body| body.downcast::<Q>().ok()).map(|body| *body)
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spare").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bodies_of_known_types_and_of_the_one_that_was_told() {
        struct Mine;
        assert!(Spare::default().body::<Full<Bytes>>().is_some());
        assert!(Spare::default().body::<Mine>().is_none());
        assert!(Spare::new(|| Mine).body::<Mine>().is_some());
        assert!(Spare::new(|| Mine).body::<Empty<Bytes>>().is_some());
    }
}
