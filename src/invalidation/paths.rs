//! Rules for paths: a prefix tree for each host, and one for all hosts. One descent finds all that concern an URL.
use super::mark::Mark;
use std::collections::HashMap;

/// Path and query of an URL, as one text that lies in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>([&'a [u8]; 3]);

impl<'a> Text<'a> {
    pub(crate) fn new(path: &'a [u8], query: Option<&'a [u8]>) -> Self {
        Self(query.map_or([path, b"", b""], |query| [path, b"?", query]))
    }

    fn first(&self) -> Option<u8> {
        self.0.iter().find_map(|piece| piece.first().copied())
    }

    /// Takes the label off its front, if it stands there.
    fn strip(&mut self, mut label: &[u8]) -> bool {
        for piece in &mut self.0 {
            let common = piece.len().min(label.len());
            let (Some((front, rest)), Some((begin, end))) =
                (piece.split_at_checked(common), label.split_at_checked(common))
            else {
                return false;
            };
            if front != begin {
                return false;
            }
            (*piece, label) = (rest, end);
            if label.is_empty() {
                return true;
            }
        }
        label.is_empty()
    }
}

/// All rules for paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    everywhere: Tree,
    hosts: HashMap<Box<[u8]>, Tree>,
}

impl Paths {
    pub(super) fn find(&self, host: &[u8], text: Text<'_>) -> Mark {
        let everywhere = self.everywhere.find(text);
        if self.hosts.is_empty() {
            return everywhere;
        }
        self.hosts.get(host).map_or(everywhere, |tree| everywhere.or(tree.find(text)))
    }

    pub(super) fn at(&mut self, host: Option<&str>, text: &[u8], is_prefix: bool) -> &mut Mark {
        let tree = match host {
            None => &mut self.everywhere,
            Some(host) => self.hosts.entry(host.as_bytes().into()).or_default(),
        };
        tree.at(text, is_prefix)
    }

    /// Takes off the rules up to this one, and makes the trees anew.
    pub(super) fn forget(&mut self, last: u64, forgotten: &mut impl FnMut(Mark)) {
        self.everywhere.forget(last, forgotten);
        self.hosts.values_mut().for_each(|tree| tree.forget(last, forgotten));
        self.hosts.retain(|_, tree| !tree.is_empty());
    }
}

#[derive(Debug)]
struct Tree {
    /// The first one is the root, which has no label.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    label: Box<[u8]>,
    /// Of this text.
    exact: Mark,
    /// Of all texts that begin with it.
    prefix: Mark,
    /// The first byte of each child's label, in order, and its place.
    children: Vec<(u8, u32)>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Node {
    fn child(&self, first: u8) -> Result<u32, usize> {
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte)?;
        self.children.get(found).map(|(_, at)| *at).ok_or(found)
    }
}

impl Tree {
    fn find(&self, mut text: Text<'_>) -> Mark {
        let (mut mark, mut node) = (Mark::default(), self.nodes.first());
        while let Some(here) = node {
            mark = mark.or(here.prefix);
            let Some(first) = text.first() else { return mark.or(here.exact) };
            let child = here.child(first).ok().and_then(|at| self.node(at));
            node = child.filter(|child| text.strip(&child.label));
        }
        mark
    }

    /// The mark of a text, or of all that begin with it.
    fn at(&mut self, text: &[u8], is_prefix: bool) -> &mut Mark {
        let (mut at, mut rest) = (0, text);
        while let Some(first) = rest.first() {
            let child = self.nodes.get(at as usize).map(|node| node.child(*first));
            (at, rest) = match child {
                Some(Ok(child)) => {
                    let common = self.split(child, rest);
                    (child, rest.get(common..).unwrap_or_default())
                }
                Some(Err(place)) => (self.push(at, place, rest), b"".as_slice()),
                None => break,
            };
        }
        // The walk has been there.
        let node = &mut self.nodes[at as usize];
        if is_prefix { &mut node.prefix } else { &mut node.exact }
    }

    /// A new node below `parent`, at this place among its children.
    fn push(&mut self, parent: u32, place: usize, label: &[u8]) -> u32 {
        // Far fewer rules than that are kept.
        let at = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if let (Some(parent), Some(first)) = (self.nodes.get_mut(parent as usize), label.first()) {
            parent.children.insert(place, (*first, at));
        }
        self.nodes.push(Node { label: label.into(), ..Node::default() });
        at
    }

