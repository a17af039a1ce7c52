//! A row of the index: all that is stored of a response but the content of a large one. Sealed with a checksum; what is damaged is no row.
//!
//! ```text
//! checksum u64 | commit u64 | session u32 | file u64 | part u32 | length u64 | key | head | trailers | content, if it has no file
//! ```
//! Numbers are big-endian; key, head and the parts of trailers have their length in front, as u32.
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A response, as its row tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) header: Header,
    pub(super) key: Bytes,
    /// The record of its head.
    pub(super) head: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// Content that has no file.
    pub(super) content: Bytes,
}

/// What every row begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The commit that wrote the row.
    pub(super) commit: u64,
    /// The file with the content, if it has one.
    pub(super) file: Option<File>,
    /// The length of the content.
    pub(super) len: u64,
}

/// A file of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) id: FileId,
    /// The size of a part, its checksum included.
    pub(super) part: u32,
}

/// The name of a file: the opening of the store that wrote it, and a number drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    pub(super) session: u32,
    pub(super) number: u64,
}

const HEADER: usize = 40;

impl Header {
    /// Reads it without looking at the checksum.
    pub(super) fn peek(row: &[u8]) -> Option<Self> {
        let mut input = row.get(8..HEADER)?;
        let (commit, session, number, part, len) = (
            input.try_get_u64().ok()?,
            input.try_get_u32().ok()?,
            input.try_get_u64().ok()?,
            input.try_get_u32().ok()?,
            input.try_get_u64().ok()?,
        );
        let file = (part != 0).then_some(File { id: FileId { session, number }, part });
        Some(Self { commit, file, len })
    }
}

impl Row {
    /// Not sealed yet: the commit that writes it does that.
    pub(super) fn encode(&self) -> Vec<u8> {
        let trailers = self.trailers.as_ref().map_or(0, HeaderMap::len);
        let size = HEADER
            .saturating_add(self.key.len())
            .saturating_add(self.head.len())
            .saturating_add(self.content.len())
            .saturating_add(12)
            .saturating_add(trailers.saturating_mul(64));
        let mut out = Vec::with_capacity(size);
        out.extend([0; 16]);
        let (id, part) = self
            .header
            .file
            .map_or((FileId { session: 0, number: 0 }, 0), |file| (file.id, file.part));
        out.extend(id.session.to_be_bytes());
        out.extend(id.number.to_be_bytes());
        out.extend(part.to_be_bytes());
        out.extend(self.header.len.to_be_bytes());
        put(&mut out, &self.key);
        put(&mut out, &self.head);
        out.extend(u32::try_from(trailers).unwrap_or(u32::MAX).to_be_bytes());
        for (name, value) in self.trailers.iter().flatten_pairs() {
            put(&mut out, name.as_str().as_bytes());
            put(&mut out, value.as_bytes());
        }
        out.extend_from_slice(&self.content);
        out
    }

    /// Reads what [`seal`] has sealed under the same key and seed.
    pub(super) fn decode(row: &Bytes, seed: u64) -> Option<Self> {
        let header = Header::peek(row)?;
        if checksum(row, seed)?.to_be_bytes() != *row.get(..8)? {
            return None;
        }
        let mut input = row.slice(HEADER..);
        let (key, head) = (take(&mut input)?, take(&mut input)?);
        let mut trailers = HeaderMap::new();
        for _ in 0..input.try_get_u32().ok()? {
            let name = HeaderName::from_bytes(&take(&mut input)?).ok()?;
            let value = HeaderValue::from_maybe_shared(take(&mut input)?).ok()?;
            trailers.try_append(name, value).ok()?;
        }
        if header.file.is_none() && header.len != input.len() as u64 {
            return None;
        }
        let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
        Some(Self { header, key, head, trailers, content: input })
    }
}

/// Completes a row with the number of its commit and its checksum.
pub(super) fn seal(row: &mut [u8], commit: u64, seed: u64) {
    if let Some(place) = row.get_mut(8..16) {
        place.copy_from_slice(&commit.to_be_bytes());
    }
    let sum = checksum(row, seed).unwrap_or_default();
    if let Some(place) = row.get_mut(..8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// Of all of a row, also of a damaged one.
pub(super) fn checksum_of(row: &[u8]) -> u64 {
    xxh3_64_with_seed(row, 0)
}

fn checksum(row: &[u8], seed: u64) -> Option<u64> {
    row.get(8..).map(|rest| xxh3_64_with_seed(rest, seed))
}

/// Lengths fit: nothing here comes near four thousand million bytes. If one did, the row would be refused when read.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take(input: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(input.try_get_u32().ok()?).ok()?;
    (len <= input.len()).then(|| input.split_to(len))
}

/// All fields of a map that may not be there.
trait Pairs<'a> {
    fn flatten_pairs(self) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>;
}

impl<'a, I: Iterator<Item = &'a HeaderMap>> Pairs<'a> for I {
    fn flatten_pairs(self) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        self.flat_map(HeaderMap::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn row()(
            commit: u64,
            file in prop::option::of((any::<u32>(), any::<u64>(), 1_u32..)),
            len: u64,
            key in prop::collection::vec(any::<u8>(), 0..40),
            head in prop::collection::vec(any::<u8>(), 0..40),
            trailers in prop::collection::vec(("[a-c]{1,3}", "[ -~]{0,8}"), 0..4),
            content in prop::collection::vec(any::<u8>(), 0..40),
        ) -> Row {
            let trailers: HeaderMap = trailers
                .iter()
                .map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap()))
                .collect();
            let file = file.map(|(session, number, part)| File { id: FileId { session, number }, part });
            let content = if file.is_some() { Vec::new() } else { content };
            let len = if file.is_some() { len } else { content.len() as u64 };
            Row {
                header: Header { commit, file, len },
                key: key.into(),
                head: head.into(),
                trailers: Some(trailers).filter(|t| !t.is_empty()),
                content: content.into(),
            }
        }
    }

    fn sealed(row: &Row, seed: u64) -> Vec<u8> {
        let mut bytes = row.encode();
        seal(&mut bytes, row.header.commit, seed);
        bytes
    }

    proptest! {
        #[test]
        fn a_row_survives(row in row(), seed: u64) {
            prop_assert_eq!(Row::decode(&sealed(&row, seed).into(), seed), Some(row));
        }

        #[test]
        fn err_a_damaged_row_is_no_row(
            row in row(), seed: u64, at: prop::sample::Index, bit in 0_u8..8, cut: prop::sample::Index,
        ) {
            let whole = sealed(&row, seed);
            let mut flipped = whole.clone();
            flipped[at.index(whole.len())] ^= 1 << bit;
            prop_assert_eq!(Row::decode(&flipped.into(), seed), None);
            let cut = whole[..cut.index(whole.len())].to_vec();
            prop_assert_eq!(Row::decode(&cut.into(), seed), None);
            prop_assert_eq!(Row::decode(&whole.into(), !seed), None, "nor one of another place");
        }

        #[test]
        fn err_noise(noise in prop::collection::vec(any::<u8>(), 0..200), seed: u64) {
            let _ = Header::peek(&noise);
            let mut noise = noise;
            let _ = Row::decode(&noise.clone().into(), seed);
            seal(&mut noise, 1, seed);
            let _ = Row::decode(&noise.into(), seed);
        }
    }
}
