//! What the index says of itself, and its notes. What is damaged here damages the whole: a rule that is lost would bring back what it has invalidated.
use super::{
    error::Fault,
    hash::seed_at,
    index::{Index, META, NOTES, ROWS},
    state::State,
};
use bytes::{Buf, Bytes};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) store: u64,
    /// The last commit.
    pub(super) commit: u64,
    /// Bytes of files, near enough until they are counted.
    pub(super) content: u64,
    pub(super) notes: u64,
}

type Notes = BTreeMap<u64, Bytes>;

/// Opens the index that belongs to this state.
pub(super) fn open(index: &Index, state: &State) -> Result<(Meta, Notes), Fault> {
    index.open()?;
    let opened = index.read(|transaction| {
        transaction.open_table(ROWS)?;
        let meta = transaction
            .open_table(META)?
            .get(0)?
            .and_then(|meta| open_sealed(meta.value(), seed_at(0, state.store)))
            .and_then(Meta::decode);
        let mut notes = Notes::new();
        for note in transaction.open_table(NOTES)?.iter()? {
            let (number, note) = note?;
            let number = number.value();
            let note = open_sealed(note.value(), seed_at(number, !state.store));
            notes.insert(number, note.ok_or_else(|| Fault::damaged("a note is damaged"))?);
        }
        Ok(meta.map(|meta| (meta, notes)))
    })?;
    opened
        .flatten()
        .filter(|(meta, notes)| {
            meta.store == state.store
                && meta.commit >= state.commit
                && meta.notes == notes.len() as u64
        })
        .ok_or_else(|| Fault::damaged("the index is older than it should be, or damaged"))
}

/// Begins an empty index.
pub(super) fn begin(index: &Index, state: &State, notes: &Notes) -> Result<Meta, Fault> {
    let count = notes.len() as u64;
    let meta = Meta { store: state.store, commit: state.commit, content: 0, notes: count };
    index.write(|transaction| {
        transaction.open_table(ROWS)?;
        let mut table = transaction.open_table(NOTES)?;
        for (number, note) in notes {
            put_note(&mut table, state.store, *number, Some(note))?;
        }
        drop(table);
        meta.write(transaction).map(Some)
    })?;
    Ok(meta)
}

/// Keeps or withdraws a note.
pub(super) fn put_note(
    notes: &mut Table<'_, u64, &'static [u8]>,
    store: u64,
    number: u64,
    note: Option<&Bytes>,
) -> Result<(), Fault> {
    match note {
        Some(note) => {
            notes.insert(number, &*sealed(note, seed_at(number, !store)))?;
        }
        None => drop(notes.remove(number)?),
    }
    Ok(())
}

impl Meta {
    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), Fault> {
        let numbers = [self.store, self.commit, self.content, self.notes];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let mut meta = transaction.open_table(META)?;
        meta.insert(0, &*sealed(&bytes, seed_at(0, self.store)))?;
        Ok(())
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        Some(Self {
            store: bytes.try_get_u64().ok()?,
            commit: bytes.try_get_u64().ok()?,
            content: bytes.try_get_u64().ok()?,
            notes: bytes.try_get_u64().ok()?,
        })
    }
}

/// With a checksum in front.
fn sealed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut out = xxh3_64_with_seed(bytes, seed).to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn open_sealed(bytes: &[u8], seed: u64) -> Option<Bytes> {
    let (sum, bytes) = bytes.split_first_chunk::<8>()?;
    let is_sound = xxh3_64_with_seed(bytes, seed).to_be_bytes() == *sum;
    is_sound.then(|| Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_or_damaged(bytes in prop::collection::vec(any::<u8>(), 0..40), seed: u64, at: prop::sample::Index, bit in 0_u8..8) {
            let mut whole = sealed(&bytes, seed);
            prop_assert_eq!(open_sealed(&whole, seed), Some(bytes.into()));
            let at = at.index(whole.len());
            whole[at] ^= 1 << bit;
            prop_assert_eq!(open_sealed(&whole, seed), None);
        }

        #[test]
        fn err_noise(noise in prop::collection::vec(any::<u8>(), 0..60), seed: u64) {
            let _ = open_sealed(&noise, seed);
            let _ = Meta::decode(noise.into());
        }
    }
}
