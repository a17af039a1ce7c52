//! May this response be stored by a shared cache (RFC 9111 section 3)?
use super::{
    deception,
    directives::{Directives, RequestDirectives, Scope},
    fields,
    freshness::{Lifetime, Source},
    selecting::Nominated,
    sharing::{SetCookie, is_meant_for_many, may_share},
    survey::ResponseSurvey,
};
use http::{HeaderMap, Method, StatusCode, header};

/// What the operator decides about storing.
#[derive(Clone, Debug)]
pub(crate) struct StoringRules {
    pub(crate) set_cookie: SetCookie,
    /// Section 5.2.2.5 for requests: a client may keep its answer out of the cache.
    pub(crate) honor_request_no_store: bool,
    /// RFC 9110 section 9.3.3: the answer to a POST may be that to a later GET.
    pub(crate) store_post: bool,
    /// A lifetime that the response did not ask for is good for answers to requests with cookies as well.
    pub(crate) ignore_cookies: bool,
}

/// Why a response was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// The method of the request gives nothing to store (section 3).
    Method,
    /// The status is not a final one, or not one that can be stored alone (206, 304, 416).
    Status,
    /// `must-understand` and a status whose caching this cache does not know (section 5.2.2.3).
    NotUnderstood,
    /// `no-store` (section 5.2.2.5).
    NoStore,
    /// `private` (section 5.2.2.7).
    Private,
    /// `Vary: *`, or a `Vary` that cannot be read (section 4.1).
    VaryStar,
    /// The request had `Authorization`, and the response does not permit sharing (section 3.5).
    Authorization,
    /// `Set-Cookie`, and nothing says that many may have it.
    SetCookie,
    /// No freshness, and nothing to validate with.
    NoFreshness,
    /// `Connection` lists a field that has a meaning end to end.
    Connection,
    /// `text/event-stream`: it has no end.
    EventStream,
    /// `Content-Length` and `Transfer-Encoding`, or several lengths: it can't be told where the content ends.
    Framing,
    /// The content is larger than the limit, or the head.
    TooLarge,
    /// The inner service said so by [`DoNotStore`](crate::DoNotStore).
    Declined,
    /// The request had cookies, and the response does not ask to be stored: it may be made for one user.
    Cookie,
    /// The client asked by `no-store` that the answer is not stored (section 5.2.1.5).
    RequestNoStore,
    /// Its type contradicts the extension of its path, and it does not ask to be stored.
    Deceptive,
    /// It was invalidated while it was on its way (section 4.4).
    Invalidated,
    /// Its head came later than the fetch timeout.
    Late,
    /// It is an update of a stored response, which answered a request with `Authorization` or brings a cookie, and does not itself permit sharing (section 3.5).
    Update,
    /// It is a part that answers the client's `If-Range` and may lack fields (RFC 9110 section 15.3.7), and nothing is stored that has them.
    IfRange,
}

impl NotStored {
    /// It is for the request that the response was not stored: to another one it might be.
    pub(crate) const fn is_of_request(self) -> bool {
        matches!(
            self,
            Self::Authorization
                | Self::Cookie
                | Self::RequestNoStore
                | Self::Update
                | Self::IfRange
        )
    }

    /// The word that the `detail` of `Cache-Status` carries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::VaryStar => "vary",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::NoFreshness => "no-freshness",
            Self::Connection => "connection",
            Self::EventStream => "event-stream",
            Self::Framing => "framing",
            Self::TooLarge => "too-large",
            Self::Declined => "declined",
            Self::Cookie => "cookie",
            Self::RequestNoStore => "request-no-store",
            Self::Deceptive => "deceptive",
            Self::Invalidated => "invalidated",
            Self::Late => "late",
            Self::Update => "update",
            Self::IfRange => "if-range",
        }
    }
}

/// What is asked of a response before it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) request_method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) request_headers: &'a HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) survey: &'a ResponseSurvey,
    pub(crate) directives: &'a Directives,
    /// As [`content_length`] says.
    pub(crate) declared: Result<Option<u64>, ()>,
    pub(crate) lifetime: Lifetime,
    pub(crate) nominated: &'a Nominated,
}

