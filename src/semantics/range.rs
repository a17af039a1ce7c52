//! Range requests, answered from a stored response (RFC 9110 section 14).
use super::fields::{self, saturating_number};
use http::{HeaderMap, header};
use std::ops::Range;

/// What a `Range` field asks of a representation of a known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No range, one that cannot be read, or more than is sound: the whole is sent (section 14.2).
    Whole,
    /// These bytes: never empty, within the representation.
    Part(Range<u64>),
    /// Several such parts, ascending and disjoint (section 15.3.7.2).
    Parts(Vec<Range<u64>>),
    /// 416 (section 15.5.17).
    Unsatisfiable,
}

/// Section 14.1.2, for a representation of `len` bytes.
pub(crate) fn wanted(request: &HeaderMap, len: u64) -> Wanted {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Wanted::Whole };
    let Some(set) = byte_ranges(line.as_bytes()) else { return Wanted::Whole };
    let specs = set.split(|b| *b == b',').map(fields::trim).filter(|spec| !spec.is_empty());
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut is_empty = true;
    for (count, spec) in specs.enumerate() {
        let Some(spec) = parse(spec) else { return Wanted::Whole };
        is_empty = false;
        if count >= MAX_PARTS {
            return Wanted::Whole;
        }
        // Section 14.1.1: a set is satisfiable if one of its ranges is.
        let Some(part) = spec.within(len) else { continue };
        // Section 17.15: overlapping or descending ranges ask for more work than for content.
        if parts.last().is_some_and(|last| part.start < last.end) {
            return Wanted::Whole;
        }
        parts.push(part);
    }
    match (is_empty, parts.len()) {
        (true, _) => Wanted::Whole,
        (false, 0) => Wanted::Unsatisfiable,
        (false, 1) => parts.pop().map_or(Wanted::Whole, Wanted::Part),
        (false, _) => Wanted::Parts(parts),
    }
}

/// More parts than this are not worth their heads.
const MAX_PARTS: usize = 8;

/// `Content-Range` of a 206 (section 14.4).
pub(crate) fn content_range(part: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1))
}

/// Does the request ask for one range, of bytes, and for nothing else?
pub(crate) fn asks_for_one(request: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    byte_ranges(line.as_bytes()).is_some_and(|set| parse(fields::trim(set)).is_some())
}

/// `Range` for these bytes (section 14.2).
pub(crate) fn request_for(part: &Range<u64>) -> String {
    format!("bytes={}-{}", part.start, part.end.saturating_sub(1))
}

/// What a 206 with one part carries: which bytes, of how many (section 14.4). `None` if it is invalid, or the whole length is not told.
pub(crate) fn carried(response: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let mut lines = response.get_all(header::CONTENT_RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let value = line.as_bytes();
    let (unit, rest) = value.split_at(fields::token_len(value));
    let rest = rest.strip_prefix(b" ").filter(|_| unit.eq_ignore_ascii_case(b"bytes"))?;
    let slash = rest.iter().position(|b| *b == b'/')?;
    let (bytes, complete) = (rest.get(..slash)?, rest.get(slash.checked_add(1)?..)?);
    let Some(Spec::Closed(first, last)) = parse(bytes) else { return None };
    let complete = saturating_number(complete)?;
    (last < complete).then(|| (first..last.saturating_add(1), complete))
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
        (true, false) => Some(Spec::Suffix(saturating_number(last)?)),
        (false, true) => Some(Spec::Open(saturating_number(first)?)),
        (false, false) => {
            let (first, last) = (saturating_number(first)?, saturating_number(last)?);
            (first <= last).then_some(Spec::Closed(first, last))
        }
    }
}

impl Spec {
    fn within(self, len: u64) -> Option<Range<u64>> {
        let part = match self {
            Self::Closed(first, last) => first..last.saturating_add(1).min(len),
            Self::Open(first) => first..len,
            Self::Suffix(length) => len.saturating_sub(length)..len,
        };
        (!part.is_empty()).then_some(part)
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
        for value in
            ["bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=4-2", "lines=0-1", "bytes=+1-2"]
        {
            assert_eq!(of(value, 10), Wanted::Whole, "{value}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn s14_2_several_ranges_if_they_are_few_ascending_and_disjoint() {
        assert_eq!(of("bytes=0-1,3-4", 10), Wanted::Parts(vec![0..2, 3..5]));
        assert_eq!(of("bytes=0-1, 4-5 ,-2", 10), Wanted::Parts(vec![0..2, 4..6, 8..10]));
        assert_eq!(of("bytes=0-1,20-30", 10), Wanted::Part(0..2), "one of them is satisfiable");
        assert_eq!(of("bytes=20-30,40-50", 10), Wanted::Unsatisfiable);
        for whole in ["bytes=3-4,0-1", "bytes=0-3,2-5", "bytes=0-1,x", "bytes=0-,0-"] {
            assert_eq!(of(whole, 10), Wanted::Whole, "{whole}");
        }
        let nine: Vec<_> = (0..9).map(|n| format!("{0}-{0}", 2 * n)).collect();
        assert_eq!(of(&format!("bytes={}", nine.join(",")), 100), Wanted::Whole);
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
    fn s14_4_what_a_206_carries() {
        let of = |value: &str| {
            carried(&[(header::CONTENT_RANGE, value.parse().unwrap())].into_iter().collect())
        };
        assert_eq!(of("bytes 0-4/10"), Some((0..5, 10)));
        for not in [
            "bytes 0-4/*",
            "bytes */10",
            "bytes 4-0/10",
            "bytes 0-10/10",
            "bytes 0-4",
            "lines 0-4/10",
            "bytes=0-4/10",
            "bytes 0-4/",
        ] {
            assert_eq!(of(not), None, "{not}");
        }
    }

    #[test]
    fn s14_2_one_range() {
        let of = |value: &str| {
            asks_for_one(&[(header::RANGE, value.parse().unwrap())].into_iter().collect())
        };
        for one in ["bytes=0-", "bytes=-5", "bytes= 1-2"] {
            assert!(of(one), "{one}");
        }
        for not in ["bytes=0-1,3-4", "lines=0-1", "bytes=", "bytes=2-1"] {
            assert!(!of(not), "{not}");
        }
        assert_eq!(request_for(&(5..10)), "bytes=5-9");
    }

    #[test]
    fn s14_4_content_range() {
        assert_eq!(content_range(&(0..1), 10), "bytes 0-0/10");
    }
}
