//! All rules, each where it is asked for.
use super::{
    ledger::Ledger,
    mark::Mark,
    paths::{Paths, Text},
    rule::{Cause, Floors, Rule},
    table::Table,
    target::Target,
};
use crate::{CacheKey, clock::Moment, stored::Membership};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) ledger: Ledger,
    /// Named by answers: all responses of an URI, and groups of an origin.
    uris: Table<CacheKey>,
    groups: Table<CacheKey>,
    /// Named by operators.
    tags: Table<Box<[u8]>>,
    host_tags: Table<Box<[u8]>>,
    targets: Table<CacheKey>,
    paths: Paths,
    newest_path: u64,
    pub(super) floors: Floors,
}

impl Book {
    /// What is said of an URI: of the key itself, and of the URI if the key has more than it.
    pub(super) fn of_uri(&self, primary: &CacheKey, uri: Option<&CacheKey>, fetch: u64) -> Mark {
        let mut mark = self.floors.rest;
        let bare = uri.unwrap_or(primary);
        if uri.is_some() {
            mark = mark.or(self.floors.uris);
        }
        if self.uris.may_concern(fetch) {
            mark = mark.or(self.uris.find(bare));
        }
        if self.targets.may_concern(fetch) {
            mark = mark.or(self.targets.find(bare));
        }
        if fetch < self.newest_path {
            let parts = primary.target();
            mark = mark.or(self.paths.find(parts.host, Text::new(parts.path, parts.query)));
        }
        mark
    }

    pub(super) fn of_tags(&self, groups: &Membership, fetch: u64) -> Mark {
        if groups.named.is_empty() && !groups.any {
            return Mark::default();
        }
        let mut mark = self.floors.groups.or(self.floors.tags);
        // It has more tags than are kept: each of them may be meant.
        if groups.any {
            let tags = self.tags.newest().or(self.host_tags.newest());
            return mark.or(tags).or(self.groups.newest());
        }
        if self.groups.may_concern(fetch) {
            for group in &groups.named {
                mark = mark.or(self.groups.find(group));
            }
        }
        let (everywhere, of_hosts) =
            (self.tags.may_concern(fetch), self.host_tags.may_concern(fetch));
        if everywhere || of_hosts {
            for parts in groups.named.iter().map(CacheKey::target) {
                let Some(name) = parts.group else { continue };
                mark = mark.or(self.tags.find(name));
                if of_hosts {
                    mark = mark.or(self.host_tags.find(tag_key(parts.host, name).as_slice()));
                }
            }
        }
        mark
    }

    /// The rules that say nothing any more are given back.
    pub(super) fn add(&mut self, rule: &Rule, at: Moment) -> Vec<u64> {
        let Rule { number, mode, .. } = *rule;
        self.ledger.open(rule, at);
        let mut gone = Vec::new();
        let mut say_gone = |number| gone.push(number);
        for target in &rule.targets {
            let gone = &mut say_gone;
            match target {
                Target::Uri(key) if rule.cause == Cause::Answer => {
                    self.uris.add(key.clone(), number, mode, gone);
                }
                Target::Uri(key) => self.targets.add(key.clone(), number, mode, gone),
                Target::Group(key) => self.groups.add(key.clone(), number, mode, gone),
                Target::Tag { host, name } => {
                    let name = name.as_bytes();
                    match host {
                        None => self.tags.add(name.into(), number, mode, gone),
                        Some(host) => {
                            let key = tag_key(host.as_bytes(), name).into_boxed_slice();
                            self.host_tags.add(key, number, mode, gone);
                        }
                    }
                }
                Target::Path { host, text, is_prefix } => {
                    self.newest_path = self.newest_path.max(number);
                    let mark = self.paths.at(host.as_deref(), text.as_bytes(), *is_prefix);
                    mark.add(number, mode, gone);
                }
            }
        }
        self.ledger.settle(gone)
    }

    /// Forgets what is older than anything that is fresh, and the older half of what is too much: what was asked for before that is invalid then, whatever it is.
    pub(super) fn forget_old(&mut self, now: &Moment, keep: Duration, gone: &mut Vec<u64>) -> bool {
        let mut has_forgotten = false;
        for cause in [Cause::Operator, Cause::Answer] {
            let Some(last) = self.ledger.last_to_forget(cause, now, keep) else { continue };
            let mut taken = Vec::new();
            let floors = &mut self.floors;
            let mut into = |floor: &mut Mark, mark: Mark| {
                *floor = floor.or(mark);
                taken.extend(mark.numbers());
            };
            match cause {
                Cause::Answer => {
                    self.uris.forget(last, &mut |mark| into(&mut floors.uris, mark));
                    self.groups.forget(last, &mut |mark| into(&mut floors.groups, mark));
                }
                Cause::Operator => {
                    self.tags.forget(last, &mut |mark| into(&mut floors.tags, mark));
                    self.host_tags.forget(last, &mut |mark| into(&mut floors.tags, mark));
                    self.targets.forget(last, &mut |mark| into(&mut floors.rest, mark));
                    self.paths.forget(last, &mut |mark| into(&mut floors.rest, mark));
                }
            }
            has_forgotten |= !taken.is_empty();
            gone.extend(self.ledger.settle(taken));
        }
        has_forgotten
    }
}

/// A tag of a host. No host has the byte between them.
fn tag_key(host: &[u8], name: &[u8]) -> Vec<u8> {
    [host, name].join(&0)
}
