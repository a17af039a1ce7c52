//! Things that are named in one place and used in others.

use std::collections::BTreeMap;

use super::mistakes::Mistakes;
use super::nearest::did_you_mean;
use super::value::Word;

/// Things of one kind.
pub(super) struct Names<T> {
    kind: &'static str,
    /// With its line.
    all: BTreeMap<String, (usize, T)>,
}

impl<T: Clone> Names<T> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, all: BTreeMap::new() }
    }

    /// Two things of one name are a mistake.
    pub(super) fn add(&mut self, name: &Word, thing: T, mistakes: &Mistakes) {
        if let Some((line, _)) = self.all.get(&name.text) {
            let reason = format!("`{}` is the name of something else, in line {line}", name.text);
            mistakes.add(name.line, reason);
            return;
        }
        self.all.insert(name.text.clone(), (name.line, thing));
    }

    /// What is called so; it is a mistake if nothing is.
    pub(super) fn find(&self, name: &Word, mistakes: &Mistakes) -> Option<T> {
        let found = self.all.get(&name.text).map(|(_, thing)| thing.clone());
        if found.is_none() {
            let meant = did_you_mean(&name.text, self.all.keys().map(String::as_str));
            let reason = format!("no {} is called `{}`{meant}", self.kind, name.text);
            mistakes.add(name.line, reason);
        }
        found
    }
}
