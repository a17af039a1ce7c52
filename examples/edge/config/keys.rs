//! `[keys.NAME]`: what makes two requests ask for the same thing.

use tower_cdn::{Influential, KeyPolicy, Parameters};

use super::origins::host;
use super::section::Section;
use super::value::Value;

pub(super) fn read(mut section: Section<'_>) -> KeyPolicy {
    let mut policy = KeyPolicy::default();
    let headers =
        section.get("headers").and_then(|value| value.list_of(|value| value.field_name()));
    for name in headers.into_iter().flatten() {
        policy = policy.header(name);
    }
    for name in section.texts("cookies").into_iter().flatten() {
        policy = policy.cookie(name);
    }
    if let Some(which) = section.get("query").and_then(parameters) {
        policy = policy.query(which);
    }
    if section.has("query") {
        section.conflict(&["query_except"], "`query`");
    }
    if let Some(names) = section.get("query_except").and_then(|value| names(&value)) {
        policy = policy.query(Parameters::AllBut(names));
    }
    if let Some(sort) = section.flag("sort_query") {
        policy = policy.sort_query(sort);
    }
    let words =
        [("key", Influential::Key), ("strip", Influential::Strip), ("trust", Influential::Trust)];
    if let Some(what) = section.get("influential").and_then(|value| value.one_of(&words)) {
        policy = policy.influential(what);
    }
    if let Some(host) = section.get("default_host").and_then(|value| value.parsed(host)) {
        policy = policy.default_host(host.to_str().unwrap_or_default());
    }
    if let Some(https) = section.flag("https") {
        policy = policy.https(https);
    }
    if let Some(bytes) = section.size("max_url") {
        policy = policy.max_url(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    section.end();
    policy
}

/// `"all"`, `"none"`, or a list of those that count.
fn parameters(value: Value<'_>) -> Option<Parameters> {
    if value.value.get_ref().is_array() {
        return names(&value).map(Parameters::Only);
    }
    value.one_of(&[("all", Parameters::All), ("none", Parameters::None)])
}

fn names(value: &Value<'_>) -> Option<Vec<String>> {
    value.list_of(|value| value.text().map(ToOwned::to_owned))
}
