//! What is asked of the origin, and what its answer means for what is stored.
use super::{
    Engine,
    begin::Asked,
    landing::Course,
    look_up::{Found, LookUp},
    partial::Filled,
};
use crate::{
    policy::RangeFetch,
    semantics::{conditional, range, reuse, validation},
};
use http::{HeaderValue, Method, StatusCode, header, request, response};
use std::ops::Range;

/// What is asked of the origin.
pub(crate) enum Plan {
    Whole,
    /// Whether what is stored is still good (RFC 9111 section 4.3.1).
    Validate(Found),
    /// The range that the client asked for.
    Part,
    /// What is missing of stored parts (RFC 9111 section 3.4).
    Complete(Found, Range<u64>),
}

impl Plan {
    pub(super) fn of<B, E>(course: &Course<B, E>, request: &request::Parts) -> Self {
        let look = &course.look;
        if let Some(found) = &look.found {
            return Self::Validate(found.clone());
        }
        if course.engine.fetches_part(request, look) {
            return Self::Part;
        }
        let gap = look.part.as_ref().and_then(|part| {
            let is_strong = validation::strong_tag(&part.head.headers).is_some();
            part.head.rare.part.as_ref()?.gap().filter(|_| is_strong)
        });
        match (&look.part, gap) {
            (Some(part), Some(gap)) => Self::Complete(part.clone(), gap),
            _ => Self::Whole,
        }
    }

    pub(super) fn has_conditions(&self) -> bool {
        matches!(self, Self::Validate(_) | Self::Complete(..))
    }

    /// The request that is sent: no conditions of the client, those of the cache instead.
    pub(super) fn prepare(&self, engine: &Engine, client: &Asked) -> request::Parts {
        let mut head = client.head.clone();
        engine.mark(head.version, &mut head.headers);
        head.method = Method::GET;
        let conditions = &validation::CLIENT_CONDITIONS;
        for name in conditions.iter().filter(|_| client.asks) {
            let is_kept =
                matches!(self, Self::Part) && matches!(*name, header::RANGE | header::IF_RANGE);
            if !is_kept {
                head.headers.remove(name);
            }
        }
        match self {
            Self::Validate(stale) => {
                validation::add_validators(&mut head.headers, &stale.head.headers);
            }
            Self::Complete(part, gap) => {
                if let (Some(tag), Ok(range)) = (
                    validation::strong_tag(&part.head.headers),
                    HeaderValue::try_from(range::request_for(gap)),
                ) {
                    head.headers.insert(header::RANGE, range);
                    head.headers.insert(header::IF_RANGE, tag.clone());
                }
            }
            Self::Whole | Self::Part => {}
        }
        head
    }

    /// What the answer to it means. `stale` is what may answer where the origin fails.
    pub(super) fn meaning(
        &self,
        answer: &response::Parts,
        stale: impl FnOnce() -> Option<Found>,
    ) -> Meaning {
        let (status, headers) = (answer.status, &answer.headers);
        match (self, status) {
            (Self::Validate(stale), StatusCode::NOT_MODIFIED) => {
                if validation::identifies(&stale.head.headers, headers) {
                    Meaning::StillGood(stale.clone())
                } else {
                    Meaning::Contradiction
                }
            }
            (Self::Validate(_), _) if reuse::is_origin_failure(status) => {
                stale().map_or(Meaning::Response, Meaning::Failed)
            }
            (Self::Part, StatusCode::PARTIAL_CONTENT) => match range::carried(headers) {
                Some((range, complete)) => Meaning::Part(range, complete),
                None => Meaning::Response,
            },
            (Self::Complete(part, gap), StatusCode::PARTIAL_CONTENT) => {
                Filled::of(part, gap, headers).map_or(Meaning::Contradiction, Meaning::Completed)
            }
            (Self::Complete(..), StatusCode::RANGE_NOT_SATISFIABLE) => Meaning::Contradiction,
            _ => Meaning::Response,
        }
    }
}

/// What an answer means for what is stored.
pub(super) enum Meaning {
    /// 304 (RFC 9111 section 4.3.3).
    StillGood(Found),
    /// The origin fails, and what is stale may answer (RFC 5861 section 4).
    Failed(Found),
    /// The part that was asked for, of so many bytes.
    Part(Range<u64>, u64),
    /// What was missing.
    Completed(Filled),
    /// A response of its own.
    Response,
    /// It fits nothing that was asked.
    Contradiction,
}

impl Engine {
    /// Does this request get its range from the origin, and not from the whole?
    pub(crate) fn fetches_part(&self, request: &request::Parts, look: &LookUp) -> bool {
        self.policy.range_fetch == RangeFetch::AsAsked
            && look.found.is_none()
            && request.method == Method::GET
            && range::asks_for_one(&request.headers)
            && !conditional::has_conditions(&request.headers)
    }
}
