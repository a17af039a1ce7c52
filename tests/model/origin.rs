//! An origin that remembers what it answered to whom, and numbers it.
//!
//! Each answer says in `x-answer` which one it is, and in `x-content` which content it has or is about.
use super::{
    story::{Ask, BodyPlan, Ending, Path, Plan, Preset, Strength},
    support::{Feed, OriginBody, OriginError},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};
use tokio::{sync::oneshot, time::Instant};
use tower::Service;

/// The request fields that a `Vary` may name, and the one that is part of the key.
pub(crate) const FIELDS: [&str; 4] =
    ["cookie", "authorization", "accept-language", "x-forwarded-host"];

/// Something that can be delivered: no two have the same bytes, nor the same length.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(crate) tag: Option<String>,
    /// The one who alone may have it.
    pub(crate) owner: Option<u8>,
    pub(crate) url: String,
    fields: Fields,
}

type Fields = HashMap<&'static str, Option<String>>;

/// One request that the origin got, and what it answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The client whose request it was.
    pub(crate) ask: usize,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) fields: Fields,
    pub(crate) asked: u64,
    pub(crate) asked_at: Instant,
    pub(crate) answered: Option<u64>,
    pub(crate) status: u16,
    pub(crate) plan: Plan,
    pub(crate) content: usize,
    pub(crate) bound: bool,
}

impl Answer {
    pub(crate) fn is_failure(&self) -> bool {
        self.plan.fails || matches!(self.status, 500 | 502 | 503 | 504)
    }
}

#[derive(Clone)]
pub(crate) struct Origin {
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    preset: Preset,
    events: u64,
    plans: HashMap<&'static str, Plan>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) contents: Vec<Content>,
    current: HashMap<String, usize>,
    feeds: Vec<(Feed, VecDeque<Bytes>, Ending)>,
    holds: Vec<oneshot::Sender<()>>,
}

