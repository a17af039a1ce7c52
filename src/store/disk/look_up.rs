//! What lies under a key: read from the index and, if it is no longer than a part, from its file at once. Longer content is opened, so that it can be read to
//! its end even if it is replaced meanwhile.
use super::{
    error::Fault,
    file::{Layout, is_lost},
    hash::seed_at,
    queue::Op,
    reading::{Reading, Source},
    row::{Header, Row, checksum_of},
    shared::Shared,
};
use crate::{CacheKey, Content, StoredHead, StoredResponse};
use bytes::Bytes;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

/// Whoever reads while it is being replaced may find the row and not its file any more. Then the row is another one.
const ATTEMPTS: usize = 3;

/// Why a row gives no response.
enum Trouble {
    /// It is not what was written, or its file is not.
    Damaged {
        checksum: u64,
    },
    /// Its file cannot be opened now; the index is not to blame.
    File(io::Error),
    Index(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Index(fault)
    }
}

impl Shared {
    pub(super) fn look_up(
        self: &Arc<Self>,
        key: &CacheKey,
        hash: u64,
    ) -> Result<Option<StoredResponse>, Fault> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let opening = self.index.opening();
            match self.find(key, hash) {
                Ok(found) => {
                    if found.is_some() {
                        self.known().order.touch(hash);
                    }
                    return Ok(found);
                }
                Err(Trouble::Damaged { checksum }) if last == Some(checksum) => break,
                Err(Trouble::Damaged { checksum }) => last = Some(checksum),
                Err(Trouble::File(error)) => return Err(error.into()),
                Err(Trouble::Index(fault)) => {
                    self.send(Op::Broken { fault: fault.clone(), opening });
                    return Err(fault);
                }
            }
        }
        last.into_iter().for_each(|checksum| self.send(Op::Damaged { hash, checksum }));
        Ok(None)
    }

    fn find(
        self: &Arc<Self>,
        key: &CacheKey,
        hash: u64,
    ) -> Result<Option<StoredResponse>, Trouble> {
        if self.is_hidden(hash) {
            return Ok(None);
        }
        let row = self
            .index
            .rows(|rows| Ok(rows.get(hash)?.map(|row| Bytes::copy_from_slice(row.value()))))?;
        let Some(bytes) = row.flatten() else { return Ok(None) };
        let checksum = checksum_of(&bytes);
        let damaged = Trouble::Damaged { checksum };
        let Some(row) = Row::decode(&bytes, seed_at(hash, self.seed)) else { return Err(damaged) };
        if self.is_overtaken(hash, &row.header) {
            return Err(damaged);
        }
        if row.key != key.as_bytes() {
            return Ok(None);
        }
        let Ok(head) = StoredHead::from_bytes(row.head.clone()) else { return Err(damaged) };
        let content = match self.content(&row, hash, checksum) {
            Ok(content) => content.with_trailers(row.trailers),
            Err(error) if is_lost(&error) => return Err(damaged),
            Err(error) => return Err(Trouble::File(error)),
        };
        Ok(Some(StoredResponse { head, content }))
    }

    /// A sound row that is older than what was written under this hash: damage has brought it back.
    fn is_overtaken(&self, hash: u64, header: &Header) -> bool {
        let known = self.known();
        let applied = self.applied.load(Ordering::Acquire);
        header.commit <= applied
            && match known.order.get(hash) {
                Some(stored) => stored.commit != header.commit as u32,
                None => known.gone.as_ref().is_none_or(|gone| gone.contains(&hash)),
            }
    }

    fn content(self: &Arc<Self>, row: &Row, hash: u64, checksum: u64) -> io::Result<Content> {
        let Some(file) = row.header.file else { return Ok(row.content.clone().into()) };
        let layout = Layout { file, len: row.header.len };
        let opened = layout.open(&self.directory)?;
        if layout.parts() <= 1 {
            return Ok(Bytes::from(layout.read(&opened, 0)?).into());
        }
        let shared = Arc::clone(self);
        let source = Arc::new(Source {
            file: opened,
            layout,
            // The response goes, not only this reading of it.
            damaged: Box::new(move || shared.send(Op::Damaged { hash, checksum })),
        });
        Ok(Content::from_fn(layout.len, move |range| Reading::new(Arc::clone(&source), range)))
    }
}
