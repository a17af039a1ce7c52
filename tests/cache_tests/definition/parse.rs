//! From JSON to definitions. What is not known is an error, so that nothing is passed over in silence.
use super::{
    Case, Expected, FieldAndText, FieldCheck, Kind, Preparation, ResponseField, Source, Step,
    Validator,
};
use crate::{
    fields::Value,
    reader::{Object, Result},
};
use serde_json::Value as Json;
use std::collections::BTreeSet;

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
        suite.ignore(&["name", "description", "spec_anchors"]);
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
        steps: object
            .list("requests", Some)?
            .into_iter()
            .map(|json| step(id, json))
            .collect::<Result<_>>()?,
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

        status: response_status(&object)?,
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

/// A status and a phrase.
fn response_status(object: &Object<'_>) -> Result<Option<u16>> {
    match object.list("response_status", Some)?.as_slice() {
        [] => Ok(None),
        [code, ..] => status(code).map(Some).ok_or_else(|| object.wrong("response_status")),
    }
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
    let fields_if_there = |name| {
        let fields = object.list(name, field_and_text)?;
        Ok::<_, String>(object.member(name).map(|_| fields))
    };
    let interim = object.list("expected_interim_responses", |item| item[0].as_u64())?;
    Ok(Expected {
        source,
        status: object.nullable("expected_status", status)?,
        text: object.nullable("expected_response_text", text)?,
        check_body: object.flag("check_body")?.unwrap_or(true),
        fields: object.list("expected_response_headers", field_check)?,
        unwanted_fields: object.list("expected_response_headers_missing", field_and_text)?,
        interim,
        method: object.text("expected_method")?,
        request_fields: fields_if_there("expected_request_headers")?,
        unwanted_request_fields: fields_if_there("expected_request_headers_missing")?,
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
    let Json::Array(parts) = json else {
        return Some(FieldAndText { name: text(json)?, text: None });
    };
    match parts.as_slice() {
        [name, given] => Some(FieldAndText { name: text(name)?, text: Some(text(given)?) }),
        _ => None,
    }
}
