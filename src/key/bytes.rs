//! The bytes of a key: short ones lie in place, so that the key of most requests is made, compared and dropped without an allocation; long ones are shared.
use bytes::Bytes;

/// Most keys of pages and their variants are shorter.
const IN_PLACE: usize = 94;

/// What is allocated for a long one beside its bytes.
const LONG_OVERHEAD: usize = 48;

#[derive(Clone)]
pub(super) enum KeyBytes {
    Short(Short),
    Long(Bytes),
}

#[derive(Clone)]
pub(super) struct Short {
    len: u8,
    bytes: [u8; IN_PLACE],
}

impl KeyBytes {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short(short) => short.as_slice(),
            Self::Long(bytes) => bytes,
        }
    }

    /// Bytes that do not lie in place.
    pub(super) fn elsewhere(&self) -> usize {
        match self {
            Self::Short(_) => 0,
            Self::Long(bytes) => bytes.len().saturating_add(LONG_OVERHEAD),
        }
    }
}

impl Short {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Makes it longer by so much, if that lies in place.
    #[inline]
    fn grow(&mut self, by: usize) -> Option<&mut [u8]> {
        let from = usize::from(self.len);
        let to = from.saturating_add(by);
        let grown = self.bytes.get_mut(from..to)?;
        // No more than there are.
        self.len = to as u8;
        Some(grown)
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

/// The bytes of a key that is being made, where they are to lie.
pub(super) struct Building {
    short: Short,
    /// All of it, once it is too long.
    long: Vec<u8>,
}

impl Default for Building {
    fn default() -> Self {
        Self { short: Short { len: 0, bytes: [0; IN_PLACE] }, long: Vec::new() }
    }
}

impl Building {
    pub(super) fn extend(&mut self, more: &[u8]) {
        if self.long.is_empty() {
            if let Some(place) = self.short.grow(more.len()) {
                place.copy_from_slice(more);
                return;
            }
            self.long.reserve(more.len().saturating_add(2 * IN_PLACE));
            self.long.extend_from_slice(self.short.as_slice());
        }
        self.long.extend_from_slice(more);
    }

    /// A tag, a length of one byte and a part, with one look at the room that is left. False, and nothing was done, if they do not lie in place.
    #[inline]
    pub(super) fn push_in_place(&mut self, tag: u8, part: &[u8]) -> bool {
        if !self.long.is_empty() {
            return false;
        }
        let Some([tag_at, length_at, place @ ..]) = self.short.grow(part.len().saturating_add(2))
        else {
            return false;
        };
        *tag_at = tag;
        // No longer than the place.
        *length_at = part.len() as u8;
        place.copy_from_slice(part);
        true
    }

    pub(super) fn len(&self) -> usize {
        if self.long.is_empty() { usize::from(self.short.len) } else { self.long.len() }
    }

    /// What was added since then, in small letters.
    pub(super) fn make_lowercase(&mut self, from: usize) {
        let Short { len, bytes } = &mut self.short;
        let all = match bytes.get_mut(..usize::from(*len)) {
            Some(short) if self.long.is_empty() => short,
            _ => &mut self.long,
        };
        if let Some(added) = all.get_mut(from..) {
            added.make_ascii_lowercase();
        }
    }

    #[inline]
    pub(super) fn finish(self) -> KeyBytes {
        if self.long.is_empty() {
            KeyBytes::Short(self.short)
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
                assert_eq!(matches!(made, KeyBytes::Short(_)), total <= IN_PLACE);
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
