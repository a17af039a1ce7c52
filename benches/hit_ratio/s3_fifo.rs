//! S3-FIFO ("FIFO queues are all you need for cache eviction", SOSP 2023): a small queue of a tenth, a main one, and a ghost of what the small one let go.
use crate::Policy;
use std::collections::{HashMap, VecDeque};

pub(crate) struct S3Fifo {
    capacity: u64,
    small: Queue,
    main: Queue,
    /// What was let go, and its bytes; as much as the main queue holds.
    ghost: Queue,
    items: HashMap<u32, Item>,
}

struct Item {
    bytes: u64,
    uses: u8,
    place: Place,
}

#[derive(PartialEq, Eq)]
enum Place {
    Small,
    Main,
    Ghost,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<u32>,
    bytes: u64,
}

impl Queue {
    fn push(&mut self, item: u32, bytes: u64) {
        self.items.push_back(item);
        self.bytes += bytes;
    }
}

impl S3Fifo {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            small: Queue::default(),
            main: Queue::default(),
            ghost: Queue::default(),
            items: HashMap::new(),
        }
    }

    fn evict(&mut self) {
        while self.small.bytes + self.main.bytes > self.capacity {
            if self.small.bytes > self.capacity / 10 || self.main.items.is_empty() {
                self.evict_small();
            } else {
                self.evict_main();
            }
        }
    }

    /// What was used more than once moves on, the rest leaves a ghost.
    fn evict_small(&mut self) {
        let Some(number) = self.small.items.pop_front() else { return };
        let Some(item) = self.items.get_mut(&number) else { return };
        self.small.bytes -= item.bytes;
        if item.uses > 1 {
            item.uses = 0;
            item.place = Place::Main;
            self.main.push(number, item.bytes);
            return;
        }
        item.place = Place::Ghost;
        self.ghost.push(number, item.bytes);
        while self.ghost.bytes > self.capacity * 9 / 10
            && let Some(oldest) = self.ghost.items.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// What was used gets another round.
    fn evict_main(&mut self) {
        let Some(number) = self.main.items.pop_front() else { return };
        let Some(item) = self.items.get_mut(&number) else { return };
        if item.uses > 0 {
            item.uses -= 1;
            self.main.items.push_back(number);
        } else {
            self.main.bytes -= item.bytes;
            self.items.remove(&number);
        }
    }

    /// A ghost that came back meanwhile is none any more, but its place in the queue was.
    fn forget(&mut self, oldest: u32) {
        if let Some(item) = self.items.get(&oldest)
            && item.place == Place::Ghost
        {
            self.ghost.bytes -= item.bytes;
            self.items.remove(&oldest);
        }
    }
}

impl Policy for S3Fifo {
    fn ask(&mut self, number: u32, bytes: u64) -> bool {
        match self.items.get_mut(&number) {
            Some(item) if item.place != Place::Ghost => {
                item.uses = (item.uses + 1).min(3);
                return true;
            }
            Some(ghost) => {
                self.ghost.bytes -= bytes;
                ghost.place = Place::Main;
                ghost.uses = 0;
                self.main.push(number, bytes);
            }
            None => {
                self.items.insert(number, Item { bytes, uses: 0, place: Place::Small });
                self.small.push(number, bytes);
            }
        }
        self.evict();
        false
    }
}
