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
/// are hashed as text or as larger numbers, cost time and no more. A name with an empty place is about nothing, so all that are about something have to be listed.
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
            if let Some(place) = topics.get_mut(slot(&name)) {
                let topic = Topic::of(name.as_str());
                *place = Some((name, topic));
            }
        }
        Self(topics)
    }

    /// What is known of a name without a look at its text.
    #[inline]
    pub(super) fn place(&self, name: &HeaderName) -> Place {
        match self.0.get(slot(name)) {
            Some(None) => Place::Empty,
            Some(Some((of, topic))) if of == name => Place::Of(*topic),
            _ => Place::Other,
        }
    }
}

/// What is found for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is about nothing.
    Empty,
    Of(Topic),
    /// To be told by its text, which may be longer than [`LONGEST`].
    Other,
}

impl Topic {
    /// By the first letter, since most fields that are sent begin with another one.
    pub(super) fn of(name: &str) -> Self {
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
pub(super) const LONGEST: usize = 40;

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

/// Where a name that is hashed as a number has its place; none of the slots if it is not.
#[inline]
fn slot(name: &HeaderName) -> usize {
    let mut number = Number(0);
    name.hash(&mut number);
    number.0
}

/// The number that something is hashed as at last, or [`SLOTS`].
struct Number(usize);

impl Hasher for Number {
    #[inline]
    fn write(&mut self, _: &[u8]) {
        self.0 = SLOTS;
    }

    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.0 = number.unsigned_abs();
    }

    fn finish(&self) -> u64 {
        self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_the_name_says() {
        let topics = Topics::get();
        for name in KNOWN.into_iter().chain(influential::NAMES) {
            let topic = Topic::of(name);
            assert_ne!(topic, Topic::Nothing, "{name}");
            let place = topics.place(&HeaderName::from_static(name));
            assert!([Place::Of(topic), Place::Other].contains(&place), "{name}");
        }
        for name in ["accept", "age", "cookie", "if", "ranges", "sec-fetch-mode", "te", "x-a", "x"]
        {
            assert_eq!(Topic::of(name), Topic::Nothing, "{name}");
            let place = topics.place(&HeaderName::from_static(name));
            assert!([Place::Empty, Place::Other].contains(&place), "{name}");
        }
        assert_eq!(topics.place(&HeaderName::from_static("if-unknown")), Place::Other);
        assert_eq!(Topic::of("if-unknown"), Topic::Condition);
        assert_eq!(topics.place(&http::header::HOST), Place::Of(Topic::Host));
        assert_eq!(topics.place(&http::header::ACCEPT), Place::Empty);
    }
}
