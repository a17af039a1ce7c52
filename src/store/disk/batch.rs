//! What one commit changes in the index, and what follows from it once it is committed.
use super::{
    error::Fault,
    file::Layout,
    hash::seed_at,
    index::NOTES,
    load::stored,
    meta,
    order::Stored,
    queue::{Op, Task},
    room::Sums,
    row::{FileId, Header, Row, checksum_of, seal},
    shared::Shared,
    state::State,
    stats::count,
};
use crate::{CacheKey, StoredHead};
use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};
use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

pub(super) type Rows<'t> = Table<'t, u64, &'static [u8]>;

#[derive(Debug)]
pub(super) struct Batch<'a> {
    shared: &'a Shared,
    store: u64,
    pub(super) commit: u64,
    /// Nothing was to be written otherwise.
    pub(super) is_written: bool,
    /// For each task: was it done?
    pub(super) done: Vec<bool>,
    hidden: HashSet<u64>,
    changed: HashMap<u64, Option<Stored>>,
    evicted: Vec<(u64, Stored)>,
    notes: Vec<(u64, Option<Bytes>)>,
    /// Files that no row has any more.
    pub(super) garbage: Vec<(FileId, u32)>,
    sums: Sums,
    damaged: u64,
}

/// Responses that go with one commit, so that none takes long.
const EVICTED: usize = 4096;

impl<'a> Batch<'a> {
    pub(super) fn new(shared: &'a Shared, state: &State) -> Self {
        let sums = shared.known().sums();
        let hidden = shared.hidden.read().unwrap_or_else(PoisonError::into_inner);
        let hidden = hidden.hashes().clone();
        Self {
            shared,
            store: state.store,
            commit: state.commit.saturating_add(1),
            is_written: false,
            done: Vec::new(),
            hidden,
            changed: HashMap::new(),
            evicted: Vec::new(),
            notes: Vec::new(),
            garbage: Vec::new(),
            sums,
            damaged: 0,
        }
    }

    /// Is there anything to write?
    pub(super) fn is_needed(&self, tasks: &[Task]) -> bool {
        let changes = |task: &Task| {
            !matches!(task.op, Op::Garbage { .. } | Op::Room | Op::Broken { .. } | Op::Close)
        };
        !self.hidden.is_empty() || tasks.iter().any(changes)
    }

    /// What is stored when it is committed.
    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    pub(super) fn apply(
        &mut self,
        transaction: &WriteTransaction,
        rows: &mut Rows<'_>,
        tasks: &mut [Task],
    ) -> Result<(), Fault> {
        for hash in self.hidden.clone() {
            self.remove(rows, hash)?;
        }
        let mut notes = None;
        for task in tasks {
            let is_forsaken = task.is_forsaken();
            let done = match &mut task.op {
                // What it was to replace is old, whether or not anybody still waits.
                Op::Put { hash, .. } if is_forsaken => {
                    self.remove(rows, *hash)?;
                    false
                }
                Op::Put { hash, row, .. } => self.put(rows, *hash, row)?,
                Op::Freshen { hash, key, head } => self.freshen(rows, *hash, key, head)?,
                Op::Delete { hash, key, until } => self.delete(rows, *hash, key, *until)?,
                Op::Note { number, note } => {
                    let notes = match &mut notes {
                        Some(notes) => notes,
                        None => notes.insert(transaction.open_table(NOTES)?),
                    };
                    meta::put_note(notes, self.store, *number, note.as_ref())?;
                    self.notes.push((*number, note.clone()));
                    true
                }
                Op::Damaged { hash, checksum } => {
                    let is = rows.get(*hash)?.is_some_and(|r| checksum_of(r.value()) == *checksum);
                    self.remove_damaged(rows, *hash, is)?
                }
                Op::Missing { hash, file } => {
                    let is = rows.get(*hash)?.is_some_and(|row| has_file(row.value(), *file));
                    self.remove_damaged(rows, *hash, is)?
                }
                Op::Garbage { .. } | Op::Room | Op::Broken { .. } | Op::Close => true,
            };
            self.done.push(done);
        }
        Ok(())
    }

    fn put(&mut self, rows: &mut Rows<'_>, hash: u64, row: &mut [u8]) -> Result<bool, Fault> {
        seal(row, self.commit, seed_at(hash, self.store));
        let old = rows.insert(hash, &*row)?.and_then(|old| Header::peek(old.value()));
        let new = Header::peek(row);
        // A row that was freshened has the same file.
        self.discard(old.filter(|old| old.file != new.and_then(|new| new.file)));
        self.set(hash, new.map(|header| stored(&header, row.len())));
        Ok(true)
    }

