//! The numbers of all fetches under way, also of those that nobody may join.
use std::collections::VecDeque;

/// In order: they are drawn so, and end nearly so.
#[derive(Debug, Default)]
pub(super) struct Active(VecDeque<u64>);

impl Active {
    /// A fetch has begun. Its number is higher than those of all before.
    pub(super) fn begin(&mut self, number: u64) {
        self.0.push_back(number);
    }

    /// A fetch is over. True if none that is under way is older.
    pub(super) fn end(&mut self, number: u64) -> bool {
        if let Ok(at) = self.0.binary_search(&number) {
            self.0.remove(at);
        }
        self.oldest().is_none_or(|oldest| oldest > number)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.0.front().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(all(test, tower_cdn_loom))]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_in_whatever_order_they_end() {
        let mut active = Active::default();
        (1..=4).for_each(|number| active.begin(number));
        assert!(!active.end(3), "1 and 2 are older");
        assert!(active.contains(2) && !active.contains(3) && active.len() == 3);
        assert!(active.end(1) && active.oldest() == Some(2));
        assert!(!active.end(4));
        assert!(active.end(2) && active.oldest().is_none());
        assert!(active.end(2), "it is over already");
    }
}
