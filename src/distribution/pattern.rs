//! Patterns of paths: `*` is any run of bytes, also one with slashes, `?` is one byte.
use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

/// More is no pattern that a person has written.
const MAX_LENGTH: usize = 1024;

/// A pattern that begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern {
    text: Box<str>,
    /// How much stands in front of the first wildcard, and behind the last: most paths are told apart by these.
    prefix: usize,
    suffix: usize,
    /// One star, and nothing more to look at between the two.
    is_plain: bool,
}

impl PathPattern {
    /// The leading `/` may be left out.
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        if pattern.is_empty() {
            return Err("it is empty");
        }
        if pattern.len() > MAX_LENGTH {
            return Err("it is longer than 1,024 bytes");
        }
        if !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has bytes that no path has");
        }
        if pattern.contains('#') {
            return Err("it has a fragment, which no request has");
        }
        let slash = if pattern.starts_with('/') { "" } else { "/" };
        let text: Box<str> = format!("{slash}{pattern}").into();
        let is_wild = |byte: u8| matches!(byte, b'*' | b'?');
        let prefix = text.bytes().position(is_wild).unwrap_or(text.len());
        let suffix = text.bytes().rev().position(is_wild).unwrap_or_default();
        let is_plain = text.bytes().filter(|byte| is_wild(*byte)).eq(*b"*");
        Ok(Self { text, prefix, suffix, is_plain })
    }

    /// Takes no more steps than the two lengths multiplied.
    pub(super) fn matches(&self, path: &str) -> bool {
        let (text, path) = (self.text.as_bytes(), path.as_bytes());
        let Some(behind) = path.len().checked_sub(self.suffix) else { return false };
        let is_outside_equal = behind >= self.prefix
            && path.get(..self.prefix) == text.get(..self.prefix)
            && path.get(behind..) == text.get(text.len().saturating_sub(self.suffix)..);
        is_outside_equal && (self.is_plain || matches(text, path))
    }

    /// Does it match all that the other one matches?
    pub(super) fn covers(&self, other: &Self) -> bool {
        covers(self.text.as_bytes(), other.text.as_bytes())
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut from) = (0_usize, 0_usize);
    // Where to try again: behind the last star, with one byte more for it.
    let mut again = None;
    while let Some(byte) = path.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                at = at.saturating_add(1);
                again = Some((at, from));
                // Most patterns end like that.
                if at == pattern.len() {
                    return true;
                }
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at = at.saturating_add(1);
                from = from.saturating_add(1);
            }
            _ => {
                let Some((behind, tried)) = again else { return false };
                at = behind;
                from = tried.saturating_add(1);
                again = Some((behind, from));
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|left| *left == b'*')
}

/// What an operator writes takes some hundred steps. What takes more is not said to be covered.
const MAX_STEPS: usize = 50_000;

/// Are all paths that `inner` matches matched by `outer`? Both are automata whose states are places in the pattern: every state that `inner` can be in goes
/// together with the set of those that `outer` can be in.
fn covers(outer: &[u8], inner: &[u8]) -> bool {
    // A byte that stands in neither, for all that only a wildcard matches.
    let other = 0_u8;
    // Two of the paths that `inner` matches: most patterns are told apart by these, and at little cost.
    if [&[][..], &[other]].iter().any(|run| !matches(outer, &example(inner, run, other))) {
        return false;
    }
    let mut bytes: BTreeSet<u8> = outer.iter().chain(inner).copied().collect();
    bytes.retain(|byte| !matches!(byte, b'*' | b'?'));
    bytes.insert(other);
    let start = (closed(inner, [0].into()), closed(outer, [0].into()));
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some((of_inner, of_outer)) = open.pop() {
        if of_inner.contains(&inner.len()) && !of_outer.contains(&outer.len()) {
            return false;
        }
        for byte in &bytes {
            let next = (step(inner, &of_inner, *byte), step(outer, &of_outer, *byte));
            if next.0.is_empty() || seen.contains(&next) {
                continue;
            }
            if seen.len() >= MAX_STEPS {
                return false;
            }
            seen.insert(next.clone());
            open.push(next);
        }
    }
    true
}

