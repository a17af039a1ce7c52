//! Cache groups (RFC 9875): which groups a response belongs to, and which ones the answer to an unsafe request invalidates.
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

/// Section 2 asks for 32 groups of 32 characters at least. What is beyond these limits is left out.
const MAX_GROUPS: usize = 50;
const MAX_NAME: usize = 256;

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
        let name = name.as_str();
        if self.0.len() < MAX_GROUPS && name.len() <= MAX_NAME && !self.0.iter().any(|g| g == name)
        {
            self.0.push(name.to_owned());
        }
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
        assert_eq!(of(&[r#""a", "a""#]), ["a"]);
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

    #[test]
    fn what_is_beyond_the_limits_is_left_out() {
        let many = (0..10_000).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(of(&[&many]).len(), MAX_GROUPS);
        assert_eq!(of(&[&format!("\"{}\", \"a\"", "x".repeat(257))]), ["a"]);
    }
}