/// Section 3, one line for each condition; the reason of the first that does not hold.
pub(crate) fn may_store(c: &Candidate<'_>, rules: &StoringRules) -> Result<(), NotStored> {
    let forbid = |condition: bool, reason| if condition { Err(reason) } else { Ok(()) };

    // RFC 9110 section 9.3.3; that its Content-Location is the target was looked at before.
    let is_post = rules.store_post
        && *c.request_method == Method::POST
        && c.lifetime.source == Source::Explicit;
    forbid(*c.request_method != Method::GET && !is_post, NotStored::Method)?;
    forbid(!is_storable_alone(c.status), NotStored::Status)?;
    let understood = c.directives.must_understand && understands(c.status);
    forbid(c.directives.must_understand && !understood, NotStored::NotUnderstood)?;
    // Section 5.2.2.3: a cache that understands the status ignores no-store beside must-understand.
    forbid(c.directives.no_store && !understood, NotStored::NoStore)?;
    forbid(
        rules.honor_request_no_store && RequestDirectives::of_request(c.request_headers).no_store,
        NotStored::RequestNoStore,
    )?;
    forbid(c.directives.private == Scope::Whole, NotStored::Private)?;
    forbid(*c.nominated == Nominated::Star, NotStored::VaryStar)?;
    let authorized = c.request_headers.contains_key(header::AUTHORIZATION);
    may_share(authorized, c.survey.set_cookie, c.directives, rules.set_cookie)?;
    forbid(c.survey.connection && lists_end_to_end_field(c.headers), NotStored::Connection)?;
    forbid(is_event_stream(c.headers), NotStored::EventStream)?;
    forbid(c.declared.is_err(), NotStored::Framing)?;
    let is_asked_for = matches!(c.lifetime.source, Source::Explicit | Source::Silent);
    forbid(!is_asked_for && may_be_for_one(c, rules), NotStored::Cookie)?;
    forbid(!is_asked_for && deception::contradicts(c.path, c.headers), NotStored::Deceptive)?;
    let validated = has_validator(c.headers)
        && is_heuristically_cacheable(c.status)
        && !blames_request(c.status);
    forbid(c.lifetime.source == Source::Silent && !validated, NotStored::NoFreshness)
}

/// The request had cookies, and nothing says that the response is not made for who has them.
fn may_be_for_one(c: &Candidate<'_>, rules: &StoringRules) -> bool {
    !rules.ignore_cookies
        && !is_meant_for_many(c.directives)
        && c.request_headers.contains_key(header::COOKIE)
}

/// Is what may be stored never to be reused unless the origin agrees, although the operator or a client would take what is stale? It has no lifetime, or one of zero, and
/// may be made for one user: only the origin can tell whether another one may have it. What says by itself how stale it may be used means it.
pub(crate) fn must_be_validated(c: &Candidate<'_>, rules: &StoringRules) -> bool {
    let Directives { stale_while_revalidate, stale_if_error, .. } = c.directives;
    let names_window = stale_while_revalidate.or(*stale_if_error).is_some();
    c.lifetime.length.is_zero()
        && !names_window
        && (may_be_for_one(c, rules) || deception::contradicts(c.path, c.headers))
}

/// A final status whose response is a whole of its own (section 3, and section 3.3 for 206).
fn is_storable_alone(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(
            status,
            StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

/// The statuses whose caching behaviour this cache implements (section 5.2.2.3).
fn understands(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305..=308 | 400..=415 | 417 | 421..=426 | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511
    )
}

/// RFC 9110 section 15.1.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The statuses that say that this one request was wrong. A default lifetime never applies to them, or one bad
/// request would answer all others.
pub(crate) fn blames_request(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        400..=403 | 405..=409 | 411..=418 | 421 | 422 | 425 | 426 | 428 | 429 | 431 | 451 | 501
    )
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const TYPE: &[u8] = b"text/event-stream";
    let value = headers.get(header::CONTENT_TYPE).map(|value| fields::trim(value.as_bytes()));
    let Some((essence, rest)) = value.and_then(|value| value.split_at_checked(TYPE.len())) else {
        return false;
    };
    essence.eq_ignore_ascii_case(TYPE) && matches!(fields::trim(rest).first(), None | Some(b';'))
}

/// The length that the head declares. `Err` if it contradicts itself (RFC 9112 section 6.3).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut declared = None;
    for member in fields::list(headers, &header::CONTENT_LENGTH) {
        let length = fields::number(member).ok_or(())?;
        if declared.replace(length).is_some_and(|before| before != length) {
            return Err(());
        }
    }
    if declared.is_none() && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(());
    }
    if declared.is_some() && headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(());
    }
    Ok(declared)
}

