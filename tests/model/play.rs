//! Plays a story and writes down what the clients got.
use super::{
    origin::{Answer, Content, Origin, text},
    story::{Ask, Condition, Path, Preset, Reads, Step, Story, Tag},
    support::{OriginBody, PlainStore, RequestBody, chosen, settle},
};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tower::{Layer, ServiceExt};
use tower_cdn::{CacheBody, CachePolicy, CacheStatus, CdnCache, CdnCacheLayer, Clock};

/// What happened in a story.
pub(crate) struct Record {
    pub(crate) answers: Vec<Answer>,
    pub(crate) contents: Vec<Content>,
    pub(crate) outcomes: Vec<Outcome>,
    /// Fetches at the end, when nothing should be under way.
    pub(crate) left: u64,
}

/// What a client asked and got.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) ask: Ask,
    /// Of its request: what the conditions came to.
    pub(crate) headers: HeaderMap,
    pub(crate) start: u64,
    pub(crate) started_at: Instant,
    pub(crate) head: Option<Head>,
    pub(crate) failed: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: Option<End>,
    pub(crate) dropped: bool,
}

#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) event: u64,
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) cache: CacheStatus,
    pub(crate) exact: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    Error(String),
}

struct Stage {
    origin: Origin,
    service: CdnCache<Origin>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    tags: Arc<Mutex<HashMap<Path, String>>>,
    tasks: Vec<(JoinHandle<()>, Arc<Notify>)>,
    lazy: Vec<Arc<Notify>>,
}

pub(crate) fn play(story: &Story) -> Record {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(act(story))
}

async fn act(story: &Story) -> Record {
    let policy = match story.setup.preset {
        Preset::Default => CachePolicy::default(),
        Preset::Rfc9111 => CachePolicy::rfc9111(),
    };
    let policy = if story.setup.small_window { policy.window(64) } else { policy };
    let builder = if story.setup.plain_store {
        CdnCacheLayer::builder(PlainStore::default())
    } else {
        CdnCacheLayer::builder(chosen(1 << 22))
    };
    let layer = builder.clock(Clock::tokio()).policy(policy).build();
    let origin = Origin::new(story.setup.preset);
    let mut stage = Stage {
        service: layer.layer(origin.clone()),
        origin,
        outcomes: Arc::default(),
        tags: Arc::default(),
        tasks: Vec::new(),
        lazy: Vec::new(),
    };
    for step in &story.steps {
        stage.step(step).await;
        settle().await;
    }
    // Everything comes to its end, without time passing.
    loop {
        let mut more = 0;
        while stage.origin.release(0) || stage.origin.feed(0) {
            more += 1;
        }
        stage.lazy.drain(..).for_each(|lazy| lazy.notify_one());
        settle().await;
        if more == 0 {
            break;
        }
    }
    settle().await;
    let left = layer.handle().stats().fetches;
    for (task, _) in stage.tasks {
        task.abort();
    }
    let state = stage.origin.lock();
    let outcomes = stage.outcomes.lock().expect("not poisoned").clone();
    Record { answers: state.answers.clone(), contents: state.contents.clone(), outcomes, left }
}

impl Stage {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Ask(ask) => self.ask(ask),
            Step::Origin(path, plan) => self.origin.plan(*path, plan.clone()),
            Step::Pass(seconds) => tokio::time::advance(Duration::from_secs(*seconds)).await,
            Step::Release(n) => _ = self.origin.release(*n),
            Step::Feed(n) => _ = self.origin.feed(*n),
            Step::Read(n) => {
                if !self.lazy.is_empty() {
                    self.lazy.remove(n % self.lazy.len()).notify_one();
                }
            }
            Step::Drop(n) => {
                let open: Vec<usize> =
                    (0..self.tasks.len()).filter(|at| !self.tasks[*at].0.is_finished()).collect();
                if !open.is_empty() {
                    let at = open[n % open.len()];
                    self.tasks[at].0.abort();
                    self.outcomes.lock().expect("not poisoned")[at].dropped = true;
                }
            }
        }
    }

    fn ask(&mut self, ask: &Ask) {
        let number = self.tasks.len();
        let seen = self.tags.lock().expect("not poisoned").get(&ask.path).cloned();
        let tag = |tag| match tag {
            Tag::Seen => seen.clone(),
            Tag::Wrong => Some("\"wrong\"".to_owned()),
        };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.url())
            .header("x-ask", number)
            .header("x-user", u32::from(ask.user));
        let condition = ask.condition.and_then(|condition| match condition {
            Condition::IfNoneMatch(known) => tag(known),
            Condition::Any => Some("*".to_owned()),
        });
        let fields = [
            ("cookie", ask.field("cookie")),
            ("authorization", ask.field("authorization")),
            ("accept-language", ask.field("accept-language")),
            ("x-forwarded-host", ask.forwarded_host.map(str::to_owned)),
            ("cache-control", ask.cache_control.map(str::to_owned)),
            ("range", ask.range.map(str::to_owned)),
            ("if-none-match", condition),
            ("if-range", ask.if_range.filter(|_| ask.range.is_some()).and_then(tag)),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(RequestBody::default()).expect("a request");
        let outcome = Outcome {
            ask: ask.clone(),
            headers: request.headers().clone(),
            start: self.origin.event(),
            started_at: Instant::now(),
            head: None,
            failed: false,
            bytes: Vec::new(),
            end: None,
            dropped: false,
        };
        self.outcomes.lock().expect("not poisoned").push(outcome);
        let told = Arc::new(Notify::new());
        match ask.reads {
            Reads::AtOnce => told.notify_one(),
            Reads::WhenTold => self.lazy.push(Arc::clone(&told)),
        }
        let client = client(
            self.service.clone(),
            request,
            (self.origin.clone(), Arc::clone(&self.outcomes), Arc::clone(&self.tags)),
            (number, ask.path),
            Arc::clone(&told),
        );
        self.tasks.push((tokio::spawn(client), told));
    }
}

