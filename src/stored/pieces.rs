//! Content in memory that is too long for one buffer: it lies in pieces, so that what one response leaves the next one can take, and none is copied to grow.
use super::Content;
use bytes::{Bytes, BytesMut};
use std::{collections::VecDeque, mem, ops::Range, sync::Arc};

/// The length of a piece that is copied; shorter content is one by itself.
pub(crate) const PIECE: usize = 1024 * 1024;

/// All of it. Clones share the pieces.
#[derive(Clone)]
pub(super) struct Pieces(Arc<[Piece]>);

struct Piece {
    bytes: Bytes,
    /// Where it ends in the content.
    end: u64,
}

impl Pieces {
    fn new(pieces: Vec<Bytes>) -> Self {
        let mut end = 0_u64;
        let piece = |bytes: Bytes| {
            end = end.saturating_add(bytes.len() as u64);
            Piece { bytes, end }
        };
        Self(pieces.into_iter().map(piece).collect())
    }

    pub(super) fn len(&self) -> u64 {
        self.0.last().map_or(0, |last| last.end)
    }

    /// Reads so many of its bytes.
    pub(super) fn read(&self, range: Range<u64>) -> Slices {
        Slices { pieces: self.clone(), left: range.start..range.end.min(self.len()) }
    }

    /// What one piece has of these bytes, from their first one on.
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let at = self.0.partition_point(|piece| piece.end <= range.start);
        let Piece { bytes, end } = self.0.get(at)?;
        let start = end.saturating_sub(bytes.len() as u64);
        let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        let (from, to) = (within(range.start), within(range.end).min(bytes.len()));
        (from < to).then(|| bytes.slice(from..to))
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
///
/// What arrives is copied, since it may be a small part of a larger buffer, which it would keep alive. But in long content large frames wait a little: once those
/// who have one too are done with it, its buffer can be looked at, and is kept as it is if there is hardly more in it.
pub(crate) struct Filling {
    full: Vec<Bytes>,
    last: BytesMut,
    /// Large frames, behind all else.
    waiting: VecDeque<Bytes>,
    /// Whether frames may wait: there is nothing to gain where all of them would wait until the end.
    may_wait: bool,
    each: usize,
    len: u64,
}

impl Filling {
    /// Into this buffer first, which is empty; what does not fit into a piece of the usual length goes into further ones. So many bytes will come, if that is known.
    pub(crate) fn into(buffer: BytesMut, expected: Option<u64>) -> Self {
        debug_assert!(buffer.is_empty());
        let may_wait = expected.is_none_or(|len| len > PIECE.saturating_mul(WAITING) as u64);
        let (full, waiting) = (Vec::new(), VecDeque::new());
        Self { full, last: buffer, waiting, may_wait, each: PIECE, len: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        self.len = self.len.saturating_add(data.len() as u64);
        if self.may_wait && data.len() >= self.each / LARGE {
            self.waiting.push_back(data);
            self.settle(self.each.saturating_mul(WAITING));
        } else {
            self.settle(0);
            self.copy(&data);
        }
    }

    /// So many bytes may wait.
    fn settle(&mut self, wait: usize) {
        let mut waiting = self.waiting.iter().map(Bytes::len).fold(0, usize::saturating_add);
        while waiting > wait
            && let Some(frame) = self.waiting.pop_front()
        {
            waiting = waiting.saturating_sub(frame.len());
            // What is no longer than a piece is to be one.
            let kept = if self.len > self.each as u64 { own_buffer(frame) } else { Err(frame) };
            match kept {
                Ok(piece) => {
                    self.close();
                    self.full.push(piece);
                }
                Err(frame) => self.copy(&frame),
            }
        }
    }

    fn copy(&mut self, mut data: &[u8]) {
        if self.last.capacity() == 0 && !self.full.is_empty() {
            self.last.reserve(self.piece());
        }
        loop {
            let room = self.piece().saturating_sub(self.last.len());
            let Some((fits, rest)) = data.split_at_checked(room) else { break };
            if rest.is_empty() {
                break;
            }
            self.last.extend_from_slice(fits);
            self.close();
            self.last.reserve(self.piece());
            data = rest;
        }
        self.last.extend_from_slice(data);
    }

    /// The length of the next piece. All but the first are a little shorter, so that the allocator's own few bytes do not take a page more.
    fn piece(&self) -> usize {
        let less = if self.full.is_empty() { 0 } else { self.each / 4096 };
        self.each.saturating_sub(less)
    }

    /// Nothing more is copied behind what was copied last.
    fn close(&mut self) {
        let last = mem::take(&mut self.last);
        if !last.is_empty() {
            self.full.push(of_its_size(last));
        }
    }

    /// What has come, in buffers of its size.
    pub(crate) fn finish(mut self) -> Content {
        self.settle(0);
        if self.full.is_empty() {
            return of_its_size(self.last).into();
        }
        self.close();
        Content::of_pieces(Pieces::new(self.full))
    }
}

/// A frame is large if a piece has room for no more than so many of its length: to keep fewer bytes as they are is not worth the wait.
const LARGE: usize = 8;

/// So many pieces may wait. By default a client may be four behind, who has what he has not read, and somewhat more is on its way to him.
const WAITING: usize = 6;

/// The buffer that a frame is all of, or nearly so, if nobody else has it.
fn own_buffer(frame: Bytes) -> Result<Bytes, Bytes> {
    // The whole buffer, with the frame at its beginning: how long it is shows only now.
    let mut buffer = Vec::from(frame.try_into_mut()?);
    if buffer.capacity().saturating_sub(buffer.len()) > buffer.len() / 16 {
        return Err(buffer.into());
    }
    buffer.shrink_to_fit();
    Ok(buffer.into())
}

/// What a buffer has, without the room behind it.
pub(crate) fn of_its_size(buffer: BytesMut) -> Bytes {
    let (len, capacity) = (buffer.len(), buffer.capacity());
    if len == capacity {
        return buffer.freeze();
    }
    // Some allocators take nothing back of a block that is half full.
    if capacity.saturating_sub(len) > len / 8 {
        return Bytes::copy_from_slice(&buffer);
    }
    let mut bytes = Vec::from(buffer);
    bytes.shrink_to_fit();
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body::Body;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn gathered(each: usize, data: impl IntoIterator<Item = Bytes>) -> Content {
        let mut filling = Filling { each, ..Filling::into(BytesMut::new(), None) };
        let mut len = 0;
        for data in data {
            len += data.len() as u64;
            filling.push(data);
        }
        assert_eq!(filling.len(), len);
        filling.finish()
    }

    fn frames(content: &Content) -> Vec<Bytes> {
        let mut body = content.read();
        let frames = std::iter::from_fn(|| body.frame().now_or_never().unwrap());
        frames.map(|frame| frame.unwrap().into_data().unwrap()).collect()
    }

    /// A frame with so much before and behind it in its buffer.
    fn cut(data: &[u8], before: usize, behind: usize) -> Bytes {
        let buffer = [&vec![0; before], data, &vec![0; behind]].concat();
        Bytes::from(buffer).slice(before..before + data.len())
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_whole_and_in_part(
            each in 1_usize..20,
            data in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), 0_usize..4, 0_usize..4, any::<bool>()), 0..12),
            (start, end) in (0_u64..130, 0_u64..130),
        ) {
            let whole = data.iter().flat_map(|(data, ..)| data.clone()).collect::<Vec<_>>();
            // Some are still with others.
            let mut held = Vec::new();
            let data = data.iter().map(|(data, before, behind, is_held)| {
                let frame = cut(data, *before, *behind);
                held.extend(is_held.then(|| frame.clone()));
                frame
            });
            let content = gathered(each, data);
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
        let abc = || gathered(2, [Bytes::from_static(b"abc")]);
        let mut body = abc().read();
        let mut frame =
            || body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame(), frame()), ("ab".into(), "c".into()));
        assert!(body.is_end_stream());
        assert!(abc().read_range(3..9).is_end_stream());
    }

    #[test]
    fn a_large_frame_is_kept_as_it_is_once_nobody_else_has_it() {
        let places = |frames: &[Bytes]| frames.iter().map(|b| b.as_ptr()).collect::<Vec<_>>();
        let large = || (0..9).map(|number| Bytes::from(vec![number; 16])).collect::<Vec<_>>();
        let frames_of_one = large();
        let before = places(&frames_of_one);
        assert_eq!(places(&frames(&gathered(16, frames_of_one))), before, "nothing was copied");

        // Six may wait until all others are done with them.
        let frames_of_two = large();
        let before = places(&frames_of_two);
        let mut filling = Filling { each: 16, ..Filling::into(BytesMut::new(), None) };
        frames_of_two.iter().for_each(|frame| filling.push(frame.clone()));
        drop(frames_of_two);
        let after = places(&frames(&filling.finish()));
        assert_eq!(after[3..], before[3..], "kept");
        assert!(after[..3].iter().all(|place| !before[..3].contains(place)), "copied");
    }

    #[test]
    fn a_frame_that_is_a_part_of_a_larger_buffer_is_copied() {
        // What is in front of it and behind it, in that buffer; of the last one it is nearly all.
        for (before, behind) in [(0, 3), (3, 0), (2, 2), (1000, 0), (1, 0)] {
            let content = gathered(16, (0..9).map(|number| cut(&[number; 16], before, behind)));
            let frames = frames(&content);
            drop(content);
            for frame in frames {
                let buffer = Vec::from(frame.try_into_mut().expect("nobody else has it"));
                assert_eq!((buffer.len(), buffer.capacity()), (16, 16), "{before}, {behind}");
            }
        }
    }

    #[test]
    fn small_frames_and_what_is_no_longer_than_a_piece_come_into_one_buffer() {
        let small = (0..24).map(|number| Bytes::from(vec![number; 1]));
        assert_eq!(
            frames(&gathered(16, small)).iter().map(Bytes::len).collect::<Vec<_>>(),
            [16, 8]
        );
        let whole = gathered(16, [Bytes::from(vec![1; 8]), Bytes::from(vec![2; 8])]);
        assert_eq!(whole.as_bytes().unwrap(), &[[1; 8], [2; 8]].concat());
    }

    #[test]
    fn what_is_short_enough_to_wait_as_a_whole_is_copied_at_once() {
        for (expected, wait) in
            [(Some(6 * PIECE as u64), 0), (Some(6 * PIECE as u64 + 1), 1), (None, 1)]
        {
            let mut filling = Filling::into(BytesMut::new(), expected);
            filling.push(Bytes::from(vec![0; PIECE]));
            assert_eq!(filling.waiting.len(), wait, "{expected:?}");
        }
    }
}