/// The path in which each star stands for this run, and each `?` for this byte.
fn example(pattern: &[u8], run: &[u8], byte: u8) -> Vec<u8> {
    let mut path = Vec::with_capacity(pattern.len());
    for part in pattern {
        match part {
            b'*' => path.extend_from_slice(run),
            b'?' => path.push(byte),
            literal => path.push(*literal),
        }
    }
    path
}

type Places = BTreeSet<usize>;

/// A star may be passed without a byte.
fn closed(pattern: &[u8], mut places: Places) -> Places {
    let mut passed: Vec<usize> = places.iter().copied().collect();
    while let Some(place) = passed.pop() {
        let behind = place.saturating_add(1);
        if pattern.get(place) == Some(&b'*') && places.insert(behind) {
            passed.push(behind);
        }
    }
    places
}

fn step(pattern: &[u8], places: &Places, byte: u8) -> Places {
    let next = places.iter().filter_map(|place| match pattern.get(*place)? {
        b'*' => Some(*place),
        b'?' => Some(place.saturating_add(1)),
        wanted => (*wanted == byte).then(|| place.saturating_add(1)),
    });
    closed(pattern, next.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::new(text).unwrap()
    }

    #[test]
    fn stars_cross_slashes_and_case_counts() {
        for (text, path, expected) in [
            ("/images/*", "/images/a/b.png", true),
            ("images/*", "/images/", true),
            ("/images/*", "/Images/a", false),
            ("/images/*", "/images", false),
            ("*.jpg", "/a/b.jpg", true),
            ("*.jpg", "/a/b.jpg.exe", false),
            ("*", "/", true),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("/a*b*c", "/a-b-b-c-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("/", "/", true),
            ("/a**", "/a", true),
            ("/?", "/", false),
        ] {
            assert_eq!(pattern(text).matches(path), expected, "{text} {path}");
        }
    }

    #[test]
    fn err_patterns_that_are_none() {
        for text in ["", "/a b", "/\u{e9}", "/a#b", &"a".repeat(1025)] {
            assert!(PathPattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_covers_another() {
        for (outer, inner, expected) in [
            ("*", "/a", true),
            ("/a/*", "/a/b/*", true),
            ("/a/b/*", "/a/*", false),
            ("*.jpg", "/images/*.jpg", true),
            ("/images/*", "*.jpg", false),
            ("/*?", "/?*", true),
            ("/?*", "/*a", true),
            ("/?*", "/*", false),
            ("/a*b", "/ab", true),
            ("/a", "/a", true),
            ("/a*a", "/a", false),
            ("/*a*", "/*ba", true),
        ] {
            assert_eq!(pattern(outer).covers(&pattern(inner)), expected, "{outer} {inner}");
        }
    }

    /// Written the other way round, by recursion.
    fn naive(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                naive(rest, path) || path.split_first().is_some_and(|(_, p)| naive(pattern, p))
            }
            (Some((b'?', rest)), Some((_, path))) => naive(rest, path),
            (Some((a, rest)), Some((b, path))) => a == b && naive(rest, path),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_by_recursion(text in "[ab*?/]{0,10}", path in "/[ab/]{0,12}") {
            let text = format!("/{text}");
            prop_assert_eq!(pattern(&text).matches(&path), naive(text.as_bytes(), path.as_bytes()));
        }

        #[test]
        fn what_covers_matches_all(outer in "[ab*?]{0,6}", inner in "[ab*?]{0,6}", paths in prop::collection::vec("[abx]{0,8}", 20)) {
            let (outer, inner) = (pattern(&format!("/{outer}")), pattern(&format!("/{inner}")));
            if outer.covers(&inner) {
                for path in paths {
                    let path = format!("/{path}");
                    prop_assert!(!inner.matches(&path) || outer.matches(&path), "{}", path);
                }
            }
        }
    }
}