    fn freshen(
        &mut self,
        rows: &mut Rows<'_>,
        hash: u64,
        key: &CacheKey,
        head: &StoredHead,
    ) -> Result<bool, Fault> {
        let Some(row) = rows.get(hash)?.map(|row| Bytes::copy_from_slice(row.value())) else {
            return Ok(false);
        };
        let decoded = Row::decode(&row, seed_at(hash, self.store));
        let Some((row, old)) = decoded
            .and_then(|row| StoredHead::from_bytes(row.head.clone()).ok().map(|head| (row, head)))
        else {
            self.remove_damaged(rows, hash, true)?;
            return Ok(false);
        };
        if row.key != key.as_bytes() || !head.is_update_of(&old) {
            return Ok(false);
        }
        let mut row = Row { head: head.to_bytes().into(), ..row }.encode();
        self.put(rows, hash, &mut row)
    }

    fn delete(
        &mut self,
        rows: &mut Rows<'_>,
        hash: u64,
        key: &CacheKey,
        until: u64,
    ) -> Result<bool, Fault> {
        let Some(row) = rows.get(hash)?.map(|row| Bytes::copy_from_slice(row.value())) else {
            return Ok(true);
        };
        // What is damaged may be anybody's.
        let is_other = Row::decode(&row, seed_at(hash, self.store))
            .is_some_and(|row| row.key != key.as_bytes() || row.header.commit > until);
        if !is_other {
            self.remove(rows, hash)?;
        }
        Ok(true)
    }

    fn remove(&mut self, rows: &mut Rows<'_>, hash: u64) -> Result<(), Fault> {
        if let Some(old) = rows.remove(hash)? {
            self.discard(Header::peek(old.value()));
            self.set(hash, None);
        }
        Ok(())
    }

    fn remove_damaged(
        &mut self,
        rows: &mut Rows<'_>,
        hash: u64,
        is_damaged: bool,
    ) -> Result<bool, Fault> {
        if is_damaged {
            self.damaged = self.damaged.saturating_add(1);
            self.remove(rows, hash)?;
        }
        Ok(is_damaged)
    }

    /// Takes out the oldest as long as there is not enough room.
    pub(super) fn make_room(
        &mut self,
        rows: &mut Rows<'_>,
        is_exceeded: impl Fn(&Sums) -> bool,
    ) -> Result<(), Fault> {
        for _ in 0..EVICTED {
            if !is_exceeded(&self.sums) {
                break;
            }
            let Some((hash, stored)) = self.shared.known().evict() else { break };
            if self.changed.contains_key(&hash) {
                // It came with this commit.
                self.shared.known().order.insert(hash, stored);
                continue;
            }
            self.evicted.push((hash, stored));
            let old = rows.remove(hash)?.and_then(|old| Header::peek(old.value()));
            self.discard(old);
            self.changed.insert(hash, None);
            self.sums.subtract(&stored);
        }
        Ok(())
    }

    fn discard(&mut self, old: Option<Header>) {
        if let Some(Header { file: Some(file), len, .. }) = old {
            self.garbage.push((file.id, Layout { file, len }.blocks()));
        }
    }

    fn set(&mut self, hash: u64, stored: Option<Stored>) {
        let before = self.changed.insert(hash, stored);
        let before = before.unwrap_or_else(|| self.shared.known().order.get(hash));
        before.iter().for_each(|stored| self.sums.subtract(stored));
        stored.iter().for_each(|stored| self.sums.add(stored));
    }

    /// Does it change anything?
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.notes.is_empty()
    }

    /// How many notes there are when it is committed.
    pub(super) fn notes(&self) -> u64 {
        let notes = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // The last word on each counts.
        let changed: HashMap<u64, bool> =
            self.notes.iter().map(|(number, note)| (*number, note.is_some())).collect();
        let mut count = notes.len() as u64;
        for (number, is_there) in changed {
            match (notes.contains_key(&number), is_there) {
                (false, true) => count = count.saturating_add(1),
                (true, false) => count = count.saturating_sub(1),
                (false, false) | (true, true) => {}
            }
        }
        count
    }

    /// It is committed: what it has changed is known.
    pub(super) fn publish(&mut self) {
        let shared = self.shared;
        let mut known = shared.known();
        for (hash, stored) in self.changed.drain() {
            known.set(hash, stored);
        }
        if self.is_written {
            shared.applied.store(self.commit, std::sync::atomic::Ordering::Release);
        }
        drop(known);
        if !self.hidden.is_empty() {
            let mut hidden = shared.hidden.write().unwrap_or_else(PoisonError::into_inner);
            hidden.remove(&self.hidden);
        }
        let mut notes = shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, note) in self.notes.drain(..) {
            match note {
                Some(note) => notes.insert(number, note),
                None => notes.remove(&number),
            };
        }
        count(&shared.counters.evicted, self.evicted.len() as u64);
        count(&shared.counters.damaged, self.damaged);
    }

    /// It is not committed: what was to go is still there.
    pub(super) fn take_back(&mut self) {
        let mut known = self.shared.known();
        for (hash, stored) in self.evicted.drain(..) {
            known.order.insert(hash, stored);
        }
    }
}

fn has_file(row: &[u8], id: FileId) -> bool {
    Header::peek(row).and_then(|header| header.file).is_some_and(|file| file.id == id)
}
