//! Whose bytes did I get, and was that allowed?
use super::{
    origin::{Answer, FIELDS, fields_of, slice, text},
    play::{End, Head, Outcome, Record},
    story::{Ending, Preset, Story},
};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// What was looked at in all stories, to know that they are about something.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    answers: AtomicU64,
    hits: AtomicU64,
    stale: AtomicU64,
    collapsed: AtomicU64,
    validated: AtomicU64,
    not_modified: AtomicU64,
    partial: AtomicU64,
    broken: AtomicU64,
    invalidated: AtomicU64,
}

static SEEN: Seen = Seen {
    answers: AtomicU64::new(0),
    hits: AtomicU64::new(0),
    stale: AtomicU64::new(0),
    collapsed: AtomicU64::new(0),
    validated: AtomicU64::new(0),
    not_modified: AtomicU64::new(0),
    partial: AtomicU64::new(0),
    broken: AtomicU64::new(0),
    invalidated: AtomicU64::new(0),
};

impl Seen {
    pub(crate) fn total() -> &'static Self {
        &SEEN
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn count(counter: &AtomicU64, is: bool) {
    counter.fetch_add(u64::from(is), Ordering::Relaxed);
}

/// What is wrong, if anything.
pub(crate) fn judge(story: &Story, record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for (n, outcome) in record.outcomes.iter().enumerate() {
        let case = Case { story, record, n, outcome };
        case.judge(&mut |what: String| wrong.push(format!("client {n}: {what}")));
    }
    if record.left > 0 {
        wrong.push(format!("{} fetches are left behind", record.left));
    }
    wrong
}

struct Case<'a> {
    story: &'a Story,
    record: &'a Record,
    n: usize,
    outcome: &'a Outcome,
}

/// The directives of what was delivered.
struct Says<'a>(Vec<&'a str>);

impl Says<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|d| d.split('=').next() == Some(name))
    }

    fn seconds(&self, name: &str) -> Option<f64> {
        let values = self.0.iter().filter_map(|d| d.strip_prefix(name)?.strip_prefix('='));
        values.filter_map(|value| value.parse().ok()).reduce(f64::min)
    }

    fn lifetime(&self) -> f64 {
        self.seconds("s-maxage").or_else(|| self.seconds("max-age")).unwrap_or_default()
    }

    fn forbids_stale(&self) -> bool {
        ["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"].iter().any(|d| self.has(d))
    }
}

type Wrong<'a> = dyn FnMut(String) + 'a;

