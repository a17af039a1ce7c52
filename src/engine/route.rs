//! Which behaviour a request falls under: one engine for each, which share all but their rules.
use super::Engine;
use crate::{
    Behaviour, CacheBody, Distribution, Dynamic, OriginName, distribution::ErrorPage,
    semantics::cache_status::Detail,
};
use http::{Request, Response, StatusCode};
use http_body::Body;
use std::sync::Arc;

/// The engines of one layer.
#[derive(Debug)]
pub(crate) struct Engines {
    /// For all requests, or for those that no behaviour matches.
    default: Arc<Engine>,
    routed: Option<Box<Routed>>,
}

#[derive(Debug)]
struct Routed {
    distribution: Distribution,
    /// In the order of the behaviours.
    engines: Vec<Arc<Engine>>,
    #[cfg(feature = "tracing")]
    warned: std::sync::Once,
}

/// Where a request goes.
pub(crate) enum Route<'a, B> {
    To(&'a Arc<Engine>),
    /// Nobody knows for which host it is, or its behaviour does not allow it.
    Refused(Response<CacheBody<B>>),
}

impl Engines {
    pub(crate) fn new(engine: Engine, distribution: Option<Distribution>) -> Self {
        match distribution {
            Some(distribution) => Self::routed(&engine, distribution),
            None => Self { default: Arc::new(engine), routed: None },
        }
    }

    /// The same cache under another distribution.
    pub(crate) fn under(&self, distribution: Distribution) -> Self {
        let Engine { shared, policy, keys, .. } = &*self.default;
        shared.known.learn(policy, keys);
        Self::routed(&self.default, distribution)
    }

    fn routed(engine: &Engine, distribution: Distribution) -> Self {
        let under = |behaviour: &Behaviour| {
            engine.shared.known.learn(&behaviour.policy, &behaviour.keys);
            Arc::new(engine.under(behaviour))
        };
        let engines = distribution.behaviours.iter().map(|m| under(&m.behaviour)).collect();
        let default = under(&distribution.default);
        let routed = Routed {
            distribution,
            engines,
            #[cfg(feature = "tracing")]
            warned: std::sync::Once::new(),
        };
        Self { default, routed: Some(Box::new(routed)) }
    }

    /// What is the same for all behaviours may be asked of this one.
    pub(crate) fn any(&self) -> &Arc<Engine> {
        &self.default
    }

    /// Makes a request what its behaviour lets through, and finds its engine; or the answer, if it is not allowed.
    pub(crate) fn route<Q: Body, B>(&self, request: &mut Request<Q>) -> Route<'_, B> {
        // All behaviours have one default host.
        if self.default.keys.settle_host(request).is_err() {
            let refused = self.default.refuse(StatusCode::BAD_REQUEST, Detail::BadRequest);
            return Route::Refused(refused);
        }
        let Some(routed) = &self.routed else { return Route::To(&self.default) };
        let Routed { distribution, engines, .. } = &**routed;
        let matched = distribution.route(request.uri(), request.headers());
        let of = |at: usize| Some((&distribution.behaviours.get(at)?.behaviour, engines.get(at)?));
        let (behaviour, engine) =
            matched.and_then(of).unwrap_or((&distribution.default, &self.default));
        if !behaviour.allows(request.method()) {
            return Route::Refused(engine.refuse(StatusCode::FORBIDDEN, Detail::MethodNotAllowed));
        }
        let has_content = !request.body().is_end_stream();
        behaviour.forwarded.apply(&behaviour.keys, request.headers_mut(), has_content);
        // What stands outside does not choose for the operator.
        let extensions = request.extensions_mut();
        match &behaviour.origin {
            Some(origin) => drop(extensions.insert(origin.clone())),
            None => drop(extensions.remove::<OriginName>()),
        }
        if behaviour.is_dynamic {
            extensions.insert(Dynamic);
        } else {
            extensions.remove::<Dynamic>();
        }
        Route::To(engine)
    }

    /// The page that takes the place of an error.
    pub(crate) fn error_page(&self, status: StatusCode) -> Option<&ErrorPage> {
        self.error_pages().iter().find(|page| page.of == status)
    }

    pub(crate) fn has_error_pages(&self) -> bool {
        !self.error_pages().is_empty()
    }

    /// Says once that errors stay as they are.
    pub(crate) fn warn_of_no_page(&self) {
        #[cfg(feature = "tracing")]
        if let Some(routed) = &self.routed {
            routed.warned.call_once(|| {
                tracing::warn!(
                    target: "tower_cdn",
                    "error pages are not fetched: `Builder::empty_body` has to tell how an empty request body is made"
                );
            });
        }
    }

    fn error_pages(&self) -> &[ErrorPage] {
        self.routed.as_ref().map_or(&[], |routed| &routed.distribution.error_pages)
    }
}
