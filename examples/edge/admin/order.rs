//! What an operator asks for, as JSON.

use serde_json::{Map, Value};
use tower_cdn::{Changed, Handle, Invalidate};

/// More targets are refused: each of them is a rule.
const MAX_TARGETS: usize = 1000;

#[derive(Debug)]
pub(crate) enum Order {
    Invalidate(Invalidation),
    Changed(Changed),
}

#[derive(Debug, Default)]
pub(crate) struct Invalidation {
    uris: Vec<String>,
    paths: Vec<String>,
    tags: Vec<String>,
    all: bool,
    soft: bool,
    host: Option<String>,
}

/// One of the things that are invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Uri(String),
    Path(String),
    Tags(Vec<String>),
    All,
}

impl Order {
    /// Of `{"paths": [], "uris": [], "tags": [], "all": true, "soft": true, "host": ""}`, of which all
    /// may be left out but one of the first four.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let mut order = Invalidation::default();
        for (name, value) in object(body)? {
            match name.as_str() {
                "uris" => order.uris = texts(&name, value)?,
                "paths" => order.paths = texts(&name, value)?,
                "tags" => order.tags = texts(&name, value)?,
                "all" => order.all = flag(&name, &value)?,
                "soft" => order.soft = flag(&name, &value)?,
                "host" => order.host = Some(text(&name, value)?),
                _ => return Err(format!("unknown member {name:?}")),
            }
        }
        let lists = [&order.uris, &order.paths, &order.tags].map(Vec::len);
        let count = lists.iter().sum::<usize>();
        if count == 0 && !order.all {
            return Err("nothing is named: give uris, paths, tags or all".to_owned());
        }
        if count > MAX_TARGETS {
            return Err(format!("more than {MAX_TARGETS} targets"));
        }
        Ok(Self::Invalidate(order))
    }

    /// Of `{"uris": [], "groups": []}`, with one URI at least.
    pub(crate) fn read_changed(body: &[u8]) -> Result<Self, String> {
        let (mut uris, mut groups) = (Vec::new(), Vec::new());
        for (name, value) in object(body)? {
            match name.as_str() {
                "uris" => uris = texts(&name, value)?,
                "groups" => groups = texts(&name, value)?,
                _ => return Err(format!("unknown member {name:?}")),
            }
        }
        if uris.len().saturating_add(groups.len()) > MAX_TARGETS {
            return Err(format!("more than {MAX_TARGETS} targets"));
        }
        let mut changed: Option<Changed> = None;
        for uri in uris {
            let uri = uri.parse().map_err(|error| format!("uris: {error}"))?;
            changed = Some(match changed {
                Some(changed) => changed.uri(uri),
                None => Changed::new(uri),
            });
        }
        let changed = changed.ok_or("no URI is named")?;
        Ok(Self::Changed(groups.into_iter().fold(changed, Changed::group)))
    }
}

impl Invalidation {
    /// What is to be done, which is nothing yet.
    pub(crate) fn targets(&self, handle: &Handle) -> Vec<(Target, Invalidate)> {
        let mut targets = Vec::new();
        for uri in &self.uris {
            targets.push((Target::Uri(uri.clone()), handle.invalidate(uri.as_str())));
        }
        for path in &self.paths {
            targets.push((Target::Path(path.clone()), handle.invalidate_path(path)));
        }
        if !self.tags.is_empty() {
            targets.push((Target::Tags(self.tags.clone()), handle.invalidate_tags(&self.tags)));
        }
        if self.all {
            targets.push((Target::All, handle.invalidate_all()));
        }
        let limit = |(target, mut invalidate): (Target, Invalidate)| {
            if let Some(host) = &self.host {
                invalidate = invalidate.host(host);
            }
            (target, if self.soft { invalidate.soft() } else { invalidate })
        };
        targets.into_iter().map(limit).collect()
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the body is no JSON object".to_owned()),
        Err(error) => Err(format!("the body is no JSON: {error}")),
    }
}

fn texts(name: &str, value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(members) => members.into_iter().map(|one| text(name, one)).collect(),
        _ => Err(format!("{name}: it has to be a list of strings")),
    }
}

fn text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("{name}: {value} is no string")),
    }
}

fn flag(name: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{name}: it has to be true or false"))
}
