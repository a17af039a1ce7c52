//! In which order responses go when room is needed: SIEVE. What was used since it was looked at last stays; of the rest the oldest goes.
//!
//! All that is kept in memory of a stored response is a place here: 32 bytes, and 17 in the map that finds it. With the room that both keep to grow that is at
//! most 103 bytes, and 135 while one of them grows.
use crate::store::Hashed;
use std::collections::HashMap;

/// What the disk holds, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Order {
    places: Vec<Place>,
    by_hash: HashMap<u64, u32, Hashed>,
    free: u32,
    newest: u32,
    oldest: u32,
    /// Where the last look ended; goes from the oldest to the newest.
    hand: u32,
    rows: u64,
    blocks: u64,
}

/// What is known of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The commit that wrote its row, as far as it fits.
    pub(super) commit: u32,
    /// Bytes of the row.
    pub(super) row: u32,
    /// Blocks of the file.
    pub(super) blocks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    stored: Stored,
    older: u32,
    newer: u32,
    used: bool,
}

/// No place: the list is shorter than this.
const NONE: u32 = 0;

impl Order {
    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Bytes of all rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Blocks of all files.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(super) fn get(&self, hash: u64) -> Option<Stored> {
        self.place(*self.by_hash.get(&hash)?).map(|place| place.stored)
    }

    /// It was asked for.
    pub(super) fn touch(&mut self, hash: u64) {
        if let Some(at) = self.by_hash.get(&hash).copied()
            && let Some(place) = self.place_mut(at)
        {
            place.used = true;
        }
    }

    /// As the newest.
    pub(super) fn insert(&mut self, hash: u64, stored: Stored) {
        self.remove(hash);
        let Some(at) = self.take_place() else { return };
        let newest = self.newest;
        if let Some(place) = self.place_mut(at) {
            *place = Place { hash, stored, older: newest, newer: NONE, used: false };
        }
        match self.place_mut(newest) {
            Some(place) => place.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
        self.by_hash.insert(hash, at);
        self.rows = self.rows.saturating_add(stored.row.into());
        self.blocks = self.blocks.saturating_add(stored.blocks.into());
    }

    /// In its place.
    pub(super) fn update(&mut self, hash: u64, stored: Stored) {
        let at = self.by_hash.get(&hash).copied();
        let Some(place) = at.and_then(|at| self.place_mut(at)) else {
            return self.insert(hash, stored);
        };
        let before = std::mem::replace(&mut place.stored, stored);
        self.forget(before);
        self.rows = self.rows.saturating_add(stored.row.into());
        self.blocks = self.blocks.saturating_add(stored.blocks.into());
    }

    pub(super) fn remove(&mut self, hash: u64) -> Option<Stored> {
        let at = self.by_hash.remove(&hash)?;
        let place = *self.place(at)?;
        if self.hand == at {
            self.hand = place.newer;
        }
        match self.place_mut(place.older) {
            Some(older) => older.newer = place.newer,
            None => self.oldest = place.newer,
        }
        match self.place_mut(place.newer) {
            Some(newer) => newer.older = place.older,
            None => self.newest = place.older,
        }
        let free = self.free;
        if let Some(place) = self.place_mut(at) {
            place.older = free;
        }
        self.free = at;
        self.forget(place.stored);
        Some(place.stored)
    }

    /// Takes out which one has to go.
    pub(super) fn evict(&mut self) -> Option<(u64, Stored)> {
        // Twice around: the first time may find all of them used.
        for _ in 0..=self.len().saturating_mul(2) {
            let at = if self.hand == NONE { self.oldest } else { self.hand };
            let place = self.place_mut(at)?;
            if place.used {
                place.used = false;
                self.hand = place.newer;
            } else {
                let hash = place.hash;
                return self.remove(hash).map(|stored| (hash, stored));
            }
        }
        None
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (u64, Stored)> {
        let oldest = self.place(self.oldest);
        let places = std::iter::successors(oldest, |place| self.place(place.newer));
        places.map(|place| (place.hash, place.stored))
    }

    /// Those that were used, for the next opening.
    pub(super) fn used(&self) -> impl Iterator<Item = u64> {
        let places = self.by_hash.values().filter_map(|at| self.place(*at));
        places.filter(|place| place.used).map(|place| place.hash)
    }

    fn forget(&mut self, stored: Stored) {
        self.rows = self.rows.saturating_sub(stored.row.into());
        self.blocks = self.blocks.saturating_sub(stored.blocks.into());
    }

    fn take_place(&mut self) -> Option<u32> {
        let free = self.free;
        if let Some(place) = self.place(free) {
            self.free = place.older;
            return Some(free);
        }
        let nothing = Stored { commit: 0, row: 0, blocks: 0 };
        self.places.push(Place { hash: 0, stored: nothing, older: 0, newer: 0, used: false });
        u32::try_from(self.places.len()).ok()
    }

    fn place(&self, at: u32) -> Option<&Place> {
        self.places.get(usize::try_from(at).ok()?.checked_sub(1)?)
    }

    fn place_mut(&mut self, at: u32) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(at).ok()?.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn stored(n: u32) -> Stored {
        Stored { commit: n, row: n, blocks: n / 2 }
    }

    #[test]
    fn what_is_used_stays() {
        let mut order = Order::default();
        for n in 0..4 {
            order.insert(n, stored(1));
        }
        order.touch(0);
        order.touch(2);
        let evicted: Vec<_> = std::iter::from_fn(|| order.evict()).map(|(hash, _)| hash).collect();
        assert_eq!(evicted, [1, 3, 0, 2]);
        assert_eq!((order.len(), order.rows(), order.blocks()), (0, 0, 0));
    }

    #[test]
    fn a_place_is_as_small_as_documented() {
        assert_eq!(size_of::<Place>(), 32);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            steps in prop::collection::vec((0_u8..5, 0_u64..20, any::<u16>()), 0..200),
        ) {
            let (mut order, mut map) = (Order::default(), BTreeMap::new());
            for (step, hash, n) in steps {
                match step {
                    0 => { order.insert(hash, stored(n.into())); map.insert(hash, stored(n.into())); }
                    1 => { order.update(hash, stored(n.into())); map.insert(hash, stored(n.into())); }
                    2 => prop_assert_eq!(order.remove(hash), map.remove(&hash)),
                    3 => order.touch(hash),
                    _ => match order.evict() {
                        Some((hash, stored)) => prop_assert_eq!(map.remove(&hash), Some(stored)),
                        None => prop_assert!(map.is_empty()),
                    },
                }
                prop_assert_eq!(order.len(), map.len());
                prop_assert_eq!(order.get(hash), map.get(&hash).copied());
                prop_assert_eq!(order.rows(), map.values().map(|s| u64::from(s.row)).sum::<u64>());
                prop_assert_eq!(order.blocks(), map.values().map(|s| u64::from(s.blocks)).sum::<u64>());
            }
        }
    }
}
