//! When a file has changed, and is at rest again.

use std::fs::Metadata;
use std::time::SystemTime;

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    length: u64,
    /// Another one if the file has been replaced.
    inode: u64,
}

impl Look {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), length: metadata.len(), inode }
    }
}

/// One look after the other; `None` while there is no such file.
#[derive(Debug)]
pub(crate) struct Looks {
    /// How the file looked when it was read.
    read: Option<Look>,
    last: Option<Look>,
}

impl Looks {
    pub(crate) fn new(read: Option<Look>) -> Self {
        Self { read, last: read }
    }

    /// Whether the file is to be read now: two looks agree, since a file that is being written changes
    /// from one to the next, and it was not read like that before.
    pub(crate) fn is_new(&mut self, now: Option<Look>) -> bool {
        let is_at_rest = now.is_some() && now == self.last;
        self.last = now;
        let is_new = is_at_rest && now != self.read;
        if is_new {
            self.read = now;
        }
        is_new
    }

    /// It is read now in any case.
    pub(crate) fn reads(&mut self, now: Option<Look>) {
        (self.read, self.last) = (now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(length: u64, inode: u64) -> Option<Look> {
        Some(Look { modified: Some(SystemTime::UNIX_EPOCH), length, inode })
    }

    #[test]
    fn a_file_is_read_once_when_it_is_at_rest() {
        let mut looks = Looks::new(look(10, 1));
        for (now, is_new) in [
            (look(10, 1), false),
            // It is being written.
            (look(3, 1), false),
            (look(7, 1), false),
            (look(12, 1), false),
            (look(12, 1), true),
            (look(12, 1), false),
            // It is replaced, with a moment in which there is none.
            (None, false),
            (None, false),
            (look(12, 2), false),
            (look(12, 2), true),
            (look(12, 2), false),
            // As before after all.
            (look(13, 2), false),
            (look(12, 2), false),
            (look(12, 2), false),
        ] {
            assert_eq!(looks.is_new(now), is_new, "{now:?}");
        }
    }

    #[test]
    fn what_was_read_when_told_is_not_new() {
        let mut looks = Looks::new(None);
        looks.reads(look(5, 1));
        assert!(!looks.is_new(look(5, 1)));
        assert!(!looks.is_new(look(6, 1)));
        assert!(looks.is_new(look(6, 1)));
    }
}
