//! Content in memory that is too long for one buffer: pieces of one length, so that what one response leaves the next one can take, and none is copied to grow.
use super::Content;
use bytes::{Bytes, BytesMut};
use std::{ops::Range, sync::Arc};

/// The length of a piece; shorter content is one by itself.
pub(crate) const PIECE: usize = 1024 * 1024;

/// All of it. Clones share the pieces.
#[derive(Clone)]
pub(super) struct Pieces(Arc<Inner>);

struct Inner {
    /// All but the last are of the same length.
    pieces: Vec<Bytes>,
    each: usize,
    len: u64,
}

impl Pieces {
    fn new(pieces: Vec<Bytes>, each: usize) -> Self {
        let len = pieces.iter().map(|piece| piece.len() as u64).fold(0, u64::saturating_add);
        Self(Arc::new(Inner { pieces, each, len }))
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len
    }

    /// Reads so many of its bytes.
    pub(super) fn read(&self, range: Range<u64>) -> Slices {
        Slices { pieces: self.clone(), left: range.start..range.end.min(self.len()) }
    }

    /// What one piece has of these bytes, from their first one on.
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let each = self.0.each as u64;
        let piece = usize::try_from(range.start.checked_div(each)?).ok()?;
        let piece = self.0.pieces.get(piece)?;
        let start = usize::try_from(range.start.checked_rem(each)?).ok()?;
        let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let end = start.saturating_add(wanted).min(piece.len());
        (start < end).then(|| piece.slice(start..end))
    }
}

/// What is still to be read.
pub(super) struct Slices {
    pieces: Pieces,
    left: Range<u64>,
}

impl Slices {
    pub(super) fn len(&self) -> u64 {
        self.left.end.saturating_sub(self.left.start)
    }
}

impl Iterator for Slices {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let slice = self.pieces.slice(&self.left)?;
        self.left.start = self.left.start.saturating_add(slice.len() as u64);
        Some(slice)
    }
}

/// Content that is being read into memory.
pub(crate) struct Filling {
    full: Vec<Bytes>,
    last: BytesMut,
    each: usize,
    len: u64,
}

impl Filling {
    /// Into this buffer first, which is empty; what does not fit into a piece of the usual length goes into further ones.
    pub(crate) fn into(buffer: BytesMut) -> Self {
        debug_assert!(buffer.is_empty());
        Self { full: Vec::new(), last: buffer, each: PIECE, len: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn push(&mut self, mut data: &[u8]) {
        self.len = self.len.saturating_add(data.len() as u64);
        loop {
            let room = self.each.saturating_sub(self.last.len());
            let Some((fits, rest)) = data.split_at_checked(room) else { break };
            if rest.is_empty() {
                break;
            }
            self.last.extend_from_slice(fits);
            let next = BytesMut::with_capacity(self.each);
            self.full.push(of_its_size(std::mem::replace(&mut self.last, next)));
            data = rest;
        }
        self.last.extend_from_slice(data);
    }

    /// What has come, in buffers of its size.
    pub(crate) fn finish(mut self) -> Content {
        let last = of_its_size(self.last);
        if self.full.is_empty() {
            return last.into();
        }
        self.full.push(last);
        Content::of_pieces(Pieces::new(self.full, self.each))
    }
}

/// What a buffer has, without the room behind it.
pub(crate) fn of_its_size(buffer: BytesMut) -> Bytes {
    let room = buffer.capacity().saturating_sub(buffer.len());
    match room {
        0 => buffer.freeze(),
        // Some allocators take nothing back of a block that is half full.
        _ if room > buffer.len() / 8 => Bytes::copy_from_slice(&buffer),
        _ => {
            let mut bytes = Vec::from(buffer);
            bytes.shrink_to_fit();
            bytes.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body::Body;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn gathered(each: usize, data: &[Vec<u8>]) -> Content {
        let mut filling = Filling { each, ..Filling::into(BytesMut::new()) };
        data.iter().for_each(|data| filling.push(data));
        assert_eq!(filling.len(), data.iter().map(Vec::len).sum::<usize>() as u64);
        filling.finish()
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_whole_and_in_part(
            each in 1_usize..9,
            data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            (start, end) in (0_u64..130, 0_u64..130),
        ) {
            let content = gathered(each, &data);
            let whole = data.concat();
            prop_assert_eq!(content.len(), Some(whole.len() as u64));
            prop_assert_eq!(content.as_bytes().is_some(), whole.len() <= each);
            prop_assert!(content.is_in_memory());
            let all = content.read().collect().now_or_never().unwrap().unwrap().to_bytes();
            prop_assert_eq!(&all[..], &whole[..]);
            let body = content.read_range(start..end);
            let expected = whole.get(start as usize..(end as usize).min(whole.len()));
            let expected = expected.unwrap_or_default();
            prop_assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            let part = body.collect().now_or_never().unwrap().unwrap().to_bytes();
            prop_assert_eq!(&part[..], expected);
        }
    }

    #[test]
    fn a_body_knows_when_it_is_over() {
        let mut body = gathered(2, &[b"abc".to_vec()]).read();
        let mut frame =
            || body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame(), frame()), ("ab".into(), "c".into()));
        assert!(body.is_end_stream());
        assert!(gathered(2, &[b"abc".to_vec()]).read_range(3..9).is_end_stream());
    }
}
