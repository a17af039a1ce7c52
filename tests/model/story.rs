//! What stories are made of.
use proptest::{collection::vec, option, prelude::*};
use std::fmt;

/// Everything that is decided before a story is played.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) preset: Preset,
    /// A store that has to wait for each answer, instead of the one in memory.
    pub(crate) plain_store: bool,
    pub(crate) small_window: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    Default,
    Rfc9111,
}

#[derive(Clone)]
pub(crate) enum Step {
    /// A client asks.
    Ask(Ask),
    /// From now on the origin answers requests for this path so.
    Origin(Path, Plan),
    /// Seconds pass.
    Pass(u64),
    /// The origin answers what it held back: the nth of what it holds.
    Release(usize),
    /// The origin sends the next chunk of the nth body that it has begun.
    Feed(usize),
    /// The nth client that is not done yet goes away.
    Drop(usize),
    /// The nth client that reads nothing begins to read.
    Read(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Path {
    X,
    Y,
}

impl Path {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::X => "/x",
            Self::Y => "/y",
        }
    }
}

#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) path: Path,
    pub(crate) query: &'static str,
    pub(crate) user: u8,
    pub(crate) cookie: bool,
    pub(crate) authorization: bool,
    pub(crate) language: Option<&'static str>,
    pub(crate) forwarded_host: Option<&'static str>,
    pub(crate) condition: Option<Condition>,
    pub(crate) range: Option<&'static str>,
    pub(crate) if_range: Option<Tag>,
    pub(crate) cache_control: Option<&'static str>,
    pub(crate) reads: Reads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    IfNoneMatch(Tag),
    Any,
}

/// An entity tag of which a client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The last that any client got for the path.
    Seen,
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    AtOnce,
    WhenTold,
}

/// How the origin answers.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) status: u16,
    pub(crate) cache_control: Option<Vec<String>>,
    pub(crate) vary: Vec<&'static str>,
    pub(crate) tag: Option<Strength>,
    /// The same content, as long as it is for the same request; else another one each time.
    pub(crate) keeps: bool,
    pub(crate) set_cookie: bool,
    pub(crate) age: Option<u64>,
    pub(crate) ranges: bool,
    pub(crate) content_length: bool,
    /// Of answers to unsafe methods.
    pub(crate) location: Option<(&'static str, Path)>,
    pub(crate) fails: bool,
    pub(crate) held: bool,
    pub(crate) body: BodyPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    Strong,
    Weak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyPlan {
    AtOnce,
    /// In chunks, one for each step `Feed`.
    Slow(Ending),
    /// At once, but not all of it.
    Ends(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Breaks,
    /// Ends as if it were complete, but is shorter than its `Content-Length`.
    Short,
}

impl BodyPlan {
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::AtOnce => Ending::Complete,
            Self::Slow(ending) | Self::Ends(ending) => ending,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            status: 200,
            cache_control: Some(vec!["max-age=10".to_owned()]),
            vary: Vec::new(),
            tag: None,
            keeps: true,
            set_cookie: false,
            age: None,
            ranges: false,
            content_length: false,
            location: None,
            fails: false,
            held: false,
            body: BodyPlan::AtOnce,
        }
    }
}

pub(crate) fn stories() -> impl Strategy<Value = Story> {
    (setups(), vec(steps(), 1..40)).prop_map(|(setup, steps)| Story { setup, steps })
}

pub(crate) fn setups() -> impl Strategy<Value = Setup> {
    let preset = prop_oneof![3 => Just(Preset::Default), 2 => Just(Preset::Rfc9111)];
    (preset, prop::bool::weighted(0.25), prop::bool::weighted(0.25))
        .prop_map(|(preset, plain_store, small_window)| Setup { preset, plain_store, small_window })
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => asks().prop_map(Step::Ask),
        4 => (paths(), plans()).prop_map(|(path, plan)| Step::Origin(path, plan)),
        3 => prop_oneof![2 => 1u64..8, 1 => Just(10), 2 => Just(11), 1 => 12u64..40].prop_map(Step::Pass),
        1 => (0usize..3).prop_map(Step::Release),
        2 => (0usize..3).prop_map(Step::Feed),
        1 => (0usize..3).prop_map(Step::Drop),
        1 => (0usize..2).prop_map(Step::Read),
    ]
}

