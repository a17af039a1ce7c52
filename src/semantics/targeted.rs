//! Targeted cache control (RFC 9213): the field that speaks to this cache, if there is one.
use super::directives::{Argument, Directive, Directives};
use http::{HeaderMap, HeaderName};
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};
use std::convert::Infallible;

/// The directives that count for this cache, and whether `Expires` counts beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) directives: Directives,
    /// True if a field of the target list was chosen: `Cache-Control` and `Expires` are ignored then.
    pub(crate) targeted: bool,
}

/// Section 2.2: the first field of the target list with a valid value that is not empty, else
/// `Cache-Control`. What was meant by a field that is not valid nobody knows, but if it seems to forbid something, that is forbidden.
pub(crate) fn select(headers: &HeaderMap, targets: &[HeaderName]) -> Selected {
    let mut forbidding = Vec::new();
    let mut selected = None;
    for target in targets.iter().filter(|target| headers.contains_key(*target)) {
        selected = parse(headers, target);
        if selected.is_some() {
            break;
        }
        forbidding.push(Directives::of_field(headers, target));
    }
    let targeted = selected.is_some();
    let mut directives = selected.unwrap_or_else(|| Directives::of_response(headers));
    forbidding.iter().for_each(|invalid| directives.forbid_what(invalid));
    Selected { directives, targeted }
}

/// Section 2.1: a structured dictionary. `None` if it is invalid or empty.
fn parse(headers: &HeaderMap, name: &HeaderName) -> Option<Directives> {
    let mut value = Vec::new();
    for line in headers.get_all(name) {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(line.as_bytes());
    }
    let mut members = Members::default();
    Parser::new(&value).parse_dictionary_with_visitor(&mut members).ok()?;
    if members.empty {
        return None;
    }
    let mut directives = Directives::default();
    for (name, member) in &members.known {
        let argument = match member {
            Member::False => continue,
            Member::True => Argument::None,
            Member::Value(text) => Argument::Plain(text),
        };
        directives.add(&Directive { name: name.as_bytes(), argument, sound: true });
    }
    Some(directives)
}

/// The members that this cache knows; of several with one key the last (RFC 9651 section 3.2).
struct Members<'de> {
    known: Vec<(&'de str, Member)>,
    empty: bool,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self { known: Vec::new(), empty: true }
    }
}

enum Member {
    /// A directive without argument is a boolean.
    True,
    False,
    /// An integer, a token or a string; anything else gives a text that no directive accepts.
    Value(Vec<u8>),
}

impl<'de> DictionaryVisitor<'de> for Members<'de> {
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.empty = false;
        let key = key.as_str();
        if !Directives::KNOWN.contains(&key) {
            return Ok(None);
        }
        self.known.retain(|(known, _)| *known != key);
        Ok(Some(Entry { key, known: &mut self.known }))
    }
}

struct Entry<'de, 'v> {
    key: &'de str,
    known: &'v mut Vec<(&'de str, Member)>,
}

impl<'de> ItemVisitor<'de> for Entry<'de, '_> {
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de>, Infallible> {
        let member = match item {
            BareItemFromInput::Boolean(true) => Member::True,
            BareItemFromInput::Boolean(false) => Member::False,
            BareItemFromInput::Integer(n) => Member::Value(i64::from(n).to_string().into_bytes()),
            // Section 2.1: a number is an integer, and nothing else is taken for one.
            _ if Directives::NUMBERS.contains(&self.key) => Member::Value(Vec::new()),
            BareItemFromInput::Token(token) => Member::Value(token.as_str().into()),
            BareItemFromInput::String(text) => Member::Value(text.as_str().into()),
            _ => Member::Value(Vec::new()),
        };
        self.known.push((self.key, member));
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Entry<'de, '_> {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.known.push((self.key, Member::Value(Vec::new())));
        Ok(Ignored)
    }
}

/// The target list of a CDN (section 3.1).
pub(crate) fn cdn() -> Vec<HeaderName> {
    vec![HeaderName::from_static("cdn-cache-control")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::directives::Scope;
    use std::time::Duration;

    fn chosen(lines: &[(&str, &str)]) -> Selected {
        let headers = lines
            .iter()
            .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), v.parse().unwrap()))
            .collect();
        select(&headers, &cdn())
    }

    #[test]
    fn s2_2_the_targeted_field_replaces_cache_control() {
        let s = chosen(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")]);
        assert!(s.targeted && !s.directives.no_store);
        assert_eq!(s.directives.max_age, Some(Duration::from_secs(60)));
        let s =
            chosen(&[("cache-control", "max-age=60"), ("cdn-cache-control", "no-cache, private")]);
        assert_eq!((s.directives.no_cache, s.directives.private), (Scope::Whole, Scope::Whole));
    }

    #[test]
    fn s2_2_an_invalid_or_empty_field_counts_as_absent() {
        for bad in ["", "max-age=60, &&&", "max-age= 60", "Max-Age=60", "max-age=60,", "\u{e9}"] {
            let s = chosen(&[("cache-control", "no-store"), ("cdn-cache-control", bad)]);
            assert!(!s.targeted && s.directives.no_store, "{bad}");
        }
    }

    #[test]
    fn s2_1_types() {
        for (value, want) in [
            ("max-age=60", 60),
            ("max-age=\"60\"", 0),
            ("max-age=60.5", 0),
            ("max-age", 0),
            ("max-age=-1", 0),
        ] {
            let s = chosen(&[("cdn-cache-control", value)]);
            assert_eq!(s.directives.max_age, Some(Duration::from_secs(want)), "{value}");
        }
        assert!(!chosen(&[("cdn-cache-control", "no-store=?0")]).directives.no_store);
        let private = |value| chosen(&[("cdn-cache-control", value)]).directives.private;
        let names = [HeaderName::from_static("x-a")];
        assert_eq!(private("private=\"x-a\""), Scope::Fields(names.to_vec()));
        assert_eq!(private("private=\"\\\"x-a\\\"\""), Scope::Whole, "no name has quotes");
    }

    #[test]
    fn rfc9651_s3_2_of_one_key_the_last_counts_and_lines_are_one_field() {
        let s =
            chosen(&[("cdn-cache-control", "max-age=1, a"), ("cdn-cache-control", "max-age=9")]);
        assert_eq!(s.directives.max_age, Some(Duration::from_secs(9)));
    }
}
