//! The definitions of the tests.
mod parse;

pub(crate) use parse::cases;

use crate::fields::Value;

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) suite: String,
    pub(crate) kind: Kind,
    pub(crate) depends_on: Vec<String>,
    /// It runs only because others depend on it, and does not count.
    pub(crate) dependency_only: bool,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// Counted from 1.
    pub(crate) fn step(&self, number: usize) -> Option<&Step> {
        self.steps.get(number.checked_sub(1)?)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Required,
    Optimal,
    Check,
}

/// A request of the client, the answer of the origin if it gets there, and what is to be seen of both.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) request_fields: Vec<(String, Value)>,
    pub(crate) request_body: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) query: Option<String>,

    pub(crate) status: Option<u16>,
    pub(crate) response_fields: Vec<ResponseField>,
    pub(crate) response_body: Option<String>,
    pub(crate) response_pause: u64,
    pub(crate) disconnect: bool,
    pub(crate) pause_after: bool,

    pub(crate) magic_locations: bool,
    pub(crate) magic_ims: bool,
    /// Fields whose dates are written as RFC 850 did.
    pub(crate) rfc850: Vec<String>,

    pub(crate) expected: Expected,
    preparation: Preparation,
}

#[derive(Debug)]
pub(crate) struct ResponseField {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// The client must find it.
    pub(crate) promised: bool,
}

#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) source: Option<Source>,
    /// The inner `None` is any status.
    pub(crate) status: Option<Option<u16>>,
    /// The inner `None` is any body.
    pub(crate) text: Option<Option<String>>,
    pub(crate) check_body: bool,
    pub(crate) fields: Vec<FieldCheck>,
    pub(crate) unwanted_fields: Vec<FieldAndText>,
    /// The statuses of the interim responses.
    pub(crate) interim: Vec<u64>,
    pub(crate) method: Option<String>,
    pub(crate) request_fields: Option<Vec<FieldAndText>>,
    pub(crate) unwanted_request_fields: Option<Vec<FieldAndText>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Cached,
    NotCached,
    Validated(Validator),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    Etag,
    LastModified,
}

#[derive(Debug)]
pub(crate) enum FieldCheck {
    Present(String),
    Is(String, Value),
    SameAs(String, String),
    Above(String, i64),
}

/// A field, and perhaps its value or a part of it.
#[derive(Debug)]
pub(crate) struct FieldAndText {
    pub(crate) name: String,
    pub(crate) text: Option<String>,
}

/// Which checks say nothing about the subject of the test when they do not hold.
#[derive(Debug)]
struct Preparation {
    all: bool,
    parts: Vec<String>,
}

impl Step {
    /// Whether the check of this member of the definition is only preparation.
    pub(crate) fn prepares(&self, part: &str) -> bool {
        self.preparation.all || self.preparation.parts.iter().any(|name| name == part)
    }

    /// The origin expects a validator.
    pub(crate) fn validator(&self) -> Option<Validator> {
        match self.expected.source {
            Some(Source::Validated(validator)) => Some(validator),
            _ => None,
        }
    }
}
