//! Cache-Control (RFC 9111 section 5.2): parsed once into a struct.
//!
//! All lines count, names in any case. Where a sender contradicts itself or the syntax is broken, the most
//! restrictive reading wins: what forbids counts in any shape, what permits only in the right one.
use super::fields;
use http::{HeaderMap, HeaderName, header};
use std::time::Duration;

/// The names of fields that one `no-cache` or `private` may list before it counts for the whole response.
const MAX_FIELDS: usize = 64;

/// The directives of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// Section 5.2.2.1. What cannot be parsed is zero: already stale.
    pub(crate) max_age: Option<Duration>,
    /// Section 5.2.2.10.
    pub(crate) s_maxage: Option<Duration>,
    /// RFC 5861 section 3.
    pub(crate) stale_while_revalidate: Option<Duration>,
    /// RFC 5861 section 4.
    pub(crate) stale_if_error: Option<Duration>,
    /// Section 5.2.2.4.
    pub(crate) no_cache: Scope,
    /// Section 5.2.2.5.
    pub(crate) no_store: bool,
    /// Section 5.2.2.7.
    pub(crate) private: Scope,
    /// Section 5.2.2.2.
    pub(crate) must_revalidate: bool,
    /// Section 5.2.2.8.
    pub(crate) proxy_revalidate: bool,
    /// Section 5.2.2.9.
    pub(crate) public: bool,
    /// Section 5.2.2.3.
    pub(crate) must_understand: bool,
    /// `s-maxage` or `must-revalidate` is there in a shape that forbids, and permits nothing.
    pub(crate) permits_nothing: bool,
}

/// What `no-cache` and `private` are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The directive is not there.
    #[default]
    Absent,
    /// It lists these fields.
    Fields(Vec<HeaderName>),
    /// It is about the whole response.
    Whole,
}

impl Scope {
    fn add(&mut self, argument: Argument<'_>) {
        *self = match (std::mem::take(self), Self::of(argument)) {
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Absent, new) => new,
            (old, Self::Absent) => old,
            (Self::Fields(mut old), Self::Fields(new)) => {
                old.extend(new);
                if old.len() > MAX_FIELDS { Self::Whole } else { Self::Fields(old) }
            }
        };
    }

    /// A list that names nothing, or something that is no field name, is about everything.
    fn of(argument: Argument<'_>) -> Self {
        let Some(text) = argument.text() else { return Self::Whole };
        let names: Option<Vec<_>> =
            fields::members(&text).map(|name| HeaderName::from_bytes(name).ok()).collect();
        match names {
            Some(names) if !names.is_empty() && names.len() <= MAX_FIELDS => Self::Fields(names),
            _ => Self::Whole,
        }
    }
}

impl Directives {
    /// The names that mean something here; all others are ignored (section 5.2.3).
    pub(crate) const KNOWN: [&str; 11] = [
        "max-age",
        "s-maxage",
        "stale-while-revalidate",
        "stale-if-error",
        "no-cache",
        "private",
        "no-store",
        "must-revalidate",
        "proxy-revalidate",
        "public",
        "must-understand",
    ];

    /// Those whose argument is a number.
    pub(crate) const NUMBERS: [&str; 4] =
        ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

    /// Of the `Cache-Control` field; `Pragma: no-cache` is not defined for responses (section 5.4).
    pub(crate) fn of_response(headers: &HeaderMap) -> Self {
        Self::of_field(headers, &header::CACHE_CONTROL)
    }

    /// Of another field with the same syntax.
    pub(crate) fn of_field(headers: &HeaderMap, name: &HeaderName) -> Self {
        let mut found = Self::default();
        for directive in directives(headers, name) {
            found.add(&directive);
        }
        found
    }

    /// Forbids storing if the other one does.
    pub(crate) fn forbid_what(&mut self, other: &Self) {
        self.no_store |= other.no_store;
        if other.private != Scope::Absent {
            self.private = Scope::Whole;
        }
    }