impl Case<'_> {
    fn judge(&self, wrong: &mut Wrong<'_>) {
        let o = self.outcome;
        if o.failed {
            if !self.record.answers.iter().any(|a| a.plan.fails && a.url == o.ask.url()) {
                wrong("an error although the origin did not fail".into());
            }
            return;
        }
        let Some(head) = &o.head else {
            if !o.dropped {
                wrong("never got an answer".into());
            }
            return;
        };
        if o.end.is_none() && !o.dropped {
            wrong("the body never ended".into());
        }
        count(&SEEN.answers, true);
        count(&SEEN.hits, head.cache.is_hit());
        count(&SEEN.collapsed, head.cache.is_collapsed());
        count(&SEEN.not_modified, head.status == 304);
        count(&SEEN.partial, head.status == 206);
        count(&SEEN.broken, matches!(o.end, Some(End::Error(_))));
        let number = |name| text(&head.headers, name).and_then(|text| text.parse::<usize>().ok());
        let tag = text(&head.headers, "etag");
        if head.status == 304 {
            self.not_modified(tag.as_deref(), wrong);
        }
        if let Some(answer) = number("x-answer") {
            let content = number("x-content").expect("an answer has a content");
            self.reuse(head, &self.record.answers[answer], wrong);
            self.content(head, &self.record.answers[answer], content, wrong);
        } else {
            self.made_by_the_cache(head, wrong);
        }
    }

    /// Without a mark of the origin it is the cache's own.
    fn made_by_the_cache(&self, head: &Head, wrong: &mut Wrong<'_>) {
        let o = self.outcome;
        let may = match head.status {
            304 => true,
            504 => o.ask.cache_control == Some("only-if-cached"),
            416 => o.ask.range.is_some(),
            _ => false,
        };
        if !may {
            wrong(format!("a {} that nobody made", head.status));
        }
        if head.status == 304 && !o.bytes.is_empty() {
            wrong("a 304 with content".into());
        }
    }

    fn not_modified(&self, tag: Option<&str>, wrong: &mut Wrong<'_>) {
        let Some(condition) = text(&self.outcome.headers, "if-none-match") else {
            return wrong("a 304 to a client that sent no condition".into());
        };
        let strong = |tag: &str| tag.trim_start_matches("W/").to_owned();
        if condition != "*" && tag.map(strong) != Some(strong(&condition)) {
            wrong(format!("a 304 for {tag:?} to a client that has {condition}"));
        }
    }

    /// May this answer of the origin be for this client?
    fn reuse(&self, head: &Head, answer: &Answer, wrong: &mut Wrong<'_>) {
        let (o, is_own) = (self.outcome, answer.ask == self.n);
        if answer.url != o.ask.url() {
            wrong(format!("asked for {} and got {}", o.ask.url(), answer.url));
        }
        if let Some(cookie) = text(&head.headers, "set-cookie") {
            let says = says(head);
            let for_many = says.has("public") || says.has("s-maxage");
            let own = cookie == format!("owner={}", o.ask.user);
            if !own && !for_many && self.story.setup.preset == Preset::Default {
                wrong(format!("got another's {cookie}"));
            }
        }
        if is_own {
            return;
        }
        count(&SEEN.validated, answer.status == 304);
        if answer.bound {
            wrong(format!("got what only client {} may have", answer.ask));
        }
        let fields = fields_of(&o.ask);
        let vary = text(&head.headers, "vary").unwrap_or_default();
        for name in FIELDS {
            let is_nominated = name == "x-forwarded-host" || vary.split(", ").any(|v| v == name);
            if is_nominated && answer.fields[name] != fields[name] {
                let (got, has) = (&answer.fields[name], &fields[name]);
                wrong(format!("the response is for {name} {got:?}, and the request has {has:?}"));
            }
        }
        self.freshness(head, answer, wrong);
        self.invalidation(answer, wrong);
    }

    fn freshness(&self, head: &Head, answer: &Answer, wrong: &mut Wrong<'_>) {
        let (o, says) = (self.outcome, says(head));
        if let Some(list) = &answer.plan.cache_control
            && text(&head.headers, "cache-control").as_ref() != Some(&list.join(", "))
        {
            wrong(format!("Cache-Control is not that of the origin: {list:?}"));
        }
        // Those who wait together asked before it was generated.
        let is_new = answer.answered.is_none_or(|answered| answered > o.start);
        let stored_for = o.started_at.duration_since(answer.asked_at).as_secs_f64();
        let age = answer.plan.age.unwrap_or_default() as f64
            + if is_new || o.started_at < answer.asked_at { 0.0 } else { stored_for };
        let staleness = age - says.lifetime();
        let is_fresh = staleness < 0.0 && !says.has("no-cache");
        if is_fresh {
            return;
        }
        count(&SEEN.stale, true);
        if says.forbids_stale() {
            return wrong(format!("is stale by {staleness} s, which is forbidden"));
        }
        let rfc9111 = self.story.setup.preset == Preset::Rfc9111;
        let on_error = says.seconds("stale-if-error").unwrap_or(if rfc9111 { 3600.0 } else { 0.0 });
        let failed = self.record.answers.iter().any(|a| {
            a.is_failure()
                && a.url == answer.url
                && a.answered.is_some_and(|event| event > o.start && event < head.event)
        });
        // A fetch that hangs is a failure too, also for those who joined it late.
        let late = self.record.answers.iter().any(|a| {
            a.url == answer.url
                && head.at.duration_since(a.asked_at).as_secs() >= 29
                && a.answered.is_none_or(|event| event > head.event)
        });
        let may = says.seconds("stale-while-revalidate").is_some_and(|window| staleness < window)
            || (failed || late) && staleness < on_error
            || rfc9111 && o.ask.cache_control == Some("max-stale=5") && staleness <= 5.0;
        if !may {
            wrong(format!("is stale by {staleness} s, and nothing permits that"));
        }
    }

    fn invalidation(&self, answer: &Answer, wrong: &mut Wrong<'_>) {
        for other in &self.record.outcomes {
            let is_safe = matches!(other.ask.method, "GET" | "HEAD");
            let Some(head) = other.head.as_ref().filter(|_| !is_safe) else { continue };
            let by = text(&head.headers, "x-answer").and_then(|n| n.parse::<usize>().ok());
            let Some(by) = by.map(|n| &self.record.answers[n]) else { continue };
            let located = by
                .plan
                .location
                .map(|(_, path)| format!("http://{}{}", other.ask.host, path.as_str()));
            let concerned = by.url == answer.url || located.as_ref() == Some(&answer.url);
            if head.status >= 400 || !concerned || head.event > self.outcome.start {
                continue;
            }
            count(&SEEN.invalidated, true);
            // The answer to a POST may itself be stored.
            if by.answered.is_some_and(|event| answer.asked < event) && by.asked != answer.asked {
                wrong(format!("got what client {}'s request made invalid", by.ask));
            }
        }
    }

    /// Are the bytes those of the content that the head speaks of?
    fn content(&self, head: &Head, answer: &Answer, named: usize, wrong: &mut Wrong<'_>) {
        let o = self.outcome;
        let content = &self.record.contents[named];
        let untagged_head = answer.method == http::Method::HEAD && content.tag.is_none();
        if answer.content != named && !untagged_head {
            wrong(format!("a head about content {} with content {named}", answer.content));
        }
        if content.owner.is_some_and(|owner| owner != o.ask.user) {
            wrong(format!("got the content of user {:?}", content.owner));
        }
        if content.url != o.ask.url() {
            wrong(format!("got the content of {}", content.url));
        }
        if text(&head.headers, "etag") != content.tag {
            wrong("the tag is that of other content".into());
        }
        let may_be = match head.status {
            304 => true,
            200 => matches!(answer.status, 200 | 206 | 304),
            206 => o.ask.range.is_some() && matches!(answer.status, 200 | 206 | 304),
            status => status == answer.status,
        };
        if !may_be {
            wrong(format!("the origin said {} and the client got {}", answer.status, head.status));
        }
        let is_multiple = text(&head.headers, "content-type")
            .is_some_and(|t| t.starts_with("multipart/byteranges"));
        let whole = &content.bytes[..];
        let expected = match head.status {
            _ if o.ask.method == "HEAD" => Vec::new(),
            304 => Vec::new(),
            206 if is_multiple => match parts(&o.bytes, whole) {
                Ok(()) => o.bytes.clone(),
                Err(_) if o.end != Some(End::Clean) => return,
                Err(why) => return wrong(format!("multipart: {why}")),
            },
            206 => {
                let range = text(&head.headers, "content-range").unwrap_or_default();
                let Some(range) = content_range(&range, whole.len()) else {
                    return wrong(format!("a 206 with Content-Range {range:?}"));
                };
                let asked = o.ask.range.and_then(|asked| slice(asked, whole.len()));
                if o.ask.range != Some("bytes=0-0,50-59") && asked != Some(range.clone()) {
                    wrong(format!("asked for {asked:?} and got {range:?}"));
                }
                if let Some(condition) = text(&o.headers, "if-range")
                    && (Some(&condition) != content.tag.as_ref() || condition.starts_with('W'))
                {
                    wrong(format!("a 206 of {:?} in spite of If-Range {condition}", content.tag));
                }
                whole[range].to_vec()
            }
            _ => whole.to_vec(),
        };
        if !expected.starts_with(&o.bytes) {
            let bytes = String::from_utf8_lossy(&o.bytes);
            wrong(format!("these are not the bytes of content {named}: {bytes}"));
        }
        let declared: Option<usize> =
            text(&head.headers, "content-length").and_then(|length| length.parse().ok());
        match &o.end {
            None => {}
            Some(End::Clean) => {
                let shorter = o.bytes.len() < expected.len();
                // What is forwarded untouched is as short as it came, and its length says so.
                let forwarded = answer.ask == self.n
                    && !head.cache.is_stored()
                    && declared == Some(expected.len());
                if shorter && !forwarded {
                    wrong(format!(
                        "a clean end after {} bytes of {}",
                        o.bytes.len(),
                        expected.len()
                    ));
                }
                let has_content = o.ask.method != "HEAD" && head.status != 304;
                if has_content && !shorter && declared.is_some_and(|length| length != o.bytes.len())
                {
                    wrong(format!("Content-Length {declared:?} and {} bytes", o.bytes.len()));
                }
                if has_content && !shorter && head.exact.is_some_and(|n| n != o.bytes.len() as u64)
                {
                    wrong(format!("the body promised {:?} and has {}", head.exact, o.bytes.len()));
                }
            }
            Some(End::Error(error)) => {
                let breaks = self
                    .record
                    .answers
                    .iter()
                    .any(|a| a.url == content.url && a.plan.body.ending() != Ending::Complete);
                if !breaks && !self.story.setup.small_window {
                    wrong(format!("the body broke off without a reason: {error}"));
                }
            }
        }
    }
}