fn paths() -> impl Strategy<Value = Path> {
    prop_oneof![9 => Just(Path::X), 1 => Just(Path::Y)]
}

fn often<T: Clone + fmt::Debug + 'static>(
    mostly: T,
    weight: u32,
    others: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![weight => Just(mostly), 1 => prop::sample::select(others)]
}

fn asks() -> impl Strategy<Value = Ask> {
    let target = (
        often("GET", 4, vec!["HEAD", "HEAD", "POST", "DELETE", "PUT"]),
        often("a.test", 9, vec!["b.test"]),
        paths(),
        often("", 9, vec!["?q=1"]),
    );
    let who = (
        0u8..3,
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.2),
        option::weighted(0.3, prop::sample::select(vec!["de", "en"])),
        option::weighted(0.08, Just("evil.test")),
    );
    let tag = || prop_oneof![4 => Just(Tag::Seen), 1 => Just(Tag::Wrong)];
    let condition = prop_oneof![
        4 => tag().prop_map(Condition::IfNoneMatch),
        1 => Just(Condition::Any),
    ];
    let ranges =
        vec!["bytes=0-9", "bytes=10-29", "bytes=100-", "bytes=-7", "bytes=0-0,50-59", "bytes=999-"];
    let more = (
        option::weighted(0.15, condition),
        option::weighted(0.12, prop::sample::select(ranges)),
        option::weighted(0.1, tag()),
        option::weighted(
            0.12,
            prop::sample::select(vec![
                "no-cache",
                "only-if-cached",
                "max-age=0",
                "max-stale=5",
                "no-store",
            ]),
        ),
        often(Reads::AtOnce, 9, vec![Reads::WhenTold]),
    );
    (target, who, more).prop_map(|(target, who, more)| Ask {
        method: target.0,
        host: target.1,
        path: target.2,
        query: target.3,
        user: who.0,
        cookie: who.1,
        authorization: who.2,
        language: who.3,
        forwarded_host: who.4,
        condition: more.0,
        range: more.1,
        if_range: more.2,
        cache_control: more.3,
        reads: more.4,
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    let lifetime = prop::sample::select(vec![
        "max-age=10",
        "max-age=5",
        "max-age=0",
        "s-maxage=10",
        "s-maxage=0",
        "public",
        "private",
        "no-store",
        "no-cache",
    ]);
    let extra = prop::sample::select(vec![
        "public",
        "private",
        "no-store",
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "stale-while-revalidate=10",
        "stale-while-revalidate=10",
        "stale-if-error=30",
        "stale-if-error=30",
        "max-age=10",
        "s-maxage=5",
        "immutable",
    ]);
    // What matters most, and anything.
    let told = prop::sample::select(vec![
        vec!["max-age=10"],
        vec!["max-age=5", "stale-while-revalidate=10"],
        vec!["max-age=5", "stale-while-revalidate=10", "must-revalidate"],
        vec!["max-age=5", "stale-while-revalidate=10", "proxy-revalidate"],
        vec!["max-age=5", "stale-if-error=30"],
        vec!["max-age=5", "stale-if-error=30", "must-revalidate"],
        vec!["public", "max-age=10"],
        vec!["private", "max-age=10"],
    ]);
    let cache_control = prop_oneof![
        4 => Just(vec!["max-age=10"]),
        4 => told,
        4 => (lifetime, vec(extra, 0..3)).prop_map(|(first, mut rest)| {
            rest.insert(0, first);
            rest
        }),
    ]
    .prop_map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let names = vec!["cookie", "accept-language", "authorization"];
    let meta = (
        often(200, 4, vec![404, 500, 503, 302, 201]),
        option::weighted(0.9, cache_control),
        prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(names, 1..3)],
        option::weighted(0.6, prop_oneof![4 => Just(Strength::Strong), 1 => Just(Strength::Weak)]),
        prop::bool::weighted(0.6),
    );
    let location = (prop::sample::select(vec!["location", "content-location"]), paths());
    let more = (
        prop::bool::weighted(0.15),
        option::weighted(0.1, prop::sample::select(vec![3u64, 9, 20])),
        prop::bool::weighted(0.4),
        any::<bool>(),
        option::weighted(0.2, location),
        prop::bool::weighted(0.08),
        prop::bool::weighted(0.25),
    );
    let ending = || prop_oneof![3 => Just(Ending::Complete), 1 => Just(Ending::Breaks), 1 => Just(Ending::Short)];
    let body = prop_oneof![
        5 => Just(BodyPlan::AtOnce),
        3 => ending().prop_map(BodyPlan::Slow),
        1 => ending().prop_map(BodyPlan::Ends),
    ];
    (meta, more, body).prop_map(|(meta, more, body)| Plan {
        status: meta.0,
        cache_control: meta.1,
        vary: meta.2,
        tag: meta.3,
        keeps: meta.4,
        set_cookie: more.0,
        age: more.1,
        ranges: more.2,
        content_length: more.3,
        location: more.4,
        fails: more.5,
        held: more.6,
        body,
    })
}

