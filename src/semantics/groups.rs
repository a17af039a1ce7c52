//! Cache groups (RFC 9875) and tags: which ones a response has, and which ones the answer to an unsafe request invalidates.
use super::fields;
use http::{HeaderMap, HeaderName};
use sfv::{
    BareItemFromInput, Parser,
    visitor::{
        EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
    },
};
use std::fmt;

pub(crate) const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
pub(crate) const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// Section 2 asks for 32 groups of 32 characters at least.
pub(crate) const MAX_GROUPS: usize = 50;
pub(crate) const MAX_NAME: usize = 256;

/// The groups and tags of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    /// There are more of them, or longer ones, than are kept: it counts as one that has any.
    pub(crate) any: bool,
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        if self.names.len() < MAX_GROUPS && name.len() <= MAX_NAME {
            self.names.push(name.to_owned());
        } else {
            self.any = true;
        }
    }
}

/// What `Cache-Groups` and these fields list: a tag is a group by another name.
pub(crate) fn of_response(headers: &HeaderMap, tag_fields: &[HeaderName]) -> Names {
    let mut names = Names::default();
    listed(headers, &CACHE_GROUPS).iter().for_each(|name| names.add(name));
    for field in tag_fields.iter().filter(|field| **field != CACHE_GROUPS) {
        for line in headers.get_all(field) {
            for tag in tags(field, line.as_bytes()) {
                match str::from_utf8(tag) {
                    Ok(tag) => names.add(tag),
                    Err(_) => names.any = true,
                }
            }
        }
    }
    names
}

/// The tags of a line: `Surrogate-Key`, and `xkey` after it, separates them by white space, `Cache-Tag` and others by commas.
fn tags<'a>(field: &HeaderName, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let by_space = matches!(field.as_str(), "surrogate-key" | "xkey");
    let ends = move |b: &u8| if by_space { matches!(*b, b' ' | b'\t') } else { *b == b',' };
    line.split(ends).map(fields::trim).filter(|tag| !tag.is_empty())
}

/// The groups that a field lists (sections 2 and 3): a list of strings, of which parameters are ignored. A field that is something else is ignored.
pub(crate) fn listed(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    if !headers.contains_key(name) {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    let value = lines.join(&b", "[..]);
    let mut groups = Groups(Vec::new());
    match Parser::new(&value).parse_list_with_visitor(&mut groups) {
        Ok(()) => groups.0,
        Err(_) => Vec::new(),
    }
}

struct Groups(Vec<String>);

struct Group<'v>(&'v mut Vec<String>);

#[derive(Debug)]
struct NotAString;

impl fmt::Display for NotAString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group is a string")
    }
}

impl std::error::Error for NotAString {}

impl<'de> ListVisitor<'de> for Groups {
    type Error = NotAString;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, NotAString> {
        Ok(Group(&mut self.0))
    }
}

impl<'de> ItemVisitor<'de> for Group<'_> {
    type Error = NotAString;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de>, NotAString> {
        let BareItemFromInput::String(name) = item else { return Err(NotAString) };
        self.0.push(name.as_str().to_owned());
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Group<'_> {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NotAString> {
        Err::<Ignored, _>(NotAString)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Vec<String> {
        let lines = lines.iter().map(|line| (CACHE_GROUPS, line.parse().unwrap()));
        listed(&lines.collect(), &CACHE_GROUPS)
    }

    #[test]
    fn rfc9875_s2_a_list_of_strings() {
        assert_eq!(of(&[r#""a", "b c";x=1"#, r#""A""#]), ["a", "b c", "A"]);
        assert_eq!(of(&[]), [""; 0]);
    }

    #[test]
    fn rfc9875_s2_at_least_32_groups_of_32_characters() {
        let names: Vec<String> = (0..32).map(|n| format!("{n:032}")).collect();
        let line = names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(of(&[&line]), names);
    }

    #[test]
    fn rfc9651_s4_2_a_field_that_is_no_list_of_strings_is_ignored() {
        for bad in ["a", "\"a\", 1", "(\"a\" \"b\")", "\"a", "\"a\",,\"b\"", "\"a\","] {
            assert_eq!(of(&[bad]), [""; 0], "{bad}");
        }
    }

    fn names(lines: &[(&'static str, &str)]) -> Names {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        let fields = ["surrogate-key", "cache-tag"].map(HeaderName::from_static);
        of_response(&lines.iter().map(line).collect(), &fields)
    }

    #[test]
    fn tags_are_groups_by_another_name() {
        let some = names(&[
            ("cache-groups", "\"a\", \"b\""),
            ("surrogate-key", " c  d,e\ta"),
            ("cache-tag", "f, g h ,,f"),
            ("cache-tag", "i"),
            ("x-tag", "j"),
        ]);
        assert_eq!(some.names, ["a", "b", "c", "d,e", "f", "g h", "i"]);
        assert!(!some.any);
        assert_eq!(names(&[("cache-tag", " ,")]), Names::default());
    }

    #[test]
    fn what_has_more_than_is_kept_has_any() {
        let many = (0..10_000).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        let (long, longest) = ("x".repeat(MAX_NAME + 1), "x".repeat(MAX_NAME));
        for (line, count, any) in [
            (("cache-groups", many.as_str()), MAX_GROUPS, true),
            (("cache-tag", &*vec!["a"; 60].join(",")), 1, false),
            (("surrogate-key", &*format!("a {long}")), 1, true),
            (("surrogate-key", &*format!("a {longest}")), 2, false),
        ] {
            let names = names(&[line]);
            assert_eq!((names.names.len(), names.any), (count, any), "{line:.40?}");
        }
    }

    #[test]
    fn tags_that_are_no_text_are_any() {
        let value = http::HeaderValue::from_bytes(b"a,\xff").unwrap();
        let headers = [(HeaderName::from_static("cache-tag"), value)].into_iter().collect();
        let names = of_response(&headers, &[HeaderName::from_static("cache-tag")]);
        assert_eq!((names.names.len(), names.any), (1, true));
    }
}
