//! What is wrong with a file: all of it, each with its line.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

/// Gathers mistakes while a file is read. What is read stays readable: who finds a mistake tells it
/// and goes on.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    /// Where each line but the first begins.
    breaks: Vec<usize>,
    found: RefCell<BTreeSet<Mistake>>,
    /// Lines that could not be read: what else they seem to say is no matter.
    unreadable: RefCell<BTreeSet<usize>>,
    /// The keys that were asked for.
    keys: RefCell<BTreeSet<&'static str>>,
}

/// A mistake, in the order of lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Mistakes {
    pub(super) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { breaks: breaks.map(|(at, _)| at).collect(), ..Self::default() }
    }

    /// The line of what begins there, counted from one.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.breaks.partition_point(|line_end| *line_end < span.start) + 1
    }

    /// Before all others.
    pub(super) fn add_of_syntax(&self, line: usize, reason: &str) {
        self.add(line, reason);
        self.unreadable.borrow_mut().insert(line);
    }

    pub(super) fn add(&self, line: usize, reason: impl Into<String>) {
        if self.unreadable.borrow().contains(&line) {
            return;
        }
        // A reason is one line, whatever it quotes.
        let reason = reason.into().replace(char::is_control, " ");
        self.found.borrow_mut().insert(Mistake { line, reason });
    }

    pub(super) fn ask_for(&self, key: &'static str) {
        self.keys.borrow_mut().insert(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Mistake> {
        self.found.into_inner().into_iter().collect()
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> BTreeSet<&'static str> {
        self.keys.borrow().clone()
    }
}