    pub(crate) fn add(&mut self, directive: &Directive<'_>) {
        let argument = directive.argument;
        // Only what is written right may permit something.
        let flag = directive.sound && argument == Argument::None;
        match_name!(directive.name, {
            "max-age" => shortest(&mut self.max_age, directive.seconds()),
            "s-maxage" => {
                shortest(&mut self.s_maxage, directive.seconds());
                self.permits_nothing |= directive.parsed().is_none();
            },
            "stale-while-revalidate" => shortest(&mut self.stale_while_revalidate, directive.seconds()),
            "stale-if-error" => shortest(&mut self.stale_if_error, directive.seconds()),
            "no-cache" => self.no_cache.add(argument),
            "private" => self.private.add(argument),
            "no-store" => self.no_store = true,
            "must-revalidate" => {
                self.must_revalidate = true;
                self.permits_nothing |= !flag;
            },
            "proxy-revalidate" => self.proxy_revalidate = true,
            "public" => self.public |= flag,
            "must-understand" => self.must_understand |= flag,
        });
    }

    /// The fields that may not be reused without validation, or by anyone but the one who asked
    /// (sections 5.2.2.4 and 5.2.2.7).
    pub(crate) fn withheld_fields(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.no_cache, &self.private].into_iter().flat_map(|scope| match scope {
            Scope::Fields(names) => names.as_slice(),
            Scope::Absent | Scope::Whole => &[],
        })
    }
}

/// The directives of a request (section 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    pub(crate) max_age: Option<Duration>,
    /// `Some(None)` is any staleness.
    pub(crate) max_stale: Option<Option<Duration>>,
    pub(crate) min_fresh: Option<Duration>,
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
}

impl RequestDirectives {
    /// Of `Cache-Control`, or of `Pragma` where that is absent (section 5.4).
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for directive in directives(headers, &header::CACHE_CONTROL) {
            match_name!(directive.name, {
                "max-age" => shortest(&mut found.max_age, directive.seconds()),
                "min-fresh" => {
                    // The longest asked for, and for ever if it cannot be read.
                    let asked = directive.parsed().unwrap_or(Duration::from_secs(fields::MAX_DELTA));
                    found.min_fresh = found.min_fresh.max(Some(asked));
                },
                "max-stale" => match (directive.argument, directive.parsed()) {
                    (Argument::None, _) if directive.sound => {
                        found.max_stale = found.max_stale.or(Some(None));
                    }
                    (_, Some(limit)) => {
                        let before = found.max_stale.flatten();
                        found.max_stale = Some(Some(before.map_or(limit, |b| b.min(limit))));
                    }
                    _ => found.max_stale = Some(Some(Duration::ZERO)),
                },
                "no-cache" => found.no_cache = true,
                "no-store" => found.no_store = true,
                "only-if-cached" => found.only_if_cached = true,
            });
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            found.no_cache = fields::list(headers, &header::PRAGMA)
                .any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        found
    }
}

/// `name [= argument]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directive<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) argument: Argument<'a>,
    /// False where something stands in the member that the grammar does not know.
    pub(crate) sound: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    None,
    /// As it was sent: a token or a quoted string, or neither.
    Raw(&'a [u8]),
    /// What it says, of a string without its quotes.
    Plain(&'a [u8]),
}

impl Argument<'_> {
    fn text(self) -> Option<Vec<u8>> {
        match self {
            Self::None => None,
            Self::Raw(raw) => Some(fields::unquote(raw).unwrap_or_else(|| raw.to_vec())),
            Self::Plain(text) => Some(text.to_vec()),
        }
    }
}

impl<'a> Directive<'a> {
    fn parse(member: &'a [u8]) -> Self {
        let (name, rest) = member.split_at(fields::token_len(member));
        let trimmed = fields::trim(rest);
        let (argument, sound) = match trimmed.split_first() {
            None => (Argument::None, true),
            // White space around "=" is not in the grammar.
            Some((b'=', raw)) => {
                let sound = rest.len() == trimmed.len() && fields::trim(raw).len() == raw.len();
                (Argument::Raw(fields::trim(raw)), sound)
            }
            Some(_) => (Argument::None, false),
        };
        Self { name, argument, sound }
    }

    /// Section 4.2.1: a number that cannot be read makes the response stale.
    fn seconds(&self) -> Duration {
        self.parsed().unwrap_or_default()
    }

    /// Token and quoted string are both accepted (section 5.2).
    fn parsed(&self) -> Option<Duration> {
        match self.argument {
            Argument::Raw(raw) if self.sound => {
                fields::delta_seconds(raw).or_else(|| fields::delta_seconds(&fields::unquote(raw)?))
            }
            Argument::Plain(text) if self.sound => fields::delta_seconds(text),
            _ => None,
        }
    }
}

