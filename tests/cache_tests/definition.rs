//! The definitions of the tests.
use crate::{
    fields::Value,
    reader::{Object, Result},
};
use serde_json::Value as Json;
use std::collections::BTreeSet;

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
    pub(crate) interim: Option<Vec<u64>>,
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

/// The tests that run.
pub(crate) fn cases(text: &str) -> Result<Vec<Case>> {
    let data: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let suites = data["suites"].as_array().ok_or("there are no suites")?;
    let (mut cases, mut seen) = (Vec::new(), BTreeSet::new());
    for suite in suites {
        let suite = Object::new("suite", suite)?;
        let name = suite.needed("id")?;
        for test in suite.list("tests", Some)? {
            let id = test["id"].as_str().ok_or_else(|| format!("{name}: test without id"))?;
            if !seen.insert(id) {
                return Err(format!("{id}: occurs twice"));
            }
            cases.extend(case(id, &name, test)?);
        }
        suite.ignore(&["name", "description"]);
        suite.finish()?;
    }
    Ok(cases)
}

/// `None` if it is for browsers.
fn case(id: &str, suite: &str, json: &Json) -> Result<Option<Case>> {
    let object = Object::new(id, json)?;
    let kind = match object.text("kind")?.as_deref() {
        None | Some("required") => Kind::Required,
        Some("optimal") => Kind::Optimal,
        Some("check") => Kind::Check,
        Some(_) => return Err(object.wrong("kind")),
    };
    let case = Case {
        id: id.to_owned(),
        suite: suite.to_owned(),
        kind,
        depends_on: object.texts("depends_on")?,
        dependency_only: object.flag("dependency_only")?.unwrap_or(false),
        steps: object.list("requests", Some)?.into_iter().map(|json| step(id, json)).collect::<Result<_>>()?,
    };
    let for_browsers = object.flag("browser_only")?.unwrap_or(false);
    object.ignore(&["id", "name", "description", "spec_anchors"]);
    object.ignore(&["browser_skip", "cdn_only", "pulled_in"]);
    object.finish()?;
    Ok((!for_browsers).then_some(case))
}

fn step(id: &str, json: &Json) -> Result<Step> {
    let object = Object::new(id, json)?;
    let step = Step {
        method: object.text("request_method")?.unwrap_or_else(|| "GET".to_owned()),
        request_fields: object.list("request_headers", name_and_value)?,
        request_body: object.text("request_body")?,
        filename: object.text("filename")?,
        query: object.text("query_arg")?,

        status: object.list("response_status", Some)?.first().map(|json| status(json)).map(|status| status.ok_or_else(|| object.wrong("response_status"))).transpose()?,
        response_fields: object.list("response_headers", response_field)?,
        response_body: object.nullable("response_body", text)?.flatten(),
        response_pause: object.number("response_pause")?.unwrap_or(0),
        disconnect: object.flag("disconnect")?.unwrap_or(false),
        pause_after: object.flag("pause_after")?.unwrap_or(false),

        magic_locations: object.flag("magic_locations")?.unwrap_or(false),
        magic_ims: object.flag("magic_ims")?.unwrap_or(false),
        rfc850: object.texts("rfc850date")?,

        expected: expected(&object)?,
        preparation: Preparation {
            all: object.flag("setup")?.unwrap_or(false),
            parts: object.texts("setup_tests")?,
        },
    };
    // A tower service cannot answer more than once, so that the origin of this test sends none of these.
    object.ignore(&["interim_responses"]);
    object.ignore(&["redirect", "cache", "mode", "credentials"]);
    object.finish()?;
    Ok(step)
}

fn expected(object: &Object<'_>) -> Result<Expected> {
    let source = match object.text("expected_type")?.as_deref() {
        None => None,
        Some("cached") => Some(Source::Cached),
        Some("not_cached") => Some(Source::NotCached),
        Some("etag_validated") => Some(Source::Validated(Validator::Etag)),
        Some("lm_validated") => Some(Source::Validated(Validator::LastModified)),
        Some(_) => return Err(object.wrong("expected_type")),
    };
    // To expect no field is different from no expectation: the origin has to get the request then.
    let if_there = |name| Ok::<_, String>(object.member(name).is_some().then_some(object.list(name, field_and_text)?));
    Ok(Expected {
        source,
        status: object.nullable("expected_status", status)?,
        text: object.nullable("expected_response_text", text)?,
        check_body: object.flag("check_body")?.unwrap_or(true),
        fields: object.list("expected_response_headers", field_check)?,
        unwanted_fields: object.list("expected_response_headers_missing", field_and_text)?,
        interim: object.member("expected_interim_responses").is_some().then_some(object.list("expected_interim_responses", |item| item[0].as_u64())?),
        method: object.text("expected_method")?,
        request_fields: if_there("expected_request_headers")?,
        unwanted_request_fields: if_there("expected_request_headers_missing")?,
    })
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn status(json: &Json) -> Option<u16> {
    json.as_u64()?.try_into().ok()
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Number(number) => number.as_i64().map(Value::Number),
        _ => None,
    }
}

fn name_and_value(json: &Json) -> Option<(String, Value)> {
    match json.as_array()?.as_slice() {
        [name, given] => Some((text(name)?, value(given)?)),
        _ => None,
    }
}

fn response_field(json: &Json) -> Option<ResponseField> {
    let (name, given, promised) = match json.as_array()?.as_slice() {
        [name, given] => (name, given, true),
        [name, given, promised] => (name, given, promised.as_bool()?),
        _ => return None,
    };
    Some(ResponseField { name: text(name)?, value: value(given)?, promised })
}

fn field_check(json: &Json) -> Option<FieldCheck> {
    let Json::Array(parts) = json else { return text(json).map(FieldCheck::Present) };
    match parts.as_slice() {
        [name, given] => Some(FieldCheck::Is(text(name)?, value(given)?)),
        [name, operator, other] => match operator.as_str()? {
            "=" => Some(FieldCheck::SameAs(text(name)?, text(other)?)),
            ">" => Some(FieldCheck::Above(text(name)?, other.as_i64()?)),
            _ => None,
        },
        _ => None,
    }
}

fn field_and_text(json: &Json) -> Option<FieldAndText> {
    let Json::Array(parts) = json else { return Some(FieldAndText { name: text(json)?, text: None }) };
    match parts.as_slice() {
        [name, given] => Some(FieldAndText { name: text(name)?, text: Some(text(given)?) }),
        _ => None,
    }
}