    /// Leaves in this node what its label has in common with the text, and the rest to a child; how much that is.
    fn split(&mut self, at: u32, text: &[u8]) -> usize {
        let below = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(at as usize) else { return text.len() };
        let common = node.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        let (Some(front), Some([first, ..])) = (node.label.get(..common), node.label.get(common..))
        else {
            return common;
        };
        let (front, first) = (front.into(), *first);
        let mut lower = std::mem::take(node);
        lower.label = lower.label.get(common..).unwrap_or_default().into();
        *node = Node { label: front, children: vec![(first, below)], ..Node::default() };
        self.nodes.push(lower);
        common
    }

    fn forget(&mut self, last: u64, forgotten: &mut impl FnMut(Mark)) {
        let old = std::mem::take(self);
        let mut left = vec![(0_u32, Vec::new())];
        while let Some((at, mut text)) = left.pop() {
            let Some(node) = old.node(at) else { continue };
            text.extend_from_slice(&node.label);
            for (mut mark, is_prefix) in [(node.exact, false), (node.prefix, true)] {
                let taken = mark.take_until(last);
                if !taken.is_empty() {
                    forgotten(taken);
                }
                if !mark.is_empty() {
                    *self.at(&text, is_prefix) = mark;
                }
            }
            left.extend(node.children.iter().map(|(_, child)| (*child, text.clone())));
        }
    }

    fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| node.exact.is_empty() && node.prefix.is_empty())
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Text<'_> {
        match text.split_once('?') {
            Some((path, query)) => Text::new(path.as_bytes(), Some(query.as_bytes())),
            None => Text::new(text.as_bytes(), None),
        }
    }

    /// A host, a text, whether it is a prefix, and the number.
    type Rules = Vec<(Option<String>, String, bool, u64)>;

    fn paths(rules: &Rules) -> Paths {
        let mut paths = Paths::default();
        for (host, text, is_prefix, number) in rules {
            paths.at(host.as_deref(), text.as_bytes(), *is_prefix).hard = *number;
        }
        paths
    }

    /// The same by asking each rule.
    fn naive(rules: &Rules, host: &str, text: &str) -> u64 {
        let concerns = |(of, pattern, is_prefix, _): &&(Option<String>, String, bool, u64)| {
            of.as_deref().is_none_or(|of| of == host)
                && if *is_prefix { text.starts_with(pattern.as_str()) } else { text == pattern }
        };
        // Of two rules for one target the later one stays.
        let mut newest = HashMap::new();
        for rule in rules.iter().filter(concerns) {
            newest.insert((&rule.0, &rule.1, rule.2), rule.3);
        }
        newest.into_values().max().unwrap_or_default()
    }

    fn some_text() -> impl Strategy<Value = String> {
        "/[ab/?]{0,7}".prop_map(|text| text)
    }

    fn some_rules() -> impl Strategy<Value = Rules> {
        let rule = (prop::option::of("[xy]"), some_text(), any::<bool>(), 1_u64..1_000);
        prop::collection::vec(rule, 0..40)
    }

    proptest! {
        #[test]
        fn a_descent_finds_what_asking_each_rule_finds(
            rules in some_rules(),
            asked in prop::collection::vec(("[xyz]", some_text()), 1..20),
            last in 0_u64..1_000,
        ) {
            let mut paths = paths(&rules);
            for (host, path) in &asked {
                prop_assert_eq!(
                    paths.find(host.as_bytes(), text(path)).hard, naive(&rules, host, path),
                );
            }
            let mut forgotten = Vec::new();
            paths.forget(last, &mut |mark| forgotten.push(mark.hard));
            let mut newest: HashMap<_, u64> = HashMap::new();
            for (host, text, is_prefix, number) in &rules {
                newest.insert((host, text, is_prefix), *number);
            }
            let mut expected: Vec<_> = newest.into_values().filter(|n| *n <= last).collect();
            forgotten.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(forgotten, expected);
            for (host, path) in &asked {
                let left = paths.find(host.as_bytes(), text(path)).hard;
                prop_assert!(left == 0 || left > last);
            }
        }
    }

    #[test]
    fn the_query_counts_as_part_of_the_path() {
        let rules = vec![
            (None, "/a?x=1".to_owned(), false, 1),
            (None, "/a?y".to_owned(), true, 2),
            (Some("x".to_owned()), "/a".to_owned(), false, 3),
        ];
        let paths = paths(&rules);
        let find = |host: &str, path| paths.find(host.as_bytes(), text(path)).hard;
        for (host, path, expected) in [
            ("x", "/a", 3),
            ("y", "/a", 0),
            ("y", "/a?x=1", 1),
            ("y", "/a?x=10", 0),
            ("y", "/a?y=10", 2),
            ("y", "/a?", 0),
            ("x", "/", 0),
        ] {
            assert_eq!(find(host, path), expected, "{host}{path}");
        }
    }
}
