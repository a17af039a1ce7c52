//! Single values: what a key is to have, and what is told if it has something else.

use std::time::Duration;

use hyper::http::HeaderName;
use hyper::{Method, StatusCode};
use toml::Spanned;
use toml::de::DeValue;

use super::mistakes::Mistakes;
use super::nearest::did_you_mean;
use crate::{duration, size};

/// The value of a key. A mistake in it is told with its line.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    /// `None` within a list.
    pub(super) key: Option<&'a str>,
    pub(super) place: &'a str,
    pub(super) value: &'a Spanned<DeValue<'a>>,
    pub(super) mistakes: &'a Mistakes,
}

/// A text, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
}

impl<'a> Value<'a> {
    pub(super) fn line(&self) -> usize {
        self.mistakes.line(&self.value.span())
    }

    pub(super) fn wrong(&self, reason: &str) {
        let key = self.key.map(|key| format!("{key}: ")).unwrap_or_default();
        self.mistakes.add(self.line(), format!("{}{key}{reason}", self.place));
    }

    /// What `read` makes of it, or a mistake.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        read(self.value.get_ref()).map_err(|reason| self.wrong(&reason)).ok()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.read(|value| value.as_str().ok_or_else(|| not_a("text in quotes", value)))
    }

    pub(super) fn word(&self) -> Option<Word> {
        let text = self.text()?.to_owned();
        Some(Word { text, line: self.line() })
    }

    /// What `read` makes of a text.
    pub(super) fn parsed<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        self.read(|_| read(text))
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.read(|value| value.as_bool().ok_or_else(|| not_a("true or false", value)))
    }

    pub(super) fn count(&self, least: u64, most: u64) -> Option<u64> {
        self.read(|value| {
            let number = value
                .as_integer()
                .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
            match number {
                Some(number) if (least..=most).contains(&number) => Ok(number),
                _ if most == u64::MAX => Err(format!("a whole number from {least} is needed")),
                _ => Err(format!("a whole number from {least} to {most} is needed")),
            }
        })
    }

    pub(super) fn fraction(&self) -> Option<f64> {
        self.read(|value| {
            let number = match value {
                DeValue::Float(float) => float.as_str().parse().ok(),
                DeValue::Integer(integer) => integer.as_str().parse().ok(),
                _ => None,
            };
            let number = number.filter(|number: &f64| (0.0..=1.0).contains(number));
            number.ok_or_else(|| "a number from 0 to 1 is needed, as in 0.1".to_owned())
        })
    }

    /// Bytes: a number, or a text with a unit.
    pub(super) fn size(&self) -> Option<u64> {
        self.read(|value| match value {
            DeValue::Integer(integer) if integer.radix() == 10 => size::parse(integer.as_str()),
            DeValue::String(text) => size::parse(text),
            _ => Err(not_a("a size, as in \"64MiB\",", value)),
        })
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.read(|value| match value {
            DeValue::String(text) => duration::parse(text),
            _ => Err(not_a("a time with its unit, as in \"10s\",", value)),
        })
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        let code = self.count(100, 999)?;
        StatusCode::from_u16(u16::try_from(code).ok()?).ok()
    }

    pub(super) fn field_name(&self) -> Option<HeaderName> {
        self.parsed(|text| {
            HeaderName::from_bytes(text.as_bytes())
                .map_err(|_| format!("'{text}' is not the name of a field"))
        })
    }

    pub(super) fn method(&self) -> Option<Method> {
        self.parsed(|text| {
            if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Err(format!("'{text}' is not a method: their names have capitals"));
            }
            Method::from_bytes(text.as_bytes()).map_err(|_| format!("'{text}' is not a method"))
        })
    }

    /// One of these words.
    pub(super) fn one_of<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| value.clone()).ok_or_else(|| {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                let meant = did_you_mean(text, words.iter().map(|(word, _)| *word));
                format!("'{text}' is not one of {}{meant}", known.join(", "))
            })
        })
    }

    /// The members of a list, each with its own line.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let members =
            self.read(|value| value.as_array().ok_or_else(|| not_a("a list in brackets", value)))?;
        Some(members.iter().map(|value| Self { value, ..*self }).collect())
    }

    /// The same of a list that may not be empty.
    pub(super) fn some_of<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let members = self.list()?;
        if members.is_empty() {
            self.wrong("at least one is needed");
        }
        Some(members.iter().filter_map(read).collect())
    }

    /// The members that `read` can read; the others are mistakes.
    pub(super) fn list_of<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        Some(self.list()?.iter().filter_map(read).collect())
    }
}

pub(super) fn not_a(needed: &str, value: &DeValue<'_>) -> String {
    let found = match value {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
    };
    format!("{needed} is needed here, and this is {found}")
}