fn says(head: &Head) -> Says<'_> {
    let value = head.headers.get("cache-control").map_or("", |v| v.to_str().expect("text"));
    Says(value.split(", ").collect())
}

fn content_range(value: &str, len: usize) -> Option<std::ops::Range<usize>> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<usize>().ok()? + 1;
    (total.parse() == Ok(len) && range.start < range.end && range.end <= len).then_some(range)
}

/// Each part has the bytes that its `Content-Range` tells.
fn parts(bytes: &[u8], whole: &[u8]) -> Result<(), String> {
    let body = String::from_utf8_lossy(bytes);
    let mut count = 0;
    let mut rest = &body[..];
    while let Some((_, after)) = rest.split_once("\r\n\r\n") {
        let fields = &rest[..rest.len() - after.len()].to_ascii_lowercase();
        let value = fields.split("content-range: ").nth(1).and_then(|text| text.lines().next());
        let value = value.ok_or("a part without Content-Range")?;
        let range = content_range(value, whole.len()).ok_or("a wrong Content-Range")?;
        let data = after.as_bytes().get(..range.len()).ok_or("a part is short")?;
        if data != &whole[range.clone()] || !after[range.len()..].starts_with("\r\n--") {
            return Err(format!("part {range:?} has other bytes"));
        }
        (rest, count) = (&after[range.len()..], count + 1);
    }
    if count == 2 && rest.ends_with("--\r\n") {
        Ok(())
    } else {
        Err(format!("{count} parts: {rest:?}"))
    }
}
