//! What the targets share: readers of the input, and a bound on work.
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

/// The input, read piece by piece; where nothing is left there are zeros and empty texts.
#[derive(Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// Mostly small, sometimes any.
    pub fn small(&mut self) -> u64 {
        match self.byte() {
            255 => self.number(),
            254 => u64::MAX,
            small => small.into(),
        }
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        array[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        array
    }

    /// Up to the next line break, which is taken as well.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|b| *b == b'\n').unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        line
    }

    /// A line, as far as it is text.
    pub fn text(&mut self) -> &'a str {
        let line = self.line();
        std::str::from_utf8(line).unwrap_or_else(|error| {
            std::str::from_utf8(&line[..error.valid_up_to()]).expect("text")
        })
    }

    /// Fields as lines `name: value`, up to an empty line.
    pub fn fields(&mut self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        while let line = self.line()
            && !line.is_empty()
        {
            field(&mut fields, line);
        }
        fields
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Adds `name: value`, if it is one.
pub fn field(fields: &mut HeaderMap, line: &[u8]) {
    let mut parts = line.splitn(2, |b| *b == b':');
    if let Some((name, value)) = parts.next().zip(parts.next())
        && let Ok(name) = HeaderName::from_bytes(name)
    {
        append(fields, &name, value.strip_prefix(b" ").unwrap_or(value));
    }
}

/// Adds a line of a field, if it can be its value; tells whether it can.
pub fn append(fields: &mut HeaderMap, name: &HeaderName, value: &[u8]) -> bool {
    HeaderValue::from_bytes(value).is_ok_and(|value| fields.try_append(name, value).is_ok())
}

/// The lines of one field; those that cannot be values are left out.
pub fn lines<'a>(name: &HeaderName, values: impl IntoIterator<Item = &'a [u8]>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for value in values {
        append(&mut fields, name, value);
    }
    fields
}

/// The values of a field, as bytes.
pub fn values<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    fields.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// The members of a line, the empty ones as well: a comma separates if it stands in no quoted string that closes. Written down without a thought of the work.
pub fn naive_members(line: &[u8]) -> Vec<&[u8]> {
    let (mut members, mut start, mut at) = (Vec::new(), 0, 0);
    while at < line.len() {
        if line[at] == b',' {
            members.push(&line[start..at]);
            start = at + 1;
        } else if line[at] == b'"'
            && let Some(length) = naive_closing(&line[at + 1..])
        {
            at += length + 1;
        }
        at += 1;
    }
    members.push(&line[start..]);
    members.into_iter().map(naive_trim).collect()
}

/// Where the quoted string closes behind whose opening quote this stands.
pub fn naive_closing(behind: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    behind.iter().position(|byte| {
        let closes = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        closes
    })
}

/// Without optional white space at its ends.
pub fn naive_trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Work on the piece, again and again behind itself, must not grow faster than the text: of 32 KiB each byte gets six
/// microseconds, which is a lot, and nothing whose work grows with the square comes by with it. One of 64 pieces is tried.
pub fn linear(piece: &[u8], work: impl Fn(&[u8])) {
    const LENGTH: usize = 32 * 1024;
    let mut hasher = DefaultHasher::new();
    piece.hash(&mut hasher);
    if piece.is_empty() || !hasher.finish().is_multiple_of(64) {
        return;
    }
    let text: Vec<u8> = piece.iter().copied().cycle().take(LENGTH).collect();
    let took = |_: u32| {
        #[expect(clippy::disallowed_methods, reason = "work is measured in real time")]
        let start = Instant::now();
        work(&text);
        start.elapsed()
    };
    // The machine may be busy with something else.
    let least = (0..3).map(took).find(|took| *took < LIMIT);
    assert!(least.is_some(), "more than {LIMIT:?} for {LENGTH} bytes");
}

const LIMIT: Duration = Duration::from_millis(200);
