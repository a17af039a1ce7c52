//! The checks after each step, on what the client got.
use super::{At, UNNAMED, show};
use crate::{
    client::{NoReply, Reply},
    definition::{FieldCheck, Source, Step},
    fields::{Base, leading_number},
    outcome::{Finding, Verdict},
    session::{NOT_CONDITIONAL, is_bodiless, mark},
};
use http::StatusCode;
use std::collections::BTreeSet;

/// `number` is the step's, counted from 1; `token` is the body that the origin gives if the definition has none.
pub(crate) fn judge_reply(
    step: &Step,
    number: usize,
    token: &str,
    reply: &Result<Reply, NoReply>,
) -> Result<(), Finding> {
    let at = At { step, place: format!("step {number} response") };
    let reply = match reply {
        Ok(reply) => reply,
        Err(NoReply::Timeout) => {
            return Err(at.finding(Verdict::Timeout, "a response", "none in time"));
        }
        Err(NoReply::Broken(why)) => return Err(at.finding(Verdict::Fail, "a response", why)),
    };
    no_retry(&at, reply)?;
    source(&at, number, reply)?;
    status(&at, number, reply)?;
    for check in &step.expected.fields {
        expected_field(&at, check, reply)?;
    }
    unwanted_fields(&at, reply)?;
    interim(&at)?;
    body(&at, token, reply)
}

fn no_retry(at: &At<'_>, reply: &Reply) -> Result<(), Finding> {
    let log = reply.field(mark::LOG).unwrap_or_default();
    let steps: Vec<_> = log.split_whitespace().collect();
    if steps.iter().collect::<BTreeSet<_>>().len() == steps.len() {
        return Ok(());
    }
    Err(at.finding(Verdict::Retry, "each step to reach the origin once", format!("steps {log}")))
}

fn source(at: &At<'_>, number: usize, reply: &Reply) -> Result<(), Finding> {
    let serial = reply.field(mark::SERIAL).and_then(|value| leading_number(&value));
    let order = serial.map(|serial| serial.cmp(&(number as i64)));
    let holds = match at.step.expected.source {
        Some(Source::Cached) => {
            let made_by_cache = reply.status == StatusCode::NOT_MODIFIED && serial.is_none();
            made_by_cache || order.is_some_and(|order| order.is_lt())
        }
        Some(Source::NotCached) => order.is_some_and(|order| order.is_eq()),
        Some(Source::Validated(_)) | None => true,
    };
    let expected = match at.step.expected.source {
        Some(Source::Cached) => "a response from the cache",
        _ => "the answer of the origin to this request",
    };
    let got = match serial {
        Some(serial) => format!("response {serial} of the origin"),
        None => format!("one that the cache made itself, status {}", reply.status),
    };
    at.require("expected_type", holds, expected, got)
}

fn status(at: &At<'_>, number: usize, reply: &Reply) -> Result<(), Finding> {
    let got = reply.status.as_u16();
    let is = |part, want| at.require(part, got == want, format_args!("status {want}"), got);
    match (at.step.expected.status, at.step.status) {
        (Some(None), _) => Ok(()),
        (Some(Some(want)), _) => is("expected_status", want),
        (None, Some(want)) => is(UNNAMED, want),
        (None, None) if got == NOT_CONDITIONAL => {
            let place = format!("step {number} request at the origin");
            let at = At { step: at.step, place };
            at.require("expected_type", false, "one with the stored validator", "one without")
        }
        (None, None) => is(UNNAMED, 200),
    }
}

fn expected_field(at: &At<'_>, check: &FieldCheck, reply: &Reply) -> Result<(), Finding> {
    let require = |holds, expected: String, got: Option<String>| {
        at.require("expected_response_headers", holds, expected, show(got.as_deref()))
    };
    match check {
        FieldCheck::Present(name) => {
            let got = reply.field(name);
            require(got.is_some(), format!("field {name}"), got)
        }
        FieldCheck::Is(name, value) => {
            let target = reply.field(mark::TARGET).filter(|_| at.step.magic_locations);
            let rfc850 = &at.step.rfc850;
            let base = Base { clock: reply.clock(), target: target.as_deref(), rfc850 };
            let (got, want) = (reply.field(name), base.resolve(name, value));
            require(got == want, format!("{name}: {}", show(want.as_deref())), got)
        }
        FieldCheck::SameAs(name, other) => {
            let (got, want) = (reply.field(name), reply.field(other));
            let expected = format!("{name} as in {other} ({})", show(want.as_deref()));
            require(got.is_some() && got == want, expected, got)
        }
        FieldCheck::Above(name, least) => {
            let got = reply.field(name);
            let number = got.as_deref().and_then(leading_number);
            let holds = number.is_some_and(|number| number > *least);
            require(holds, format!("{name} above {least}"), got)
        }
    }
}

fn unwanted_fields(at: &At<'_>, reply: &Reply) -> Result<(), Finding> {
    for unwanted in &at.step.expected.unwanted_fields {
        let (name, text) = (&unwanted.name, unwanted.text.as_deref());
        let got = reply.field(name);
        let there = got.as_deref().is_some_and(|got| text.is_none_or(|text| got.contains(text)));
        let with = text.map_or_else(String::new, |text| format!(" with {text:?}"));
        let expected = format_args!("no {name}{with}");
        at.require("expected_response_headers_missing", !there, expected, show(got.as_deref()))?;
    }
    Ok(())
}

/// A tower service answers once, so that there never is an interim response.
fn interim(at: &At<'_>) -> Result<(), Finding> {
    let expected = at.step.expected.interim.first();
    let expected = expected.map(|status| format!("interim response with status {status}"));
    let holds = expected.is_none();
    at.require("expected_interim_responses", holds, expected.unwrap_or_default(), "none")
}

fn body(at: &At<'_>, token: &str, reply: &Reply) -> Result<(), Finding> {
    let is = |part, want: &str| {
        let expected = format_args!("body {want:?}");
        at.require(part, reply.body == want, expected, show(Some(&reply.body)))
    };
    if !at.step.expected.check_body {
        return Ok(());
    }
    match (&at.step.expected.text, &at.step.response_body) {
        (Some(None), _) => Ok(()),
        (Some(Some(want)), _) => is("expected_response_text", want),
        (None, Some(want)) => is(UNNAMED, want),
        (None, None) if is_bodiless(reply.status) || at.step.method == "HEAD" => Ok(()),
        (None, None) => is(UNNAMED, token),
    }
}
