//! The bytes of a key: short ones lie in place, so that the key of most requests is made, compared and dropped without an allocation; long ones are shared.
use bytes::Bytes;

/// Most keys of pages and their variants are shorter.
const IN_PLACE: usize = 94;

/// What is allocated for a long one beside its bytes.
const LONG_OVERHEAD: usize = 48;

#[derive(Clone)]
pub(super) enum KeyBytes {
    Short { len: u8, bytes: [u8; IN_PLACE] },
    Long(Bytes),
}

impl KeyBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }

    /// Bytes that do not lie in place.
    pub(super) fn elsewhere(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(bytes) => bytes.len().saturating_add(LONG_OVERHEAD),
        }
    }
}

impl From<Bytes> for KeyBytes {
    fn from(bytes: Bytes) -> Self {
        if bytes.len() > IN_PLACE {
            return Self::Long(bytes);
        }
        let mut short = Building::default();
        short.extend(&bytes);
        short.finish()
    }
}

/// The bytes of a key that is being made.
pub(super) struct Building {
    len: usize,
    short: [u8; IN_PLACE],
    /// All of it, once it is too long.
    long: Vec<u8>,
}

impl Default for Building {
    fn default() -> Self {
        Self { len: 0, short: [0; IN_PLACE], long: Vec::new() }
    }
}

impl Building {
    pub(super) fn extend(&mut self, more: &[u8]) {
        let end = self.len.saturating_add(more.len());
        if let Some(free) = self.short.get_mut(self.len..end) {
            free.copy_from_slice(more);
        } else {
            if self.long.is_empty() {
                self.long.reserve(end.saturating_add(IN_PLACE));
                self.long.extend_from_slice(self.short.get(..self.len).unwrap_or_default());
            }
            self.long.extend_from_slice(more);
        }
        self.len = end;
    }

    /// A tag, a length of less than 255 and a part, with one look at the room that is left.
    #[inline]
    pub(super) fn push_short(&mut self, tag: u8, length: u8, part: &[u8]) {
        let end = self.len.saturating_add(2).saturating_add(part.len());
        if let Some([tag_at, length_at, free @ ..]) = self.short.get_mut(self.len..end) {
            *tag_at = tag;
            *length_at = length;
            free.copy_from_slice(part);
            self.len = end;
        } else {
            self.extend(&[tag, length]);
            self.extend(part);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What was added since then, in small letters.
    pub(super) fn make_lowercase(&mut self, from: usize) {
        let all = if self.long.is_empty() { self.short.as_mut_slice() } else { &mut self.long };
        if let Some(added) = all.get_mut(from..self.len) {
            added.make_ascii_lowercase();
        }
    }

    pub(super) fn finish(self) -> KeyBytes {
        if self.long.is_empty() {
            let len = u8::try_from(self.len).unwrap_or_default();
            KeyBytes::Short { len, bytes: self.short }
        } else {
            KeyBytes::Long(Bytes::from(self.long.into_boxed_slice()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_ones_are_what_was_added() {
        for total in [0, 1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 1000] {
            for step in [1, 7, IN_PLACE, 999] {
                let all: Vec<u8> = (0..total).map(|n| n as u8).collect();
                let mut building = Building::default();
                all.chunks(step).for_each(|part| building.extend(part));
                assert_eq!(building.len(), total);
                let made = building.finish();
                assert_eq!(made.as_slice(), all, "{total} by {step}");
                assert_eq!(matches!(made, KeyBytes::Short { .. }), total <= IN_PLACE);
                assert_eq!(KeyBytes::from(Bytes::from(all.clone())).as_slice(), all);
            }
        }
    }

    #[test]
    fn small_letters() {
        for before in [0, 90, 200] {
            let mut building = Building::default();
            building.extend(&vec![b'A'; before]);
            building.extend(b"Host");
            building.make_lowercase(before);
            assert!(building.finish().as_slice().ends_with(b"host"));
        }
    }
}
