//! The checks at the end, on what the origin got.
use super::{At, UNNAMED, show};
use crate::{
    client::Reply,
    definition::{Case, Source, Step, Validator},
    fields::combined,
    outcome::{Finding, Verdict},
    session::Arrival,
};

pub(crate) fn judge_arrivals(
    case: &Case,
    arrivals: &[Arrival],
    replies: &[Reply],
) -> Result<(), Finding> {
    for (number, (step, reply)) in (1..).zip(case.steps.iter().zip(replies)) {
        if step.expected.source == Some(Source::Cached) {
            continue;
        }
        let at = At { step, place: format!("step {number} request at the origin") };
        let arrival = arrivals.iter().find(|arrival| arrival.step == number);
        is_there(&at, arrival)?;
        if let Some(arrival) = arrival {
            fields(&at, arrival)?;
            promises(step, number, arrival, reply)?;
            method(&at, arrival)?;
        }
    }
    Ok(())
}

fn is_there(at: &At<'_>, arrival: Option<&Arrival>) -> Result<(), Finding> {
    let expected = &at.step.expected;
    let nothing = |part| at.require(part, arrival.is_some(), "a request", "none");
    if expected.source == Some(Source::NotCached) && arrival.is_none() {
        return Err(at.finding(Verdict::Fail, "a request", "none"));
    }
    if let Some(validator) = at.step.validator() {
        nothing("expected_type")?;
        let name = match validator {
            Validator::Etag => "if-none-match",
            Validator::LastModified => "if-modified-since",
        };
        let there = arrival.is_some_and(|arrival| arrival.headers.contains_key(name));
        at.require("expected_type", there, format_args!("field {name}"), "none")?;
    }
    let needed = expected.request_fields.is_some()
        || expected.unwanted_request_fields.is_some()
        || expected.method.is_some();
    if needed && arrival.is_none() {
        return Err(at.finding(Verdict::Fail, "a request", "none (answered from the cache)"));
    }
    Ok(())
}

fn fields(at: &At<'_>, arrival: &Arrival) -> Result<(), Finding> {
    let field = |name: &str| combined(&arrival.headers, &name.to_ascii_lowercase());
    for wanted in at.step.expected.request_fields.iter().flatten() {
        let (name, want) = (&wanted.name, wanted.text.as_deref());
        let got = field(name);
        let holds = if want.is_some() { got.as_deref() == want } else { got.is_some() };
        let expected = format_args!("{name}: {}", want.unwrap_or("anything"));
        at.require("expected_request_headers", holds, expected, show(got.as_deref()))?;
    }
    for unwanted in at.step.expected.unwanted_request_fields.iter().flatten() {
        let (name, bad) = (&unwanted.name, unwanted.text.as_deref());
        let got = field(name);
        let holds = if bad.is_some() { got.as_deref() != bad } else { got.is_none() };
        let expected = format_args!("no {name}: {}", bad.unwrap_or("at all"));
        at.require("expected_request_headers_missing", holds, expected, show(got.as_deref()))?;
    }
    Ok(())
}

/// The client has to find what the origin sent.
fn promises(step: &Step, number: usize, arrival: &Arrival, reply: &Reply) -> Result<(), Finding> {
    let at = At { step, place: format!("step {number} response") };
    // Caches and proxies may set a date of their own.
    for (name, value) in arrival.promised.iter().filter(|(name, _)| name != "date") {
        let got = reply.field(name);
        let expected = format_args!("{name}: {value:?} as the origin sent it");
        at.require(UNNAMED, got.as_deref() == Some(value), expected, show(got.as_deref()))?;
    }
    Ok(())
}

fn method(at: &At<'_>, arrival: &Arrival) -> Result<(), Finding> {
    let got = arrival.method.as_str();
    match at.step.expected.method.as_deref() {
        Some(want) => {
            at.require("expected_method", got == want, format_args!("method {want}"), got)
        }
        None => Ok(()),
    }
}
