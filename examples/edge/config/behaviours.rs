//! `[default]`, `[[behaviours]]` and `[[error_pages]]`: which rules are for which requests.

use std::collections::HashMap;

use hyper::StatusCode;
use tower_cdn::{
    Behaviour, CachePolicy, Distribution, DistributionBuilder, ForwardedHeaders, KeyPolicy,
};

use super::mistakes::Mistakes;
use super::names::Names;
use super::section::Section;
use super::value::{Value, Word};

/// What behaviours refer to.
pub(super) struct Named<'a> {
    pub(super) sources: &'a Names<()>,
    pub(super) policies: &'a Names<CachePolicy>,
    pub(super) keys: &'a Names<KeyPolicy>,
    /// What a policy is given beside what the file says.
    pub(super) mark: &'a dyn Fn(CachePolicy) -> CachePolicy,
}

/// One that is not the default.
pub(super) struct Pathed {
    path: String,
    behaviour: Behaviour,
    line: usize,
}

pub(super) struct ErrorPage {
    of: StatusCode,
    path: String,
    shown_as: Option<StatusCode>,
    line: usize,
}

/// For requests that no other behaviour matches. Its origin is that of all which name none.
pub(super) fn default(mut section: Section<'_>, named: &Named<'_>) -> (Behaviour, Option<String>) {
    section.conflict(&["path", "host"], "the default, which is for what is left");
    for key in ["path", "host"] {
        section.get(key);
    }
    let origin = section.needed("origin").and_then(|value| value.word());
    let origin = origin.and_then(|name| {
        named.sources.find(&name, section.mistakes)?;
        Some(name.text)
    });
    let behaviour = rules(&mut section, named);
    section.end();
    let behaviour = match &origin {
        Some(origin) => behaviour.origin(origin.clone()),
        None => behaviour,
    };
    (behaviour, origin)
}

/// `None` if it has no path; that is a mistake.
pub(super) fn behaviour(
    mut section: Section<'_>,
    named: &Named<'_>,
    usual: Option<&str>,
) -> Option<Pathed> {
    let path = section.needed("path").and_then(|value| value.word());
    let host = section.word("host").filter(|host| is_host(host, section.mistakes));
    let origin = section.word("origin");
    let mut behaviour = rules(&mut section, named);
    let origin = match origin {
        Some(name) => {
            named.sources.find(&name, section.mistakes);
            Some(name.text)
        }
        None => usual.map(ToOwned::to_owned),
    };
    if let Some(origin) = origin {
        behaviour = behaviour.origin(origin);
    }
    if let Some(host) = host {
        behaviour = behaviour.host(host.text);
    }
    let line = path.as_ref().map_or(section.line, |path| path.line);
    section.end();
    Some(Pathed { path: path?.text, behaviour, line })
}

fn is_host(host: &Word, mistakes: &Mistakes) -> bool {
    let behaviour = Behaviour::dynamic();
    let alone = Distribution::builder(behaviour.clone()).behaviour("/", behaviour.host(&host.text));
    let error = alone.build().err();
    if let Some(error) = &error {
        mistakes.add(host.line, error.to_string());
    }
    error.is_none()
}

/// What all behaviours may say.
fn rules(section: &mut Section<'_>, named: &Named<'_>) -> Behaviour {
    let mistakes = section.mistakes;
    let is_dynamic = section.flag("dynamic").unwrap_or(false);
    let policy = section.word("policy").and_then(|name| named.policies.find(&name, mistakes));
    let keys = section.word("keys").and_then(|name| named.keys.find(&name, mistakes));
    let mut behaviour = if is_dynamic {
        section.conflict(&["policy", "keys"], "`dynamic`, under which nothing is cached");
        // It has no policy of its own, but has to know loops.
        Behaviour::dynamic().policy((named.mark)(CachePolicy::default()))
    } else {
        Behaviour::new((named.mark)(policy.unwrap_or_default()))
    };
    if let Some(keys) = keys {
        behaviour = behaviour.key_policy(keys);
    }
    if let Some(which) = section.get("forward").and_then(forwarded) {
        behaviour = behaviour.forwarded_headers(which);
    }
    let methods = section.get("methods");
    if let Some(methods) = methods.and_then(|value| value.some_of(|value| value.method())) {
        behaviour = behaviour.methods(methods);
    }
    behaviour
}

/// `"all"`, `"all-but-sensitive"`, or a list.
fn forwarded(value: Value<'_>) -> Option<ForwardedHeaders> {
    if value.value.get_ref().is_array() {
        return value.list_of(|value| value.field_name()).map(ForwardedHeaders::Only);
    }
    value.one_of(&[
        ("all", ForwardedHeaders::All),
        ("all-but-sensitive", ForwardedHeaders::AllButSensitive),
    ])
}

pub(super) fn error_page(mut section: Section<'_>) -> Option<ErrorPage> {
    let of = section.needed("status").and_then(|value| value.status());
    let path = section.needed("path").and_then(|value| value.word());
    let shown_as = section.get("as").and_then(|value| value.status());
    let line = section.line;
    section.end();
    Some(ErrorPage { of: of?, path: path?.text, shown_as, line })
}

/// All of it; what cannot be part of it is left out, and is a mistake.
pub(super) fn distribution(
    default: Behaviour,
    behaviours: Vec<Pathed>,
    pages: Vec<ErrorPage>,
    mistakes: &Mistakes,
) -> Option<Distribution> {
    let empty = || Distribution::builder(default.clone());
    let refused = |builder: DistributionBuilder| builder.build().err();
    let mut all = empty();
    let mut sound: Vec<Pathed> = Vec::new();
    for later in behaviours {
        if let Some(error) = refused(later.added_to(empty())) {
            mistakes.add(later.line, error.to_string());
            continue;
        }
        all = later.added_to(all);
        sound.push(later);
    }
    // Which one hides another is looked for only where one does: there may be many.
    if refused(all.clone()).is_some() {
        for (at, later) in sound.iter().enumerate() {
            let pair = |earlier: &Pathed| refused(later.added_to(earlier.added_to(empty())));
            let before = sound.get(..at).unwrap_or_default();
            let hidden = before.iter().find_map(|earlier| Some((pair(earlier)?, earlier.line)));
            if let Some((error, line)) = hidden {
                mistakes.add(later.line, format!("{error} (line {line})"));
            }
        }
    }
    let mut lines: HashMap<StatusCode, usize> = HashMap::new();
    for page in pages {
        if let Some(error) = refused(page.added_to(empty())) {
            mistakes.add(page.line, error.to_string());
        } else if let Some(line) = lines.insert(page.of, page.line) {
            let status = page.of.as_u16();
            mistakes.add(page.line, format!("{status} has an error page in line {line}"));
        }
        all = page.added_to(all);
    }
    if mistakes.is_empty() { all.build().ok() } else { None }
}

impl Pathed {
    fn added_to(&self, builder: DistributionBuilder) -> DistributionBuilder {
        builder.behaviour(self.path.clone(), self.behaviour.clone())
    }
}

impl ErrorPage {
    fn added_to(&self, builder: DistributionBuilder) -> DistributionBuilder {
        builder.error_page(self.of, self.path.clone(), self.shown_as)
    }
}