type Notes = (Origin, Arc<Mutex<Vec<Outcome>>>, Arc<Mutex<HashMap<Path, String>>>);

async fn client(
    service: CdnCache<Origin>,
    request: Request<RequestBody>,
    (origin, outcomes, tags): Notes,
    (number, path): (usize, Path),
    told: Arc<Notify>,
) {
    let note = |note: &dyn Fn(&mut Outcome)| {
        note(&mut outcomes.lock().expect("not poisoned")[number]);
    };
    let answered: Result<Response<CacheBody<OriginBody>>, _> = service.oneshot(request).await;
    let Ok(response) = answered else {
        note(&|outcome| outcome.failed = true);
        return;
    };
    let (head, body) = response.into_parts();
    if let Some(tag) = text(&head.headers, "etag") {
        tags.lock().expect("not poisoned").insert(path, tag);
    }
    let head = Head {
        event: origin.event(),
        at: Instant::now(),
        status: head.status.as_u16(),
        cache: *head.extensions.get::<CacheStatus>().expect("each response has it"),
        headers: head.headers,
        exact: body.size_hint().exact(),
    };
    note(&|outcome| outcome.head = Some(head.clone()));
    told.notified().await;
    let mut body = Box::pin(body);
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    note(&|outcome| outcome.bytes.extend_from_slice(&data));
                }
            }
            Some(Err(error)) => {
                return note(&|outcome| outcome.end = Some(End::Error(error.to_string())));
            }
            None => return note(&|outcome| outcome.end = Some(End::Clean)),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(u64, String)> = Vec::new();
        let begin = self.outcomes.first().map(|outcome| outcome.started_at);
        let at = |time: Instant| begin.map_or(0, |begin| time.duration_since(begin).as_secs());
        for (n, o) in self.outcomes.iter().enumerate() {
            let time = at(o.started_at);
            lines.push((o.start, format!("{time:>3} s  client {n} asks: {:?}", o.ask)));
            if let Some(head) = &o.head {
                let (status, cache) = (head.status, text(&head.headers, "cache-status"));
                let fields: Vec<_> = ["x-answer", "x-content", "cache-control", "age", "etag"]
                    .iter()
                    .filter_map(|name| Some(format!("{name}: {}", text(&head.headers, name)?)))
                    .collect();
                let (time, cache) = (at(head.at), cache.unwrap_or_default());
                let end = match &o.end {
                    None if o.dropped => "(went away)".to_owned(),
                    None => "(no end)".to_owned(),
                    Some(End::Clean) => String::new(),
                    Some(End::Error(error)) => format!("({error})"),
                };
                let body = String::from_utf8_lossy(&o.bytes);
                let line = format!(
                    "{time:>3} s  client {n} gets {status} [{}] [{cache}] {:.60}... {} bytes {end}",
                    fields.join("; "),
                    body,
                    o.bytes.len(),
                );
                lines.push((head.event, line));
            } else if o.failed {
                lines.push((u64::MAX, format!("client {n} gets the error of the origin")));
            } else {
                lines
                    .push((u64::MAX, format!("client {n} got no answer (dropped: {})", o.dropped)));
            }
        }
        for (n, a) in self.answers.iter().enumerate() {
            let time = at(a.asked_at);
            let line = format!(
                "{time:>3} s  origin is asked {} {} for client {}: answer {n} will be {} with content {}",
                a.method, a.url, a.ask, a.status, a.content
            );
            lines.push((a.asked, line));
            if let Some(answered) = a.answered {
                lines.push((answered, format!("       origin gives answer {n}")));
            }
        }
        lines.sort();
        lines.iter().try_for_each(|(_, line)| writeln!(f, "{line}"))
    }
}
