//! How much of the disk is taken, and when something has to go.
//!
//! Files count by their blocks, the index by its own. What is removed from the index makes room within it, not on the disk: rows count by what the index took
//! for each byte of them when it had to grow last. Where that leaves much of it empty, it is compacted.
use super::{file::BLOCK, order::Stored};

#[derive(Debug)]
pub(super) struct Room {
    /// What the index takes.
    index: u64,
    /// What it takes for a thousand bytes of rows when it grows.
    fill: u64,
    /// The same, when it was compacted.
    packed: u64,
    /// What it took, and the rows that it had, when it was compacted.
    compacted: (u64, u64),
}

/// What there is to store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) objects: u64,
    /// Bytes of rows.
    pub(super) rows: u64,
    /// Blocks of files.
    pub(super) blocks: u64,
}

impl Sums {
    pub(super) fn add(&mut self, stored: &Stored) {
        self.objects = self.objects.saturating_add(1);
        self.rows = self.rows.saturating_add(stored.row.into());
        self.blocks = self.blocks.saturating_add(stored.blocks.into());
    }

    pub(super) fn subtract(&mut self, stored: &Stored) {
        self.objects = self.objects.saturating_sub(1);
        self.rows = self.rows.saturating_sub(stored.row.into());
        self.blocks = self.blocks.saturating_sub(stored.blocks.into());
    }
}

/// As it begins, until it is known better.
const FILL: u64 = 1500;
/// Below this what the index takes says little.
const TELLING: u64 = 1 << 18;
/// The folders, and small files.
const FOLDERS: u64 = 36 * BLOCK;
/// In a folder, and in the list of what was used.
const NAME: u64 = 64;
/// This part of the capacity is worth a compaction.
const WORTH: u64 = 25;

impl Room {
    pub(super) fn new(index: u64) -> Self {
        Self { index, fill: FILL, packed: FILL, compacted: (0, u64::MAX) }
    }

    fn files(sums: &Sums) -> u64 {
        let names = sums.objects.saturating_mul(NAME).saturating_add(FOLDERS);
        sums.blocks.saturating_mul(BLOCK).saturating_add(names)
    }

    fn need(&self, sums: &Sums) -> u64 {
        (sums.rows / 1000).saturating_mul(self.fill)
    }

    /// Bytes on the disk.
    pub(super) fn usage(&self, sums: &Sums) -> u64 {
        Self::files(sums).saturating_add(self.index)
    }

    /// Has something to go? What the index does not need counts as well, up to where it is worth to compact it.
    pub(super) fn is_exceeded(&self, sums: &Sums, capacity: u64) -> bool {
        let need = self.need(sums);
        let index = self.index.min(need.saturating_add(capacity / WORTH)).max(need);
        Self::files(sums).saturating_add(index) > target(capacity)
    }

    /// Does the index keep from the files what it does not need? Not if that has just been tried.
    pub(super) fn is_wasted(&self, sums: &Sums, capacity: u64) -> bool {
        let (worth, (index, rows)) = (capacity / WORTH, self.compacted);
        let needed = (sums.rows / 1000).saturating_mul(self.packed.min(self.fill));
        self.usage(sums) > target(capacity)
            && self.index > needed.saturating_add(worth).max(TELLING)
            && (self.index > index.saturating_add(worth) || sums.rows < rows / 10 * 9)
    }

    /// The index takes so much with these rows.
    pub(super) fn learn(&mut self, index: u64, sums: &Sums) {
        if index > self.index {
            self.fill = fill(index, sums).unwrap_or(self.fill);
        }
        self.index = index;
    }

    /// It was compacted.
    pub(super) fn compacted(&mut self, index: u64, sums: &Sums) {
        self.fill = fill(index, sums).unwrap_or(self.fill);
        self.packed = self.fill;
        self.index = index;
        self.compacted = (index, sums.rows);
    }
}

fn fill(index: u64, sums: &Sums) -> Option<u64> {
    (sums.rows >= TELLING)
        .then(|| (index.saturating_mul(1000) / sums.rows.max(1)).clamp(1100, 8000))
}

/// What may be taken: a little is left for what commits take for a while.
pub(super) fn target(capacity: u64) -> u64 {
    capacity.saturating_sub(capacity / 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 1 << 30;

    #[test]
    fn rows_count_by_what_the_index_takes_for_them() {
        let mut room = Room::new(0);
        let sums = |rows, blocks| Sums { objects: 1, rows, blocks };
        assert!(!room.is_exceeded(&sums(600 << 20, 0), CAPACITY));
        room.learn(900 << 20, &sums(500 << 20, 0));
        assert!(room.is_exceeded(&sums(600 << 20, 0), CAPACITY), "it grew at 1.8 for each byte");
        assert!(!room.is_exceeded(&sums(500 << 20, 0), CAPACITY));
        let files = (150 << 20) / BLOCK;
        assert!(room.is_exceeded(&sums(450 << 20, files), CAPACITY), "it does not become smaller");
        assert!(!room.is_exceeded(&sums(400 << 20, files), CAPACITY), "it can be compacted");
        assert!(room.is_exceeded(&sums(0, CAPACITY / BLOCK), CAPACITY));
    }

    #[test]
    fn an_index_that_is_mostly_empty_is_wasted() {
        let mut room = Room::new(900 << 20);
        let sums = |rows, blocks| Sums { objects: 1, rows, blocks };
        assert!(!room.is_wasted(&sums(700 << 20, 0), CAPACITY));
        assert!(!room.is_wasted(&sums(100 << 20, 0), CAPACITY), "nobody else needs it");
        let full = sums(100 << 20, (500 << 20) / BLOCK);
        assert!(room.is_wasted(&full, CAPACITY));
        room.compacted(300 << 20, &full);
        assert!(!room.is_wasted(&full, CAPACITY), "it was tried");
        let more = (750 << 20) / BLOCK;
        assert!(room.is_wasted(&sums(50 << 20, more), CAPACITY), "and is worth it again");
    }
}
