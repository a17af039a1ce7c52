//! Tables: what keys they may have.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::mistakes::Mistakes;
use super::nearest::did_you_mean;
use super::value::{Value, Word, not_a};

/// A table that is being read. What nobody has asked for until [`end`](Self::end) is a mistake.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// What stands in front of messages: `origins.site: `, or nothing for the file itself.
    place: &'a str,
    pub(super) line: usize,
    pub(super) mistakes: &'a Mistakes,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn file(table: &'a DeTable<'a>, mistakes: &'a Mistakes) -> Self {
        Self { table, place: "", line: 1, mistakes, asked: Vec::new() }
    }

    pub(super) fn place(&self) -> &str {
        self.place
    }

    pub(super) fn wrong(&self, reason: &str) {
        self.mistakes.add(self.line, format!("{}{reason}", self.place));
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        self.mistakes.ask_for(key);
        let (place, mistakes) = (self.place, self.mistakes);
        let value = self.table.get(key)?;
        Some(Value { key: Some(key), place, value, mistakes })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let (key, _) = self.table.get_key_value(key)?;
        Some(self.mistakes.line(&key.span()))
    }

    /// Keys that make no sense beside another one.
    pub(super) fn conflict(&self, keys: &[&str], with: &str) {
        for key in keys {
            if let Some(value) = self.table.get(*key) {
                let line = self.mistakes.line(&value.span());
                self.mistakes.add(line, format!("{}{key}: not together with {with}", self.place));
            }
        }
    }

    /// A key that has to be there.
    pub(super) fn needed(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.wrong(&format!("`{key}` is missing"));
        }
        value
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.get(key)?.flag()
    }

    pub(super) fn size(&mut self, key: &'static str) -> Option<u64> {
        self.get(key)?.size()
    }

    pub(super) fn count(&mut self, key: &'static str, least: u64) -> Option<usize> {
        let number = self.get(key)?.count(least, u64::MAX)?;
        Some(usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(super) fn word(&mut self, key: &'static str) -> Option<Word> {
        self.get(key)?.word()
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?.list_of(|value| value.text().map(ToOwned::to_owned))
    }

    /// Reads the table under a key.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Section<'_>) -> T,
    ) -> Option<T> {
        let value = self.get(key)?;
        let table = as_table(&value)?;
        let place = format!("{}{key}: ", in_front(self.place));
        let (mistakes, line) = (self.mistakes, value.line());
        Some(read(Section { table, place: &place, line, mistakes, asked: Vec::new() }))
    }

    /// Reads each table under a key that holds tables by name.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Word, Section<'_>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(table) = as_table(&value) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, value) in table {
            let line = self.mistakes.line(&name.span());
            let place = format!("{key}.{}: ", name.get_ref());
            let named = Value { key: None, place: &place, value, mistakes: self.mistakes };
            let Some(table) = as_table(&named) else { continue };
            let name = Word { text: name.get_ref().to_string(), line };
            let mistakes = self.mistakes;
            all.push(read(name, Section { table, place: &place, line, mistakes, asked: vec![] }));
        }
        all
    }

    /// Reads each table of a list of tables.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Section<'_>) -> T,
    ) -> Vec<T> {
        let Some(list) = self.get(key).and_then(|value| value.list()) else { return Vec::new() };
        let mut all = Vec::new();
        for (n, value) in list.iter().enumerate() {
            let place = format!("{}{key} {}: ", in_front(self.place), n + 1);
            let Some(table) = as_table(value) else { continue };
            let (mistakes, line) = (self.mistakes, value.line());
            all.push(read(Section { table, place: &place, line, mistakes, asked: vec![] }));
        }
        all
    }

    /// What nobody has asked for is a mistake.
    pub(super) fn end(self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let meant = did_you_mean(name, self.asked.iter().copied());
                let line = self.mistakes.line(&key.span());
                self.mistakes.add(line, format!("{}no key is called `{name}`{meant}", self.place));
            }
        }
    }
}

fn as_table<'a>(value: &Value<'a>) -> Option<&'a DeTable<'a>> {
    value.read(|value| value.as_table().ok_or_else(|| not_a("a table", value)))
}

/// `origins.site: ` in front of a key within it.
fn in_front(place: &str) -> String {
    match place.strip_suffix(": ") {
        Some(place) => format!("{place}."),
        None => String::new(),
    }
}

/// All that the parser says of the syntax, and the table that could be read.
pub(super) fn parse<'a>(text: &'a str, mistakes: &Mistakes) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        mistakes.add_of_syntax(mistakes.line(&error.span().unwrap_or_default()), error.message());
    }
    table
}
