//! The tests that are known not to pass: an id and a reason on each line, `#` starts a comment.
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Expected {
    reasons: BTreeMap<&'static str, &'static str>,
    /// What is wrong with the list itself.
    pub(crate) faults: Vec<String>,
}

impl Expected {
    pub(crate) fn read(text: &'static str) -> Self {
        let mut expected = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if reason.is_empty() {
                expected.faults.push(format!("{id}: has no reason"));
            }
            if expected.reasons.insert(id, reason.trim()).is_some() {
                expected.faults.push(format!("{id}: occurs twice"));
            }
        }
        expected
    }

    /// Why the test is known not to pass, if it is.
    pub(crate) fn reason(&self, id: &str) -> Option<&'static str> {
        self.reasons.get(id).copied()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.reasons.keys().copied()
    }
}