fn directives<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Directive<'a>> + use<'a> {
    fields::list(headers, name).map(Directive::parse)
}

fn shortest(known: &mut Option<Duration>, new: Duration) {
    *known = Some(known.map_or(new, |known| known.min(new)));
}

/// A `match` on a name in any case, without a copy of it.
macro_rules! match_name {
    ($name:expr, { $($known:literal => $action:expr),+ $(,)? }) => {{
        let name: &[u8] = $name;
        $(if name.eq_ignore_ascii_case($known.as_bytes()) { $action } else)+ {}
    }};
}
use match_name;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (header::CACHE_CONTROL, line.parse().unwrap())).collect()
    }

    fn response(lines: &[&str]) -> Directives {
        Directives::of_response(&headers(lines))
    }

    const fn secs(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn s5_2_every_line_and_any_case_counts() {
        let d = response(&["MaX-aGe=60, PUBLIC", "s-MAXAGE=5", "Private"]);
        assert_eq!((d.max_age, d.s_maxage, d.public), (secs(60), secs(5), true));
        assert_eq!(d.private, Scope::Whole);
    }

    #[test]
    fn s5_2_both_forms_of_an_argument() {
        assert_eq!(response(&["max-age=\"60\""]).max_age, secs(60));
    }

    #[test]
    fn s5_2_a_quoted_string_hides_nothing_and_shows_nothing() {
        assert_eq!(response(&[r#"x="max-age=100", max-age=1"#]).max_age, secs(1));
        assert!(!response(&[r#"x="a, no-store, b""#]).no_store);
        assert!(response(&[r#"x="a, no-store"#]).no_store);
    }

    #[test]
    fn s4_2_1_the_shortest_of_several_and_zero_for_nonsense() {
        assert_eq!(response(&["max-age=100, max-age=7", "max-age=50"]).max_age, secs(7));
        for bad in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age =9", "max-age= 9"]
        {
            assert_eq!(response(&[bad]).max_age, secs(0), "{bad}");
        }
    }

    #[test]
    fn s5_2_2_what_forbids_counts_in_any_shape_and_what_permits_only_in_the_right_one() {
        for line in ["no-store=1", "no-store foo", "no-store=\"", ", no-store ,"] {
            assert!(response(&[line]).no_store, "{line}");
        }
        for line in ["public=1", "public foo", "public="] {
            assert!(!response(&[line]).public, "{line}");
        }
        for line in ["must-revalidate=0", "must-revalidate foo", "s-maxage", "s-maxage=-1"] {
            let said = response(&[line]);
            assert!(said.must_revalidate || said.s_maxage == secs(0), "{line}");
            assert!(said.permits_nothing, "{line}");
        }
        assert!(!response(&["must-revalidate, s-maxage=1"]).permits_nothing);
    }

    #[test]
    fn s5_2_2_4_qualified_no_cache_names_fields() {
        let d = response(&[r#"no-cache="Set-Cookie, X-A", private=X-B"#]);
        assert_eq!(d.withheld_fields().count(), 3);
        assert_eq!(response(&[r#"no-cache="a", no-cache"#]).no_cache, Scope::Whole);
        assert_eq!(response(&[r#"private="""#]).private, Scope::Whole);
        assert_eq!(response(&[r#"private="a b""#]).private, Scope::Whole);
    }

    #[test]
    fn s5_2_1_requests() {
        let of = |lines: &[&str]| RequestDirectives::of_request(&headers(lines));
        assert_eq!(of(&["max-stale"]).max_stale, Some(None));
        assert_eq!(of(&["max-stale, max-stale=5"]).max_stale, Some(secs(5)));
        assert_eq!(of(&["max-stale=x"]).max_stale, Some(secs(0)));
        assert_eq!(of(&["min-fresh=5, min-fresh=9"]).min_fresh, secs(9));
        assert!(of(&["only-if-cached"]).only_if_cached);
    }

    #[test]
    fn s5_4_pragma_counts_where_cache_control_is_absent() {
        let mut headers = HeaderMap::new();
        headers.insert(header::PRAGMA, "No-Cache, x".parse().unwrap());
        assert!(RequestDirectives::of_request(&headers).no_cache);
        headers.insert(header::CACHE_CONTROL, "max-age=1".parse().unwrap());
        assert!(!RequestDirectives::of_request(&headers).no_cache);
    }
}
