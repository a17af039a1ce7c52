//! What is stored, found out in the background after opening: the order of use is that of the commits, with a mark for what was used before it was closed.
//! Files that no row has are removed, and rows whose file is gone.
use super::{
    directory::folder_of,
    error::Fault,
    file::Layout,
    index::Rows,
    order::{Order, Stored},
    queue::Op,
    row::{FileId, Header},
    shared::{Known, Shared},
};
use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Weak},
    time::Duration,
};

/// Rows that are read at once. An index that is being read keeps what is replaced meanwhile.
const ROWS_AT_ONCE: usize = 4096;

/// Before it is tried again, at first.
const PAUSE: Duration = Duration::from_millis(20);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    Reading,
    /// All that is stored is known, and so is what may go for something else.
    Known,
    /// What is not needed waits for the next commit as well; or the store is closed, and nothing more will be known.
    Done,
}

/// Until it is done, or the store is closed.
pub(super) fn run(shared: &Weak<Shared>) {
    let (mut found, mut next, mut session, mut pause) = (Found::default(), Some(0), None, PAUSE);
    while let Some(mut from) = next {
        let Some(shared) = shared.upgrade() else { return };
        if session.replace(shared.session()) != Some(shared.session()) {
            // It has begun again with an empty index.
            (found, from) = (Found::default(), 0);
        }
        let opening = shared.index.opening();
        match shared.index.rows(|rows| found.read(rows, from)) {
            Ok(Some(more)) => (next, pause) = (more, PAUSE),
            // Nobody can read now.
            Ok(None) | Err(_) if shared.is_closed() => return,
            result => {
                if let Err(fault) = result {
                    shared.send(Op::Broken { fault, opening });
                }
                next = Some(from);
                drop(shared);
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE * 100);
            }
        }
    }
    let (Some(strong), Some(session)) = (shared.upgrade(), session) else { return };
    found.files.sort_unstable();
    if strong.learn(found.rows, session) {
        strong.sweep(&found.files, session);
        strong.send(Op::Room);
        strong.finish_loading(session);
    } else {
        drop(strong);
        run(shared);
    }
}

#[derive(Default)]
struct Found {
    rows: Vec<(u64, u64, Stored)>,
    files: Vec<(FileId, u64)>,
}

impl Found {
    /// Reads the next rows; where to go on, if there are more.
    fn read(&mut self, rows: &Rows, from: u64) -> Result<Option<u64>, Fault> {
        let mut last = None;
        for row in rows.range(from..)?.take(ROWS_AT_ONCE) {
            let (hash, row) = row?;
            let (hash, row) = (hash.value(), row.value());
            last = Some(hash);
            // Whether it is damaged is seen when it is asked for.
            let Some(header) = Header::peek(row) else { continue };
            if let Some(file) = header.file {
                self.files.push((file.id, hash));
            }
            self.rows.push((header.commit, hash, stored(&header, row.len())));
        }
        Ok(last.and_then(|last| last.checked_add(1)))
    }
}

/// What is kept in memory of a row.
pub(super) fn stored(header: &Header, row: usize) -> Stored {
    let blocks = header.file.map_or(0, |file| Layout { file, len: header.len }.blocks());
    Stored { commit: header.commit as u32, row: u32::try_from(row).unwrap_or(u32::MAX), blocks }
}

impl Shared {
    pub(super) fn is_closed(&self) -> bool {
        self.writer().is_closed()
    }

    /// False if it has begun again meanwhile.
    fn learn(&self, mut rows: Vec<(u64, u64, Stored)>, session: u32) -> bool {
        rows.sort_unstable_by_key(|(commit, hash, _)| (*commit, *hash));
        let mut order = Order::default();
        for (_, hash, stored) in rows {
            order.insert(hash, stored);
        }
        for hash in self.used_before() {
            order.touch(hash);
        }
        let mut known = self.known();
        if self.session() != session {
            return false;
        }
        let since = std::mem::take(&mut *known);
        for hash in since.gone.into_iter().flatten() {
            order.remove(hash);
        }
        for (hash, stored) in since.order.oldest_first() {
            order.insert(hash, stored);
        }
        *known = Known { order, gone: None };
        self.reach(Progress::Known);
        true
    }

    /// It is as far as this, if it was not already.
    pub(super) fn reach(&self, progress: Progress) {
        self.loading.send_if_modified(|reached| {
            let is_new = *reached < progress;
            if is_new {
                *reached = progress;
            }
            is_new
        });
    }

    /// Unless it has begun again meanwhile.
    fn finish_loading(&self, session: u32) {
        let _known = self.known();
        if self.session() == session {
            self.reach(Progress::Done);
        }
    }

    /// Waits until it is as far as this.
    pub(super) async fn loaded(&self, progress: Progress) {
        let mut loading = self.loading.subscribe();
        // The sender is there as long as this is.
        _ = loading.wait_for(|reached| *reached >= progress).await;
    }

    /// Removes files that no row has. What came since the store was opened has a name that tells so.
    fn sweep(self: &Arc<Self>, with_row: &[(FileId, u64)], session: u32) {
        let (mut is_there, mut unknown) = (vec![false; with_row.len()], BTreeSet::new());
        for (folder, file) in self.directory.files() {
            let Ok(file) = file else {
                unknown.insert(folder);
                continue;
            };
            if file.session == session || self.session() != session {
                continue;
            }
            match with_row.binary_search_by_key(&file, |(id, _)| *id) {
                Ok(at) => is_there.get_mut(at).into_iter().for_each(|there| *there = true),
                Err(_) if self.waits_for_queue() => self.send(Op::Garbage { file, blocks: 0 }),
                Err(_) => return,
            }
        }
        // What lies in a folder that could not be listed may be there.
        let gone = with_row.iter().zip(is_there).filter(|((id, _), is_there)| {
            !is_there && id.session != session && !unknown.contains(&folder_of(*id))
        });
        for ((file, hash), _) in gone {
            if !self.waits_for_queue() {
                return;
            }
            self.send(Op::Missing { hash: *hash, file: *file });
        }
    }

    /// Until there is not much in the queue: what is found by the million must not lie in memory. False if the store is closed.
    fn waits_for_queue(&self) -> bool {
        while !self.is_closed() {
            if !self.queue.is_long() {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }

    /// A mark for what was used is kept when the store is closed.
    pub(super) fn keep_used(&self) {
        let used: Vec<u8> = self.known().order.used().flat_map(u64::to_be_bytes).collect();
        _ = super::directory::create(&self.directory.used())
            .and_then(|mut file| std::io::Write::write_all(&mut file, &used));
    }

    /// It is no harm if this is damaged.
    fn used_before(&self) -> Vec<u64> {
        let bytes = fs::read(self.directory.used()).unwrap_or_default();
        bytes.as_chunks().0.iter().map(|hash| u64::from_be_bytes(*hash)).collect()
    }
}
