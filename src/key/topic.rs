//! What a request field is about, told by its name.
use super::influential;
use http::HeaderName;
use std::{
    hash::{Hash, Hasher},
    sync::LazyLock,
};

/// What the way of a request through the cache may have to do with one of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Nothing,
    /// `Cache-Control` or `Pragma`.
    Directives,
    /// A precondition, `Range` or `If-Range`.
    Condition,
    CdnLoop,
    Connection,
    ContentLength,
    ContentType,
    Host,
    /// One of the fields of [`Influential`](super::Influential).
    Influential,
    TransferEncoding,
    Upgrade,
}

/// Names that the crate `http` knows are hashed as numbers, and found here by them: a third of what comparing texts costs. Two names in one place, or names that
/// are hashed as text, would cost time and no more. A name with an empty place is about nothing, so all that are about something have to be listed.
pub(super) struct Topics([Option<(HeaderName, Topic)>; SLOTS]);

impl Topics {
    pub(super) fn get() -> &'static Self {
        static TOPICS: LazyLock<Topics> = LazyLock::new(Topics::new);
        &TOPICS
    }

    fn new() -> Self {
        let mut topics = [const { None }; SLOTS];
        for name in KNOWN.into_iter().chain(influential::NAMES) {
            let name = HeaderName::from_static(name);
            if let Some(place) = slot(&name).and_then(|slot| topics.get_mut(slot)) {
                let topic = Topic::of(name.as_str());
                *place = Some((name, topic));
            }
        }
        Self(topics)
    }

    /// And how long the name is at most, which costs nothing.
    #[inline]
    pub(super) fn of(&self, name: &HeaderName) -> (Topic, usize) {
        match slot(name).and_then(|slot| self.0.get(slot)) {
            Some(None) => (Topic::Nothing, LONGEST),
            Some(Some((of, topic))) if of == name => (*topic, LONGEST),
            _ => (Topic::of(name.as_str()), name.as_str().len()),
        }
    }
}

impl Topic {
    /// By the first letter, since most fields that are sent begin with another one.
    fn of(name: &str) -> Self {
        let is_influential = match name.as_bytes().first() {
            Some(b'c') => match name {
                "cache-control" => return Self::Directives,
                "cdn-loop" => return Self::CdnLoop,
                "connection" => return Self::Connection,
                "content-length" => return Self::ContentLength,
                "content-type" => return Self::ContentType,
                _ => false,
            },
            Some(b'i') if name.starts_with("if-") => return Self::Condition,
            Some(b't') if name == "transfer-encoding" => return Self::TransferEncoding,
            Some(b'u') if name == "upgrade" => return Self::Upgrade,
            Some(b'h') if name == "host" => return Self::Host,
            Some(b'p') if name == "pragma" => return Self::Directives,
            Some(b'r') if name == "range" => return Self::Condition,
            Some(b'b' | b'f' | b'h' | b'p' | b'r' | b'x') => influential::is_one(name),
            _ => false,
        };
        if is_influential { Self::Influential } else { Self::Nothing }
    }
}

const SLOTS: usize = 256;

/// No name that `http` knows is longer.
const LONGEST: usize = 40;

/// All that are about something, but for the influential ones.
const KNOWN: [&str; 15] = [
    "cache-control",
    "cdn-loop",
    "connection",
    "content-length",
    "content-type",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
    "transfer-encoding",
    "upgrade",
];

/// Where a name that is hashed as a number has its place.
#[inline]
fn slot(name: &HeaderName) -> Option<usize> {
    let mut number = Number(Some(0));
    name.hash(&mut number);
    number.0.map(|number| number % SLOTS)
}

/// The number that something is hashed as, if it is one.
struct Number(Option<usize>);

impl Hasher for Number {
    #[inline]
    fn write(&mut self, _: &[u8]) {
        self.0 = None;
    }

    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.0 = self.0.map(|_| number.unsigned_abs());
    }

    fn finish(&self) -> u64 {
        self.0.unwrap_or_default() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_the_name_says() {
        let topics = Topics::get();
        for name in KNOWN.into_iter().chain(influential::NAMES) {
            let topic = topics.of(&HeaderName::from_static(name)).0;
            assert_ne!(topic, Topic::Nothing, "{name}");
            assert_eq!(topic, Topic::of(name), "{name}");
        }
        for name in ["accept", "age", "cookie", "if", "ranges", "sec-fetch-mode", "te", "x-a", "x"]
        {
            assert_eq!(topics.of(&HeaderName::from_static(name)).0, Topic::Nothing, "{name}");
        }
        assert_eq!(topics.of(&HeaderName::from_static("if-unknown")).0, Topic::Condition);
    }
}
