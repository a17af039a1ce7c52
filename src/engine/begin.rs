//! The start of a request's life, before anything is waited for: does it take part, and can it be answered at once?
use super::{
    Engine,
    deliver::{Delivery, deliver},
    exit::Age,
    flight::Supply,
    look_up::{Found, LookUp, Peeked},
    reception::size,
};
use crate::{
    Bypass, CacheBody, CacheKey, CacheStatus,
    key::{NoKey, Survey},
    semantics::{
        cache_status::{Detail, Forward},
        directives::RequestDirectives,
        fields, forwarding,
        freshness::Freshness,
        invalidation,
        reuse::Verdict,
    },
};
use http::{HeaderMap, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body;

/// What becomes of a GET or HEAD.
pub(crate) enum Begin {
    Answered,
    /// It takes no part: forwarded as it came, but for its host and what it says of its way.
    Forward(CacheStatus),
    /// It needs the store, or the inner service.
    Ask(Asking, Option<Box<LookUp>>),
}

/// What becomes an [`Asked`] with its head, which stays where it is until then.
pub(crate) struct Asking {
    primary: CacheKey,
    directives: RequestDirectives,
    asks: bool,
}

impl Asking {
    pub(crate) fn with(self, head: Parts) -> Asked {
        let Self { primary, directives, asks } = self;
        Asked { head, primary, directives, asks }
    }
}

/// What becomes of a request with a method that no stored response answers.
pub(crate) enum Pass {
    /// It takes no part.
    Safe,
    /// It takes no part, but its answer may make stored responses invalid.
    Unsafe,
    /// It was here before.
    Loop,
}

/// A request that takes part.
pub(crate) struct Asked {
    /// As the client sent it, but for what its key leaves out.
    pub(crate) head: Parts,
    pub(crate) primary: CacheKey,
    /// What the client asks of caches, as far as the policy honours it.
    pub(crate) directives: RequestDirectives,
    /// True if it has conditions or a range.
    pub(crate) asks: bool,
}

impl Engine {
    /// Begins a GET or HEAD. `answer` is an empty response, which has become the answer if nothing is left to do. Requests and responses are large, and stay
    /// where they are.
    pub(crate) fn begin<Q: Body, B>(
        &self,
        head: &mut Parts,
        body: &Q,
        answer: &mut Response<CacheBody<B>>,
    ) -> Begin {
        let survey = Survey::of(&head.headers);
        if survey.cdn_loop && self.is_loop(&head.headers) {
            *answer = self.refuse_loop();
            return Begin::Answered;
        }
        if let Some(detail) = self.stays_out(head, body, &survey) {
            self.mark(head.version, &mut head.headers);
            return Begin::Forward(CacheStatus::forwarded(Forward::Bypass).detail_of(detail));
        }
        let (has_directives, asks) = (survey.directives, survey.conditions);
        let mut keyed = self.keys.surveyed_key(head, &survey);
        // A key is large, and stays where it was made.
        let keyed = match &mut keyed {
            Ok(keyed) => keyed,
            Err(NoKey::Malformed) => {
                *answer = self.refuse(StatusCode::BAD_REQUEST, Detail::BadRequest);
                return Begin::Answered;
            }
            Err(reason @ (NoKey::TooLong | NoKey::NoHost | NoKey::OtherScheme)) => {
                let detail = match reason {
                    NoKey::TooLong => Detail::TooLong,
                    _ => Detail::NotCacheable,
                };
                self.mark(head.version, &mut head.headers);
                return Begin::Forward(CacheStatus::forwarded(Forward::Bypass).detail_of(detail));
            }
        };
        self.keys.prepare(head, keyed.changes.take());
        let directives =
            if has_directives { self.directives(&head.headers) } else { Default::default() };
        match self.hit(head, &keyed.key, &directives, asks, answer) {
            Ok(()) => Begin::Answered,
            Err(look) => {
                let primary = keyed.key.clone();
                Begin::Ask(Asking { primary, directives, asks }, look)
            }
        }
    }

    /// Makes a request with a method that no stored response answers what is forwarded.
    pub(crate) fn pass<Q>(&self, request: &mut Request<Q>) -> Pass {
        if self.is_loop(request.headers()) {
            return Pass::Loop;
        }
        self.mark(request.version(), request.headers_mut());
        if invalidation::is_unsafe(request.method()) { Pass::Unsafe } else { Pass::Safe }
    }

    /// RFC 8586 section 2.
    fn is_loop(&self, request: &HeaderMap) -> bool {
        self.policy.loop_id.as_ref().is_some_and(|id| forwarding::is_loop(request, id))
    }

    /// Adds what a forwarded request carries of its way.
    pub(crate) fn mark(&self, version: Version, headers: &mut HeaderMap) {
        forwarding::mark(
            headers,
            version,
            self.policy.via.as_deref(),
            self.policy.loop_id.as_ref(),
        );
    }

    /// The response to a hit, if the store can tell at once; else what it has told.
    fn hit<B>(
        &self,
        head: &mut Parts,
        primary: &CacheKey,
        directives: &RequestDirectives,
        asks: bool,
        answer: &mut Response<CacheBody<B>>,
    ) -> Result<(), Option<Box<LookUp>>> {
        match self.peek(primary, head) {
            None => Err(None),
            Some(Peeked::Plain(found)) => match self.freshness(directives, &found) {
                Some(freshness) => {
                    self.hit_at_once(head, found, freshness, asks, answer);
                    Ok(())
                }
                None => Err(Some(Box::new(LookUp::plain(primary.clone(), found)))),
            },
            Some(Peeked::Variant(found)) => {
                // Else it is looked up again, with all that a fetch has to know of variants.
                let freshness = self.freshness(directives, &found).ok_or(None)?;
                self.hit_at_once(head, found, freshness, asks, answer);
                Ok(())
            }
            Some(Peeked::Other(look)) => {
                let found = look.found.as_ref();
                let freshness = found.and_then(|found| self.freshness(directives, found));
                match (freshness, look) {
                    (Some(freshness), LookUp { found: Some(found), .. }) => {
                        self.hit_at_once(head, found, freshness, asks, answer);
                        Ok(())
                    }
                    (_, look) => Err(Some(Box::new(look))),
                }
            }
        }
    }

    /// If it may answer as it is.
    #[inline]
    fn freshness(&self, directives: &RequestDirectives, found: &Found) -> Option<Freshness> {
        let freshness = found.head.freshness(&self.clock.read());
        let is_fresh = self.judge(directives, &found.head, freshness) == Verdict::Fresh;
        is_fresh.then_some(freshness)
    }

    fn hit_at_once<B>(
        &self,
        head: &mut Parts,
        found: Found,
        freshness: Freshness,
        asks: bool,
        answer: &mut Response<CacheBody<B>>,
    ) {
        let delivery = Delivery {
            head: &found.head,
            fields: &found.head.headers,
            supply: Supply::Stored(found.content),
            asks,
        };
        deliver(head, delivery, answer);
        // The request's map is used again for the response's: hosts that put something into it have paid for its allocations.
        *answer.extensions_mut() = std::mem::take(&mut head.extensions);
        answer.extensions_mut().clear();
        let age = Age::Current(freshness.current_age);
        self.complete(answer, age, CacheStatus::hit(freshness.ttl()));
    }

    /// Why a GET or HEAD takes no part, if it does not.
    fn stays_out<Q: Body>(&self, head: &Parts, body: &Q, survey: &Survey<'_>) -> Option<Detail> {
        if self.is_dynamic {
            return Some(Detail::Dynamic);
        }
        if head.extensions.get::<Bypass>().is_some() {
            return Some(Detail::Asked);
        }
        let limit = self.policy.limits.max_head;
        if survey.at_most > limit && size(&head.headers) > limit {
            return Some(Detail::TooLong);
        }
        let has_content = survey.announces_content
            || !body.is_end_stream() && body.size_hint().exact() != Some(0);
        let stays_out = has_content
            || survey.is_grpc
            || survey.connection
                && (survey.upgrade && fields::is_upgrade(&head.headers)
                    || hides_fields(&head.headers));
        stays_out.then_some(Detail::NotCacheable)
    }

    /// RFC 9111 section 5.2.1: `only-if-cached` always, the rest where the policy says so.
    fn directives(&self, headers: &HeaderMap) -> RequestDirectives {
        let asked = RequestDirectives::of_request(headers);
        if self.policy.honor_request_directives {
            asked
        } else {
            RequestDirectives {
                only_if_cached: asked.only_if_cached,
                ..RequestDirectives::default()
            }
        }
    }

    /// RFC 8586 section 2.
    pub(crate) fn refuse_loop<B>(&self) -> Response<CacheBody<B>> {
        self.refuse(StatusCode::LOOP_DETECTED, Detail::Loop)
    }

    /// A response that the cache makes itself.
    pub(crate) fn refuse<B>(&self, code: StatusCode, detail: Detail) -> Response<CacheBody<B>> {
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = code;
        self.exit(response, CacheStatus::default().detail_of(detail))
    }
}

/// RFC 9110 section 7.6.1: a field that `Connection` lists may be gone where the inner service forwards the request, and the key would speak of
/// a field that the origin has not seen.
fn hides_fields(headers: &HeaderMap) -> bool {
    const HARMLESS: [&[u8]; 6] =
        [b"close", b"keep-alive", b"te", b"upgrade", b"http2-settings", b"proxy-connection"];
    fields::list(headers, &header::CONNECTION)
        .any(|option| !HARMLESS.iter().any(|known| option.eq_ignore_ascii_case(known)))
}
