//! Which parts of a representation are stored (RFC 9111 section 3.3).
use std::ops::Range;

/// Parts of a representation: ascending, disjoint and not adjacent. The content has them one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    ranges: Vec<Range<u64>>,
    /// The length of the whole.
    pub(crate) complete: u64,
}

/// More parts than this are not kept together.
const MAX_PARTS: usize = 16;

impl Parts {
    /// One part of a representation; `None` if it is empty or not within.
    pub(crate) fn new(range: Range<u64>, complete: u64) -> Option<Self> {
        (!range.is_empty() && range.end <= complete).then(|| Self { ranges: vec![range], complete })
    }

    /// Several parts, as they were stored.
    pub(crate) fn from_ranges(ranges: Vec<Range<u64>>, complete: u64) -> Option<Self> {
        let sound = ranges.iter().all(|range| !range.is_empty() && range.end <= complete)
            && ranges.windows(2).all(|pair| matches!(pair, [a, b] if a.end < b.start))
            && (1..=MAX_PARTS).contains(&ranges.len());
        sound.then_some(Self { ranges, complete })
    }

    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Bytes that are there.
    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().fold(0, |len, r| len.saturating_add(r.end.saturating_sub(r.start)))
    }

    /// Where in the content these bytes of the representation lie, if all of them are there.
    pub(crate) fn locate(&self, wanted: &Range<u64>) -> Option<Range<u64>> {
        let mut offset = 0_u64;
        for range in &self.ranges {
            if range.start <= wanted.start && wanted.end <= range.end {
                let start = offset.saturating_add(wanted.start.saturating_sub(range.start));
                let length = wanted.end.saturating_sub(wanted.start);
                return Some(start..start.saturating_add(length));
            }
            offset = offset.saturating_add(range.end.saturating_sub(range.start));
        }
        None
    }

    /// The one gap that has to be filled to have it all; `None` if there are several.
    pub(crate) fn gap(&self) -> Option<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in &self.ranges {
            if at < range.start {
                gaps.push(at..range.start);
            }
            at = range.end;
        }
        if at < self.complete {
            gaps.push(at..self.complete);
        }
        match gaps.len() {
            1 => gaps.pop(),
            _ => None,
        }
    }

    /// Both together, and for each piece of the new content which of the two it comes from and which bytes of the representation it is.
    /// `None` if they do not belong to one representation, or would be too many.
    pub(crate) fn combine(&self, new: &Self) -> Option<(Self, Vec<Piece>)> {
        if self.complete != new.complete {
            return None;
        }
        let mut pieces: Vec<Piece> =
            new.ranges.iter().map(|range| (Whose::New, range.clone())).collect();
        for old in &self.ranges {
            // What is new wins; of the old one stays what lies outside.
            let mut rest = vec![old.clone()];
            for range in &new.ranges {
                rest = rest
                    .into_iter()
                    .flat_map(|r| [r.start..r.end.min(range.start), r.start.max(range.end)..r.end])
                    .filter(|r| !r.is_empty())
                    .collect();
            }
            pieces.extend(rest.into_iter().map(|range| (Whose::Old, range)));
        }
        pieces.sort_by_key(|(_, range)| range.start);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (_, range) in &pieces {
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range.clone()),
            }
        }
        Some((Self::from_ranges(ranges, self.complete)?, pieces))
    }

    /// True if nothing is missing.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.ranges.as_slice(), [only] if *only == (0..self.complete))
    }
}

/// Bytes of the representation, and where they come from.
type Piece = (Whose, Range<u64>);

/// From which of two contents a piece comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Old,
    New,
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one range is a list of ranges here")]
mod tests {
    use super::*;
    use Whose::*;

    fn parts(ranges: &[Range<u64>]) -> Parts {
        Parts::from_ranges(ranges.to_vec(), 100).unwrap()
    }

    #[test]
    fn s3_3_where_the_bytes_of_a_part_lie() {
        let stored = parts(&[10..20, 50..60]);
        assert_eq!(stored.locate(&(12..15)), Some(2..5));
        assert_eq!(stored.locate(&(50..60)), Some(10..20));
        for not in [5..12, 15..55, 60..61] {
            assert_eq!(stored.locate(&not), None);
        }
    }

    #[test]
    fn s3_4_parts_combine() {
        let (all, pieces) = parts(&[10..20, 50..60]).combine(&parts(&[15..55])).unwrap();
        assert_eq!(all.ranges(), [10..60]);
        assert_eq!(pieces, [(Old, 10..15), (New, 15..55), (Old, 55..60)]);
        let (all, _) = parts(&[0..50]).combine(&parts(&[50..100])).unwrap();
        assert!(all.is_complete());
        assert!(parts(&[0..1]).combine(&Parts::new(1..2, 99).unwrap()).is_none());
    }

    #[test]
    fn s3_3_what_is_missing() {
        assert_eq!(parts(&[0..50]).gap(), Some(50..100));
        assert_eq!(parts(&[50..100]).gap(), Some(0..50));
        assert_eq!(parts(&[0..10, 20..100]).gap(), Some(10..20));
        assert_eq!(parts(&[10..20]).gap(), None);
    }

    #[test]
    fn err_parts_that_are_not_sound() {
        assert!(Parts::new(5..5, 10).is_none());
        assert!(Parts::new(5..11, 10).is_none());
        assert!(Parts::from_ranges(vec![5..7, 6..8], 10).is_none());
        assert!(Parts::from_ranges(vec![], 10).is_none());
    }
}
