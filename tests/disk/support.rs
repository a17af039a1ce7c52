//! What the tests of this store share.
pub(crate) const ROOM: u64 = 64 << 20;