impl Ask {
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}{}", self.host, self.path.as_str(), self.query)
    }

    /// The value of a request field that a `Vary` may name.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        match name {
            "cookie" => self.cookie.then(|| format!("u={}", self.user)),
            "authorization" => self.authorization.then(|| format!("Bearer {}", self.user)),
            "accept-language" => self.language.map(str::to_owned),
            _ => panic!("nobody varies by {name}"),
        }
    }
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        let mut asks = 0..;
        for step in &self.steps {
            if let Step::Ask(ask) = step {
                writeln!(f, "- client {}: {ask:?}", asks.next().unwrap_or_default())?;
            } else {
                writeln!(f, "- {step:?}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(ask) => ask.fmt(f),
            Self::Origin(path, plan) => write!(f, "origin of {}: {plan:?}", path.as_str()),
            Self::Pass(seconds) => write!(f, "{seconds} s pass"),
            Self::Release(n) => write!(f, "the origin answers what it holds back, number {n}"),
            Self::Feed(n) => write!(f, "the origin goes on with its slow body number {n}"),
            Self::Drop(n) => write!(f, "the unfinished client number {n} goes away"),
            Self::Read(n) => write!(f, "the lazy client number {n} reads"),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} asks {} {}", self.user, self.method, self.url())?;
        for name in ["cookie", "authorization", "accept-language"] {
            if let Some(value) = self.field(name) {
                write!(f, ", {name}: {value}")?;
            }
        }
        let mut show = |name: &str, value: Option<&dyn fmt::Debug>| match value {
            Some(value) => write!(f, ", {name}: {value:?}"),
            None => Ok(()),
        };
        show("x-forwarded-host", self.forwarded_host.as_ref().map(|v| v as _))?;
        show("condition", self.condition.as_ref().map(|v| v as _))?;
        show("range", self.range.as_ref().map(|v| v as _))?;
        show("if-range", self.if_range.as_ref().map(|v| v as _))?;
        show("cache-control", self.cache_control.as_ref().map(|v| v as _))?;
        if self.reads == Reads::WhenTold { f.write_str(", reads later") } else { Ok(()) }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.held {
            f.write_str("(held back) ")?;
        }
        if self.fails {
            return f.write_str("fails");
        }
        write!(f, "{}", self.status)?;
        if let Some(list) = &self.cache_control {
            write!(f, ", cache-control: {}", list.join(", "))?;
        }
        if !self.vary.is_empty() {
            write!(f, ", vary: {}", self.vary.join(", "))?;
        }
        match self.tag {
            Some(strength) => write!(f, ", etag: {strength:?}")?,
            None => f.write_str(", no etag")?,
        }
        f.write_str(if self.keeps { ", the same content" } else { ", new content each time" })?;
        if let Some(age) = self.age {
            write!(f, ", age: {age}")?;
        }
        if let Some((name, path)) = self.location {
            write!(f, ", {name} of unsafe ones: {}", path.as_str())?;
        }
        for (is, what) in [
            (self.set_cookie, "set-cookie"),
            (self.ranges, "ranges"),
            (self.content_length, "content-length"),
        ] {
            if is {
                write!(f, ", {what}")?;
            }
        }
        match self.body {
            BodyPlan::AtOnce => Ok(()),
            body => write!(f, ", body: {body:?}"),
        }
    }
}
