//! Least recently used, exactly.
use crate::Policy;
use std::collections::{BTreeMap, HashMap};

pub(crate) struct Lru {
    capacity: u64,
    bytes: u64,
    clock: u64,
    /// When each item was used, and its bytes.
    items: HashMap<u32, (u64, u64)>,
    by_use: BTreeMap<u64, u32>,
}

impl Lru {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, bytes: 0, clock: 0, items: HashMap::new(), by_use: BTreeMap::new() }
    }
}

impl Policy for Lru {
    fn ask(&mut self, item: u32, bytes: u64) -> bool {
        self.clock += 1;
        let before = self.items.insert(item, (self.clock, bytes));
        self.by_use.insert(self.clock, item);
        if let Some((used, _)) = before {
            self.by_use.remove(&used);
            return true;
        }
        self.bytes += bytes;
        while self.bytes > self.capacity
            && let Some((_, oldest)) = self.by_use.pop_first()
            && let Some((_, bytes)) = self.items.remove(&oldest)
        {
            self.bytes -= bytes;
        }
        false
    }
}