impl Origin {
    pub(crate) fn new(preset: Preset) -> Self {
        let state = State {
            preset,
            events: 0,
            plans: HashMap::new(),
            answers: Vec::new(),
            contents: Vec::new(),
            current: HashMap::new(),
            feeds: Vec::new(),
            holds: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// The number of something that happens.
    pub(crate) fn event(&self) -> u64 {
        self.lock().event()
    }

    pub(crate) fn plan(&self, path: Path, plan: Plan) {
        self.lock().plans.insert(path.as_str(), plan);
    }

    /// True if it held anything.
    pub(crate) fn release(&self, n: usize) -> bool {
        let mut state = self.lock();
        state.holds.retain(|hold| !hold.is_closed());
        let some = !state.holds.is_empty();
        if some {
            let at = n % state.holds.len();
            _ = state.holds.remove(at).send(());
        }
        some
    }

    /// True if any body was open.
    pub(crate) fn feed(&self, n: usize) -> bool {
        let mut state = self.lock();
        state.feeds.retain(|(feed, ..)| !feed.is_dropped());
        if state.feeds.is_empty() {
            return false;
        }
        let at = n % state.feeds.len();
        let (feed, chunks, ending) = &mut state.feeds[at];
        if let Some(chunk) = chunks.pop_front() {
            feed.chunk(chunk);
        } else {
            let ending = *ending;
            let (feed, ..) = state.feeds.remove(at);
            end(feed, ending);
        }
        true
    }
}

fn end(feed: Feed, ending: Ending) {
    match ending {
        Ending::Complete | Ending::Short => feed.end(),
        Ending::Breaks => feed.breaks(),
    }
}

impl State {
    fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// The number of the answer, the answer, and what it waits for.
    fn answer(
        &mut self,
        request: &http::request::Parts,
    ) -> (usize, Response<OriginBody>, Option<oneshot::Receiver<()>>) {
        let number = |name| text(&request.headers, name).and_then(|text| text.parse().ok());
        let ask = number("x-ask").expect("each client tells its number");
        let user = number("x-user").expect("each client tells its user") as u8;
        let path = request.uri.path();
        let plan = self.plans.get(path).cloned().unwrap_or_default();
        let url = format!(
            "http://{}{}",
            request
                .uri
                .host()
                .or_else(|| request.headers.get("host")?.to_str().ok())
                .expect("a host"),
            request.uri.path_and_query().expect("a path"),
        );
        let fields: Fields = FIELDS.map(|name| (name, text(&request.headers, name))).into();
        let bound = is_bound(&plan, fields["authorization"].is_some(), self.preset);
        let id = self.answers.len();
        let asked = self.event();
        let is_safe = matches!(request.method, Method::GET | Method::HEAD);
        let is_kept = plan.keeps && is_safe && plan.status == 200;

        let condition = text(&request.headers, "if-none-match").unwrap_or_default();
        let validated = self.contents.iter().position(|content| {
            is_kept
                && content.tag.as_ref().is_some_and(|tag| condition.contains(tag.as_str()))
                && content.url == url
                && content.owner.is_none_or(|owner| owner == user)
                && plan
                    .vary
                    .iter()
                    .chain(&["x-forwarded-host"])
                    .all(|n| content.fields[n] == fields[n])
        });
        let (mut status, content) = match validated {
            Some(content) => (304, content),
            None => (
                plan.status,
                self.content(&request.method, &url, user, &fields, &plan, bound, is_kept),
            ),
        };
        let (whole, tag) =
            (self.contents[content].bytes.clone(), self.contents[content].tag.clone());
        let mut part = 0..whole.len();
        let wanted = text(&request.headers, "range").and_then(|range| slice(&range, whole.len()));
        let if_range = text(&request.headers, "if-range");
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| {
            headers.append(name, HeaderValue::from_str(&value).expect("a value"));
        };
        if let Some(wanted) = wanted
            && status == 200
            && is_kept
            && plan.ranges
            && request.method == Method::GET
            && if_range
                .is_none_or(|wanted| tag.as_ref() == Some(&wanted) && !wanted.starts_with('W'))
        {
            status = 206;
            part = wanted;
            put("content-range", format!("bytes {}-{}/{}", part.start, part.end - 1, whole.len()));
        }
        put("x-answer", id.to_string());
        put("x-content", content.to_string());
        if let Some(list) = &plan.cache_control {
            put("cache-control", list.join(", "));
        }
        if !plan.vary.is_empty() {
            put("vary", plan.vary.join(", "));
        }
        if let Some(tag) = tag {
            put("etag", tag);
        }
        if plan.set_cookie {
            put("set-cookie", format!("owner={user}"));
        }
        if let Some(age) = plan.age {
            put("age", age.to_string());
        }
        if let Some((name, path)) = plan.location.filter(|_| !is_safe) {
            put(name, path.as_str().to_owned());
        }
        let has_content = status != 304 && request.method != Method::HEAD;
        let ending = plan.body.ending();
        if request.method == Method::HEAD && status != 304
            || has_content && (plan.content_length || ending == Ending::Short)
        {
            put("content-length", part.len().to_string());
        }
        let body = if has_content {
            self.body(whole.slice(part), plan.body)
        } else {
            OriginBody::full("")
        };
        let held = plan.held.then(|| {
            let (hold, held) = oneshot::channel();
            self.holds.push(hold);
            held
        });
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = headers;
        self.answers.push(Answer {
            ask,
            method: request.method.clone(),
            url,
            fields,
            asked,
            asked_at: Instant::now(),
            answered: None,
            status,
            plan,
            content,
            bound,
        });
        (id, response, held)
    }

    #[expect(clippy::too_many_arguments, reason = "all that a content depends on")]
    fn content(
        &mut self,
        method: &Method,
        url: &str,
        user: u8,
        fields: &Fields,
        plan: &Plan,
        bound: bool,
        is_kept: bool,
    ) -> usize {
        let owner = bound.then_some(user);
        let values: Vec<_> = plan.vary.iter().map(|name| (name, &fields[name])).collect();
        let place =
            format!("{url} {:?} {values:?} {:?} {owner:?}", fields["x-forwarded-host"], plan.tag);
        if let Some(content) = self.current.get(&place).filter(|_| is_kept) {
            return *content;
        }
        let n = self.contents.len();
        let text = format!("#{n} {method} {url} {values:?} user {user} ");
        // Each place in it can be told from the others.
        let rest = (0..).map(|at: u32| format!("{n}.{at} ")).scan(text.len(), |len, piece| {
            *len += piece.len();
            (*len < 200 + n).then_some(piece)
        });
        let mut text = text.clone() + &rest.collect::<String>();
        text.extend(std::iter::repeat_n('~', (200 + n).saturating_sub(text.len())));
        let tag = plan.tag.filter(|_| plan.status == 200).map(|strength| match strength {
            Strength::Strong => format!("\"c{n}\""),
            Strength::Weak => format!("W/\"c{n}\""),
        });
        let (url, fields) = (url.to_owned(), fields.clone());
        self.contents.push(Content { bytes: text.into(), tag, owner, url, fields });
        if is_kept {
            self.current.insert(place, n);
        }
        n
    }

    fn body(&mut self, content: Bytes, plan: BodyPlan) -> OriginBody {
        let sent = match plan.ending() {
            Ending::Complete => content,
            Ending::Breaks | Ending::Short => content.slice(..content.len() / 2),
        };
        match plan {
            BodyPlan::AtOnce => OriginBody::full(sent),
            BodyPlan::Ends(ending) => {
                let (body, feed) = OriginBody::fed();
                feed.chunk(sent);
                end(feed, ending);
                body
            }
            BodyPlan::Slow(ending) => {
                let (body, feed) = OriginBody::fed();
                let chunks = sent.chunks(sent.len() / 3 + 1).map(Bytes::copy_from_slice).collect();
                self.feeds.push((feed, chunks, ending));
                body
            }
        }
    }
}

/// Does the answer belong to the one who asked, or to nobody at all?
fn is_bound(plan: &Plan, authorization: bool, preset: Preset) -> bool {
    let says =
        |name: &str| plan.cache_control.iter().flatten().any(|d| d.split('=').next() == Some(name));
    let for_many = says("public") || says("s-maxage");
    says("private")
        || says("no-store")
        || authorization && !for_many && !says("must-revalidate")
        || plan.set_cookie && !for_many && preset == Preset::Default
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().expect("text").to_owned())
}

/// What a single range selects of so many bytes.
pub(crate) fn slice(range: &str, len: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<usize>().ok(), last) {
        (None, last) => len.checked_sub(last.parse().ok()?)?..len,
        (Some(first), "") => first..len,
        (Some(first), last) => first..last.parse::<usize>().ok()?.checked_add(1)?.min(len),
    };
    (range.start < range.end).then_some(range)
}

/// What `Vary` may name of a request is what its client sent.
pub(crate) fn fields_of(ask: &Ask) -> Fields {
    FIELDS
        .map(|name| {
            let value = match name {
                "x-forwarded-host" => ask.forwarded_host.map(str::to_owned),
                _ => ask.field(name),
            };
            (name, value)
        })
        .into()
}

impl<Q: Send + 'static> Service<Request<Q>> for Origin {
    type Response = Response<OriginBody>;
    type Error = OriginError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<OriginBody>, OriginError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (id, response, held) = self.lock().answer(&request.into_parts().0);
        let origin = self.clone();
        Box::pin(async move {
            if let Some(held) = held {
                _ = held.await;
            }
            let mut state = origin.lock();
            let answered = state.event();
            state.answers[id].answered = Some(answered);
            if state.answers[id].plan.fails {
                Err(OriginError("origin failed"))
            } else {
                Ok(response)
            }
        })
    }
}
