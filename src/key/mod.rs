//! The cache key (RFC 9111 section 2): what makes two requests ask for the same thing.
mod authority;
mod bytes;
mod changes;
mod hash;
mod host;
mod influential;
mod policy;
mod survey;
mod target;
mod topic;

pub(crate) use authority::canonical_host;
pub use policy::{Influential, KeyPolicy, Parameters};
pub(crate) use survey::Survey;
pub(crate) use target::NoKey;

use crate::semantics::selecting;
use ::bytes::Bytes;
use bytes::{Building, KeyBytes};
use http::{HeaderMap, HeaderName, header};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Under which a response is stored: canonical bytes in which every part has its tag and its length, so that no two
/// different requests make the same ones. Hashed once, compared in full, cheap to clone.
///
/// A [`Store`](crate::Store) may use it as the key of a map, or its [`as_bytes`](Self::as_bytes) where it keeps things elsewhere.
///
/// # Example: a key in a store of one's own
/// ```
/// use tower_cdn::CacheKey;
/// let a = CacheKey::from_bytes(b"anything".as_slice());
/// assert_eq!(a, CacheKey::from_bytes(a.as_bytes().to_vec()));
/// ```
#[derive(Clone)]
pub struct CacheKey {
    bytes: KeyBytes,
    hash: u64,
}

impl CacheKey {
    /// The key whose [`as_bytes`](Self::as_bytes) these are.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(KeyBytes::from(bytes.into()))
    }

    #[inline]
    fn new(bytes: KeyBytes) -> Self {
        Self { hash: hash::of(bytes.as_slice()), bytes }
    }

    /// All of it: keys are equal if and only if these are.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(self.bytes.elsewhere())
    }

    /// A hash of the bytes that differs from process to process.
    pub(crate) fn hash64(&self) -> u64 {
        self.hash
    }

    /// The key of one variant: the same URI, with the values of the nominated fields (RFC 9111 section 4.1).
    pub(crate) fn variant(
        &self,
        generation: u64,
        names: &[HeaderName],
        request: &HeaderMap,
    ) -> Self {
        self.selected(generation, names, request, None)
    }

    /// The same, with a language of the response in place of those that the request accepts. `None` if languages do not select.
    pub(crate) fn language_variant(
        &self,
        generation: u64,
        names: &[HeaderName],
        request: &HeaderMap,
        language: &[u8],
    ) -> Option<Self> {
        names
            .contains(&header::ACCEPT_LANGUAGE)
            .then(|| self.selected(generation, names, request, Some(language)))
    }

    /// A group of responses of this key's origin (RFC 9875 section 2.1).
    pub(crate) fn group(&self, name: &str) -> Self {
        let mut parts = Key::of(self.origin());
        parts.push(Tag::Group, name.as_bytes());
        parts.finish()
    }

    /// The key without what stands behind the query, if anything does: that of the URI alone.
    pub(crate) fn bare(&self) -> Option<Self> {
        let tags = [Tag::Scheme, Tag::Host, Tag::Port, Tag::Path, Tag::Query];
        let bare = self.parts_while(|tag| tags.iter().any(|known| tag == *known as u8));
        (bare.len() < self.as_bytes().len()).then(|| Key::of(bare).finish())
    }

    /// What it says of host, path and query, and of the group if it is one.
    pub(crate) fn target(&self) -> KeyTarget<'_> {
        let mut target = KeyTarget::default();
        let mut rest = self.as_bytes();
        while let Some((tag, behind)) = rest.split_first()
            && let Some((length, width)) = read_length(behind)
            && let Some((part, next)) =
                behind.get(width..).and_then(|behind| behind.split_at_checked(length))
        {
            match *tag {
                tag if tag == Tag::Host as u8 => target.host = part,
                tag if tag == Tag::Path as u8 => target.path = part,
                tag if tag == Tag::Query as u8 => target.query = Some(part),
                tag if tag == Tag::Group as u8 => target.group = Some(part),
                tag if tag == Tag::Scheme as u8 || tag == Tag::Port as u8 => {}
                _ => break,
            }
            rest = next;
        }
        target
    }

    /// The parts in front of the path: scheme, host and port.
    fn origin(&self) -> &[u8] {
        self.parts_while(|tag| tag != Tag::Path as u8)
    }

    fn parts_while(&self, is_wanted: impl Fn(u8) -> bool) -> &[u8] {
        let all = self.as_bytes();
        let mut end = 0_usize;
        while let Some(part) = all.get(end..)
            && let Some((tag, rest)) = part.split_first()
            && is_wanted(*tag)
            && let Some((length, width)) = read_length(rest)
        {
            end = end.saturating_add(1).saturating_add(width).saturating_add(length);
        }
        all.get(..end).unwrap_or_default()
    }

    fn selected(
        &self,
        generation: u64,
        names: &[HeaderName],
        request: &HeaderMap,
        language: Option<&[u8]>,
    ) -> Self {
        let mut parts = Key::of(self.as_bytes());
        parts.push(Tag::Generation, &generation.to_be_bytes());
        for name in names {
            let field = name.as_str().as_bytes();
            if let Some(language) = language.filter(|_| *name == header::ACCEPT_LANGUAGE) {
                parts.pair(Tag::Language, field, language);
                continue;
            }
            match selecting::normalised(name, request) {
                Some(value) => parts.pair(Tag::Nominated, field, &value),
                None => parts.push(Tag::Missing, field),
            }
        }
        parts.finish()
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({})", self.as_bytes().escape_ascii())
    }
}

/// Parts of a key, as they lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyTarget<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
    pub(crate) group: Option<&'a [u8]>,
}

/// What a part of a key is.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Scheme = b's',
    Host = b'h',
    Port = b'p',
    Path = b'/',
    Query = b'?',
    Field = b'f',
    Cookie = b'c',
    Generation = b'g',
    Nominated = b'n',
    Missing = b'm',
    Language = b'l',
    Group = b'G',
}

/// A key that is being made: parts, each with its tag and its length.
#[derive(Default)]
struct Key(Building);

impl Key {
    /// One that begins as another one.
    fn of(bytes: &[u8]) -> Self {
        let mut building = Building::default();
        building.extend(bytes);
        Self(building)
    }

    #[inline]
    fn push(&mut self, tag: Tag, part: &[u8]) {
        if !self.0.push_in_place(tag as u8, part) {
            self.0.extend(&[tag as u8]);
            self.length(part.len());
            self.0.extend(part);
        }
    }

    fn pair(&mut self, tag: Tag, name: &[u8], value: &[u8]) {
        self.push(tag, name);
        self.length(value.len());
        self.0.extend(value);
    }

    /// A length is one byte, or 255 and eight bytes: none can be taken for another.
    fn length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short < LONG => self.0.extend(&[short]),
            _ => {
                self.0.extend(&[LONG]);
                self.0.extend(&(length as u64).to_be_bytes());
            }
        }
    }

    #[inline]
    fn finish(self) -> CacheKey {
        CacheKey::new(self.0.finish())
    }
}

const LONG: u8 = 255;

/// A length, and how many bytes tell it.
fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.split_first()? {
        (&LONG, rest) => {
            let (length, _) = rest.split_first_chunk()?;
            Some((usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 9))
        }
        (short, _) => Some((usize::from(*short), 1)),
    }
}
