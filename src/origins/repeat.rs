//! Requests that can be sent more than once.
use http::{Method, Request, request::Parts};
use http_body::Body;
use std::mem;

/// A request on its way to one or several origins.
pub(crate) struct Outgoing<Q> {
    head: Parts,
    /// The client's body, until it is sent.
    body: Option<Q>,
    repeatable: bool,
}

impl<Q: Body + Default> Outgoing<Q> {
    /// It can be sent again if its method is GET, HEAD or OPTIONS, its body is at its end, and an empty body can be made.
    pub(crate) fn new(request: Request<Q>) -> Self {
        let (head, body) = request.into_parts();
        let repeatable = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS)
            && body.is_end_stream()
            && Q::default().is_end_stream();
        Self { head, body: Some(body), repeatable }
    }

    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The request, to be sent now; what is left can be sent again if it is repeatable.
    pub(crate) fn next(&mut self) -> Request<Q> {
        let head = if self.repeatable { self.head.clone() } else { self.take_head() };
        Request::from_parts(head, self.body.take().unwrap_or_default())
    }

    fn take_head(&mut self) -> Parts {
        let (empty, ()) = Request::new(()).into_parts();
        mem::replace(&mut self.head, empty)
    }
}
