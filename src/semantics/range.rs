//! Range requests, answered from a stored response (RFC 9110 section 14).
use super::fields;
use http::{HeaderMap, header};
use std::ops::Range;

/// What a `Range` field asks of a representation of a known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No range, one that cannot be read, or several: the whole is sent (section 14.2).
    Whole,
    /// These bytes: never empty, within the representation.
    Part(Range<u64>),
    /// 416 (section 15.5.17).
    Unsatisfiable,
}

/// Section 14.1.2, for a representation of `len` bytes.
pub(crate) fn wanted(request: &HeaderMap, len: u64) -> Wanted {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Wanted::Whole };
    let Some(set) = byte_ranges(line.as_bytes()) else { return Wanted::Whole };
    let mut specs = set.split(|b| *b == b',').map(fields::trim).filter(|spec| !spec.is_empty());
    match (specs.next().and_then(parse), specs.next()) {
        (Some(spec), None) => spec.within(len),
        _ => Wanted::Whole,
    }
}

/// `Content-Range` of a 206 (section 14.4).
pub(crate) fn content_range(part: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1))
}

/// The unit is a token, so it counts in any case (section 14.1).
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = value.split_at(fields::token_len(value));
    unit.eq_ignore_ascii_case(b"bytes").then(|| rest.strip_prefix(b"=")).flatten()
}

#[derive(Clone, Copy, Debug)]
enum Spec {
    /// `first-last`, both included.
    Closed(u64, u64),
    /// `first-`.
    Open(u64),
    /// `-length`.
    Suffix(u64),
}

fn parse(spec: &[u8]) -> Option<Spec> {
    let dash = spec.iter().position(|b| *b == b'-')?;
    let (first, last) = (spec.get(..dash)?, spec.get(dash.checked_add(1)?..)?);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Suffix(number(last)?)),
        (false, true) => Some(Spec::Open(number(first)?)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Closed(first, last))
        }
    }
}

/// Digits only; more than 64 bits is as far as one can go.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().all(u8::is_ascii_digit).then(|| {
        digits.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        })
    })
}

impl Spec {
    fn within(self, len: u64) -> Wanted {
        let part = match self {
            Self::Closed(first, last) => first..last.saturating_add(1).min(len),
            Self::Open(first) => first..len,
            Self::Suffix(length) => len.saturating_sub(length)..len,
        };
        if part.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(part) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, len: u64) -> Wanted {
        wanted(&[(header::RANGE, value.parse().unwrap())].into_iter().collect(), len)
    }

    #[test]
    fn s14_1_2_forms() {
        for (value, want) in [
            ("bytes=0-4", 0..5),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=8-99", 8..10),
            ("BYTES=0-0", 0..1),
            ("bytes= 0-0 ,", 0..1),
            ("bytes=0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(of(value, 10), Wanted::Part(want), "{value}");
        }
    }

    #[test]
    fn s14_2_what_is_no_range_is_ignored() {
        for value in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=4-2",
            "lines=0-1",
            "bytes=0-1,3-4",
            "bytes=+1-2",
        ] {
            assert_eq!(of(value, 10), Wanted::Whole, "{value}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn s15_5_17_what_lies_outside_is_unsatisfiable() {
        for (value, len) in [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=-0", 10),
            ("bytes=0-0", 0),
            ("bytes=-5", 0),
        ] {
            assert_eq!(of(value, len), Wanted::Unsatisfiable, "{value} of {len}");
        }
    }

    #[test]
    fn s14_4_content_range() {
        assert_eq!(content_range(&(0..1), 10), "bytes 0-0/10");
    }
}
