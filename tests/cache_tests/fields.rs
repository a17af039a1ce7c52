//! Field values: as a definition gives them, as they are sent, as they are compared.
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A value in a definition.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// In a field that has a date: seconds relative to the origin's clock.
    Number(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

const DATE_FIELDS: [&str; 5] =
    ["date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"];
const URL_FIELDS: [&str; 2] = ["location", "content-location"];

/// What a value in a definition is relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    /// The origin's clock. Without it, relative dates have no value.
    pub(crate) clock: Option<SystemTime>,
    /// The target that the origin got, for `magic_locations`.
    pub(crate) target: Option<&'a str>,
    /// Fields whose dates are written as RFC 850 did.
    pub(crate) rfc850: &'a [String],
}

impl Base<'_> {
    pub(crate) fn resolve(&self, name: &str, value: &Value) -> Option<String> {
        let name = name.to_ascii_lowercase();
        match (value, self.target) {
            (Value::Number(seconds), _) if DATE_FIELDS.contains(&name.as_str()) => {
                let date = date(shifted(self.clock?, *seconds));
                Some(if self.rfc850.contains(&name) { as_rfc850(&date) } else { date })
            }
            (Value::Text(text), Some(target)) if URL_FIELDS.contains(&name.as_str()) => {
                let slash = if text.is_empty() { "" } else { "/" };
                Some(format!("{target}{slash}{text}"))
            }
            (value, _) => Some(value.to_string()),
        }
    }
}

fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { time - distance } else { time + distance }
}

pub(crate) fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `Sunday, 06-Nov-94 08:49:37 GMT`.
fn as_rfc850(date: &str) -> String {
    let parts: Vec<_> = date.split(' ').collect();
    let [weekday, day, month, year, time, zone] = parts[..] else { return date.to_owned() };
    let rest = match weekday {
        "Tue," => "sday,",
        "Wed," => "nesday,",
        "Thu," => "rsday,",
        "Sat," => "urday,",
        _ => "day,",
    };
    let (weekday, year) = (weekday.trim_end_matches(','), &year[2..]);
    format!("{weekday}{rest} {day}-{month}-{year} {time} {zone}")
}

/// What the parser of a connection leaves of a value: ISO 8859-1, without the white space around it.
pub(crate) fn to_wire(text: &str) -> HeaderValue {
    let bytes: Vec<u8> =
        text.trim().chars().map(|c| u8::try_from(c).expect("one byte a character")).collect();
    HeaderValue::from_bytes(&bytes).expect("a field value")
}

pub(crate) fn to_name(text: &str) -> HeaderName {
    text.parse().expect("a field name")
}

/// All lines of a field as one value.
pub(crate) fn combined(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().iter().copied().map(char::from).collect())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// The number at the start of a value, whatever follows.
pub(crate) fn leading_number(value: &str) -> Option<i64> {
    let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}
