//! `[groups.NAME]`: several origins, or groups, that stand for one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hyper::StatusCode;
use tower_cdn::KeyPolicy;
use tower_cdn::origins::FailoverPolicy;

use super::mistakes::Mistakes;
use super::names::Names;
use super::section::Section;
use super::value::Word;
use crate::group::{CheckPlan, GroupKind, GroupPlan};
use crate::plan::{Named, Source};

/// A group as it stands in the file: its members may be missing.
pub(super) struct Group {
    pub(super) name: Word,
    pub(super) members: Vec<Word>,
    plan: GroupPlan,
}

pub(super) fn read(name: Word, mut section: Section<'_>, keys: &Names<KeyPolicy>) -> Group {
    let kinds = [
        ("failover", GroupKind::Failover),
        ("nearest", GroupKind::Nearest),
        ("sharded", GroupKind::Sharded),
    ];
    let kind = section.get("kind").and_then(|value| value.one_of(&kinds));
    let kind = kind.unwrap_or(GroupKind::Failover);
    let members = section.needed("members");
    let members = members.and_then(|value| value.some_of(|value| value.word())).unwrap_or_default();
    let mut names = HashSet::new();
    for member in members.iter().filter(|member| !names.insert(member.text.as_str())) {
        let reason = format!("groups.{}: `{}` is a member twice", name.text, member.text);
        section.mistakes.add(member.line, reason);
    }
    if kind != GroupKind::Sharded {
        section.conflict(&["keys"], "a kind other than \"sharded\"");
    }
    let plan = GroupPlan {
        kind,
        members: members.iter().map(|member| member.text.clone()).collect(),
        failover: failover(&mut section),
        check: section.table("check", check).flatten(),
        keys: section.word("keys").and_then(|name| keys.find(&name, section.mistakes)),
    };
    section.end();
    Group { name, members, plan }
}

fn failover(section: &mut Section<'_>) -> FailoverPolicy {
    let mut policy = FailoverPolicy::default();
    if let Some(statuses) = statuses(section, "statuses") {
        policy = policy.statuses(statuses);
    }
    if let Some(statuses) = statuses(section, "unhealthy") {
        policy = policy.unhealthy(statuses);
    }
    if let Some(timeout) = section.duration("timeout") {
        policy = policy.timeout(timeout);
    }
    if let Some(attempts) = section.count("attempts", 1) {
        policy = policy.attempts(attempts);
    }
    if let Some(failures) = section.count("failures", 1) {
        policy = policy.failures(u32::try_from(failures).unwrap_or(u32::MAX));
    }
    let (first, longest) = (section.duration("pause"), section.duration("longest_pause"));
    let first = first.unwrap_or(PAUSE);
    if longest.is_some_and(|longest| first > longest) {
        section.conflict(&["longest_pause"], "a longer `pause`");
    }
    policy.pause(first, longest.unwrap_or(LONGEST_PAUSE))
}

fn statuses(section: &mut Section<'_>, key: &'static str) -> Option<Vec<StatusCode>> {
    section.get(key)?.list_of(|value| value.status())
}

fn check(mut section: Section<'_>) -> Option<CheckPlan> {
    let path = section.needed("path").and_then(|value| {
        value.parsed(|text| match text.parse() {
            Ok(path) if text.starts_with('/') => Ok(path),
            _ => Err(format!("'{text}' is not a path: it begins with a slash")),
        })
    });
    let every = section.get("every").and_then(|value| {
        let every = value.duration()?;
        if every.is_zero() {
            value.wrong("it has to be longer than that");
        }
        Some(every)
    });
    let host = section.get("host").and_then(|value| value.parsed(super::origins::host));
    let statuses = statuses(&mut section, "statuses");
    section.end();
    Some(CheckPlan { path: path?, every: every.unwrap_or(CHECK_EVERY), host, statuses })
}

/// As the library has it.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Groups whose members are all there, none of which contains itself.
pub(super) fn sound(
    groups: Vec<Group>,
    sources: &Names<()>,
    mistakes: &Mistakes,
) -> Vec<Named<Source>> {
    for group in &groups {
        for member in &group.members {
            sources.find(member, mistakes);
        }
        if contains_itself(&group.name.text, &groups) {
            let reason = format!("groups.{0}: `{0}` is a member of itself", group.name.text);
            mistakes.add(group.name.line, reason);
        }
    }
    let named = |group: Group| Named { name: group.name.text, plan: Source::Group(group.plan) };
    groups.into_iter().map(named).collect()
}

fn contains_itself(name: &str, groups: &[Group]) -> bool {
    let members: HashMap<&str, &[Word]> =
        groups.iter().map(|group| (group.name.text.as_str(), group.members.as_slice())).collect();
    let mut open = vec![name];
    let mut seen = HashSet::new();
    while let Some(group) = open.pop() {
        for member in members.get(group).copied().unwrap_or_default() {
            if member.text == name {
                return true;
            }
            if seen.insert(member.text.as_str()) {
                open.push(&member.text);
            }
        }
    }
    false
}
