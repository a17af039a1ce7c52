//! How a store was left, and a witness of its last commit that lies outside of the index: an index that is older than its witness was rolled back, by
//! damage or by somebody who copies files, and would bring back what was deleted.
use super::hash::random;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Drawn when the store was made; its index has the same.
    pub(super) store: u64,
    /// The index has this commit, or a later one.
    pub(super) commit: u64,
    pub(super) left: Left,
}

/// What is known of the index when nobody has it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// All of it reached the device.
    Safe,
    /// It is what was written as long as the machine has not gone down since.
    Running { boot: u64 },
}

impl State {
    /// None if it is damaged, or not there.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Can the index still be trusted? After a loss of power some writes may have reached the device and earlier ones not.
    pub(super) fn is_trusted(&self) -> bool {
        match self.left {
            Left::Safe => true,
            Left::Running { boot } => self::boot() == Some(boot),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(SIZE.checked_sub(8)?)?;
        if sum != xxh3_64_with_seed(body, SEED).to_be_bytes() {
            return None;
        }
        let number = |at: usize| {
            let bytes = body.get(at..)?.first_chunk::<8>()?;
            Some(u64::from_be_bytes(*bytes))
        };
        let left = match number(16)? {
            0 => Left::Safe,
            _ => Left::Running { boot: number(24)? },
        };
        Some(Self { store: number(0)?, commit: number(8)?, left })
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, boot) = match self.left {
            Left::Safe => (0, 0),
            Left::Running { boot } => (1_u64, boot),
        };
        let numbers = [self.store, self.commit, kind, boot];
        let mut out: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        out.extend(xxh3_64_with_seed(&out, SEED).to_be_bytes());
        out
    }
}

const SIZE: usize = 40;
const SEED: u64 = 0x7374_6174_652d_3031;

/// The file of it, open.
#[derive(Debug)]
pub(super) struct StateFile(File);

impl StateFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).open(path).map(Self)
    }

    /// In place and in one piece: there is no time at which half of it is there, unless the machine goes down.
    pub(super) fn write(&self, state: &State) -> io::Result<()> {
        self.0.write_all_at(&state.encode(), 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A running machine keeps what was written, whatever becomes of the process. Where nobody can tell whether it is the same run, none is.
pub(super) fn boot() -> Option<u64> {
    fs::read("/proc/sys/kernel/random/boot_id").ok().map(|id| xxh3_64(&id))
}

/// Of a store that is being made.
pub(super) fn new(left: Left) -> State {
    State { store: random(), commit: 0, left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_survives_or_is_none(store: u64, commit: u64, boot in prop::option::of(any::<u64>()), at in 0_usize..40, bit in 0_u8..8) {
            let left = boot.map_or(Left::Safe, |boot| Left::Running { boot });
            let state = State { store, commit, left };
            let mut bytes = state.encode();
            prop_assert_eq!(bytes.len(), SIZE);
            prop_assert_eq!(State::decode(&bytes), Some(state));
            prop_assert_eq!(State::decode(&bytes[..at]), None);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(State::decode(&bytes), None);
        }

        #[test]
        fn err_noise(noise in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(State::decode(&noise), None);
        }
    }
}