/// An attack or a mistake: without the field the response means something else.
fn lists_end_to_end_field(headers: &HeaderMap) -> bool {
    fields::list(headers, &header::CONNECTION).any(|name| {
        fields::END_TO_END.iter().any(|field| name.eq_ignore_ascii_case(field.as_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use std::time::Duration;

    struct Case {
        request: Vec<(&'static str, &'static str)>,
        response: Vec<(&'static str, &'static str)>,
        status: u16,
    }

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect()
    }

    fn judge(case: &Case, set_cookie: SetCookie) -> Result<(), NotStored> {
        let (request, response) = (map(&case.request), map(&case.response));
        let directives = Directives::of_response(&response);
        let source = if directives.max_age.or(directives.s_maxage).is_some() {
            Source::Explicit
        } else {
            Source::Silent
        };
        may_store(
            &Candidate {
                request_method: &Method::GET,
                path: "/",
                request_headers: &request,
                status: StatusCode::from_u16(case.status).unwrap(),
                headers: &response,
                survey: &ResponseSurvey::of(&response, &[]),
                directives: &directives,
                declared: content_length(&response),
                lifetime: Lifetime { length: Duration::ZERO, source },
                nominated: &Nominated::of(&response),
            },
            &StoringRules {
                set_cookie,
                honor_request_no_store: false,
                store_post: false,
                ignore_cookies: false,
            },
        )
    }

    fn response(lines: &[(&'static str, &'static str)]) -> Case {
        Case { request: vec![], response: lines.to_vec(), status: 200 }
    }

    #[test]
    fn s3_what_is_stored_and_what_not() {
        use NotStored::*;
        const CC: &str = "cache-control";
        for (lines, want) in [
            (vec![(CC, "max-age=60")], Ok(())),
            (vec![(CC, "max-age=60, no-store")], Err(NoStore)),
            (vec![(CC, "max-age=60, PRIVATE")], Err(Private)),
            (vec![(CC, "max-age=60, private=\"x-a\"")], Ok(())),
            (vec![(CC, "max-age=60"), ("vary", "*")], Err(VaryStar)),
            (vec![], Err(NoFreshness)),
            (vec![("etag", "\"1\"")], Ok(())),
            (vec![(CC, "max-age=60"), ("set-cookie", "a=b")], Err(SetCookie)),
            (vec![(CC, "max-age=60, public"), ("set-cookie", "a=b")], Ok(())),
            (vec![(CC, "max-age=60"), ("connection", "close, Set-Cookie")], Err(Connection)),
            (vec![(CC, "max-age=60"), ("connection", "close, x-a")], Ok(())),
            (
                vec![(CC, "max-age=60"), ("content-type", "text/event-stream; a=b")],
                Err(EventStream),
            ),
            (
                vec![(CC, "max-age=60"), ("content-length", "1"), ("content-length", "2")],
                Err(Framing),
            ),
            (vec![(CC, "max-age=60"), ("content-length", "1, 1")], Ok(())),
            (
                vec![(CC, "max-age=60"), ("content-length", "1"), ("transfer-encoding", "chunked")],
                Err(Framing),
            ),
        ] {
            assert_eq!(judge(&response(&lines), Default::default()), want, "{lines:?}");
        }
    }

    #[test]
    fn s3_status() {
        let with = |status| Case { status, ..response(&[("cache-control", "max-age=60")]) };
        for ok in [200, 203, 204, 301, 404, 410, 499, 500, 599] {
            assert_eq!(judge(&with(ok), Default::default()), Ok(()), "{ok}");
        }
        for not in [101, 206, 304, 416] {
            assert_eq!(judge(&with(not), Default::default()), Err(NotStored::Status), "{not}");
        }
    }

    #[test]
    fn s3_5_authorization() {
        for (cc, want) in [
            ("max-age=60", Err(NotStored::Authorization)),
            ("max-age=60, public", Ok(())),
            ("s-maxage=60", Ok(())),
            ("max-age=60, must-revalidate", Ok(())),
        ] {
            let case = Case {
                request: vec![("authorization", "x")],
                ..response(&[("cache-control", cc)])
            };
            assert_eq!(judge(&case, Default::default()), want, "{cc}");
        }
    }

    #[test]
    fn s5_2_2_3_must_understand() {
        let cc = [("cache-control", "max-age=60, no-store, must-understand")];
        assert_eq!(judge(&response(&cc), Default::default()), Ok(()));
        let unknown = Case { status: 599, ..response(&cc) };
        assert_eq!(judge(&unknown, Default::default()), Err(NotStored::NotUnderstood));
    }

    #[test]
    fn s7_3_set_cookie_as_the_operator_decides() {
        let case = response(&[("cache-control", "s-maxage=60"), ("set-cookie", "a=b")]);
        assert_eq!(judge(&case, SetCookie::Never), Err(NotStored::SetCookie));
        let case = response(&[("cache-control", "max-age=60"), ("set-cookie", "a=b")]);
        assert_eq!(judge(&case, SetCookie::Store), Ok(()));
        assert_eq!(judge(&case, SetCookie::Strip), Ok(()));
    }
}
