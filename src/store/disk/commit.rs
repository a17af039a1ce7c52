//! One commit for all that waits: what is put, freshened, deleted and noted, and what has to go for it. Only then those who wait get their answer, and files
//! that no row has any more are removed.
//!
//! If a commit fails, all that it was about is hidden from then on, so that nothing comes back that was to be replaced, and is removed with the next one that
//! succeeds.
use super::{
    batch::Batch,
    directory::remove,
    error::Fault,
    file::NewFile,
    index::{Index, ROWS},
    load::Progress,
    meta::{self, Meta},
    queue::{Op, Task},
    room::{Room, Sums},
    row::FileId,
    shared::{Shared, tell_lost},
    state::{Left, State, StateFile},
    stats::count,
};
use std::sync::{Arc, MutexGuard, PoisonError, atomic::Ordering};
use tokio::sync::oneshot;

/// What only the one who commits needs.
#[derive(Debug)]
pub(super) struct Writer {
    file: StateFile,
    state: State,
    /// Files that could not be removed yet, and their blocks.
    garbage: Vec<(FileId, u32)>,
    room: Room,
    is_down: bool,
    is_closed: bool,
}

impl Writer {
    pub(super) fn new(file: StateFile, state: State, index: &Index) -> Self {
        let room = Room::new(index.allocated());
        Self { file, state, garbage: Vec::new(), room, is_down: false, is_closed: false }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl Shared {
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn commit(self: &Arc<Self>, mut tasks: Vec<Task>) {
        let mut guard = self.writer();
        let writer = &mut *guard;
        let prepared = self.prepare(writer, &tasks);
        match prepared.and_then(|()| self.write(writer, &mut tasks)) {
            Ok(batch) => self.succeed(writer, tasks, batch),
            Err(fault) => self.fail(writer, tasks, &fault),
        }
    }

    /// The index is open, and as it should be.
    fn prepare(self: &Arc<Self>, writer: &mut Writer, tasks: &[Task]) -> Result<(), Fault> {
        if writer.is_closed {
            return Err(Fault::Closed);
        }
        for task in tasks {
            if let Op::Broken { fault, opening } = &task.op
                && *opening == self.index.opening()
            {
                self.report(writer, fault);
                self.repair(writer, fault);
            }
        }
        if self.index.is_open() && !self.hides_all() { Ok(()) } else { self.reopen(writer) }
    }

    fn write(&self, writer: &Writer, tasks: &mut [Task]) -> Result<Batch<'_>, Fault> {
        let mut batch = Batch::new(self, &writer.state);
        let arrived = tasks.iter().map(Task::arrived).sum();
        let is_exceeded = |sums: &Sums| {
            let sums = self.with_others(writer, sums, arrived);
            writer.room.is_exceeded(&sums, self.options.capacity)
        };
        let makes_room = self.is_loaded() && is_exceeded(&batch.sums());
        if !makes_room && !batch.is_needed(tasks) {
            batch.done = vec![true; tasks.len()];
            return Ok(batch);
        }
        let written = self.index.write(|transaction| {
            let mut rows = transaction.open_table(ROWS)?;
            batch.apply(transaction, &mut rows, tasks)?;
            batch.make_room(&mut rows, is_exceeded)?;
            if !batch.has_changes() {
                return Ok(None);
            }
            let content = batch.sums().blocks.saturating_mul(super::file::BLOCK);
            let (store, commit, notes) = (writer.state.store, batch.commit, batch.notes());
            Meta { store, commit, content, notes }.write(transaction).map(Some)
        });
        match written {
            Ok(written) => batch.is_written = written.is_some(),
            Err(fault) => {
                batch.take_back();
                return Err(fault);
            }
        }
        Ok(batch)
    }

    /// What takes room beside what is stored: files that are arriving, but for so many bytes that have arrived, and that could not be removed yet.
    fn with_others(&self, writer: &Writer, sums: &Sums, arrived: u64) -> Sums {
        let arriving = self.arriving.load(Ordering::Relaxed).saturating_sub(arrived);
        let arriving = arriving.div_ceil(super::file::BLOCK);
        let garbage = writer.garbage.iter().map(|(_, blocks)| u64::from(*blocks)).sum::<u64>();
        let blocks = sums.blocks.saturating_add(arriving).saturating_add(garbage);
        Sums { blocks, ..*sums }
    }

    fn succeed(self: &Arc<Self>, writer: &mut Writer, tasks: Vec<Task>, mut batch: Batch<'_>) {
        let is_written = batch.is_written;
        self.accept(writer, &mut batch);
        if is_written && std::mem::take(&mut writer.is_down) {
            tell_recovered();
        }
        let mut garbage = std::mem::take(&mut writer.garbage);
        let (mut late, mut is_closing) = (Vec::new(), false);
        for (Task { op, answer }, done) in tasks.into_iter().zip(batch.done) {
            let is_late = matches!(op, Op::Room | Op::Close);
            match op {
                Op::Put { file, .. } if done => {
                    count(&self.counters.stored, 1);
                    file.into_iter().for_each(NewFile::keep);
                }
                Op::Garbage { file, blocks } => garbage.push((file, blocks)),
                Op::Close => is_closing = true,
                _ => {}
            }
            match answer {
                Some(answer) if is_late => late.push(answer),
                answer => tell(answer, Ok(done)),
            }
        }
        garbage.retain(|(file, _)| remove(&self.directory.file(*file)).is_err());
        writer.garbage = garbage;
        self.measure(writer);
        if is_closing {
            self.shut(writer);
        }
        late.into_iter().for_each(|answer| tell(Some(answer), Ok(true)));
    }

    /// What was written is there.
    fn accept(&self, writer: &mut Writer, batch: &mut Batch<'_>) {
        if batch.is_written {
            writer.state.commit = batch.commit;
            // If this fails, a rollback of the index may go unnoticed; nothing else is lost.
            _ = writer.file.write(&writer.state);
        }
        batch.publish();
        writer.garbage.append(&mut batch.garbage);
    }

    fn measure(self: &Arc<Self>, writer: &mut Writer) {
        let sums = self.known().sums();
        if !self.is_loaded() {
            return;
        }
        let capacity = self.options.capacity;
        writer.room.learn(self.index.allocated(), &sums);
        if writer.room.is_wasted(&self.with_others(writer, &sums, 0), capacity) {
            match self.index.compact() {
                Ok(()) => writer.room.compacted(self.index.allocated(), &sums),
                Err(fault) => {
                    self.report(writer, &fault);
                    self.repair(writer, &fault);
                }
            }
        }
        let all = self.with_others(writer, &sums, 0);
        let usage = writer.room.usage(&all);
        let usage = usage.saturating_sub(self.arriving.load(Ordering::Relaxed));
        self.usage.store(usage, Ordering::Relaxed);
        if sums.objects > 0 && writer.room.is_exceeded(&all, capacity) {
            self.send(Op::Room);
        }
    }

    fn fail(self: &Arc<Self>, writer: &mut Writer, tasks: Vec<Task>, fault: &Fault) {
        if !writer.is_closed {
            let mut hidden = self.hidden.write().unwrap_or_else(PoisonError::into_inner);
            hidden.extend(tasks.iter().filter_map(|task| match &task.op {
                Op::Put { hash, .. } | Op::Freshen { hash, .. } | Op::Delete { hash, .. } => {
                    Some(*hash)
                }
                _ => None,
            }));
            drop(hidden);
            self.report(writer, fault);
            self.repair(writer, fault);
        }
        for Task { answer, .. } in tasks {
            tell(answer, Err(fault.clone()));
        }
    }

    /// Makes the best of it: begins again with an empty index, or opens it once more and removes what is hidden.
    fn repair(self: &Arc<Self>, writer: &mut Writer, fault: &Fault) {
        match fault {
            Fault::Damaged(_) | Fault::Version => _ = self.begin_again(writer),
            Fault::Closed => {}
            Fault::Io(_) => {
                _ = self.index.close();
                if self.reopen(writer).is_err() {
                    return;
                }
                match self.write(writer, &mut []) {
                    Ok(mut batch) => self.accept(writer, &mut batch),
                    // To be read as far as it is not hidden.
                    Err(_again) => {
                        _ = self.index.close();
                        _ = self.reopen(writer);
                    }
                }
            }
        }
    }

    fn reopen(self: &Arc<Self>, writer: &mut Writer) -> Result<(), Fault> {
        if self.hides_all() {
            return self.begin_again(writer);
        }
        match meta::open(&self.index, &writer.state) {
            Ok((meta, notes)) => {
                writer.state.commit = meta.commit;
                *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = notes;
                Ok(())
            }
            Err(fault @ (Fault::Io(_) | Fault::Closed)) => {
                _ = self.index.close();
                Err(fault)
            }
            Err(Fault::Damaged(_) | Fault::Version) => self.begin_again(writer),
        }
    }

    fn begin_again(self: &Arc<Self>, writer: &Writer) -> Result<(), Fault> {
        self.start_again(&writer.state)?;
        _ = writer.file.write(&writer.state);
        tell_lost();
        Ok(())
    }

    fn shut(&self, writer: &mut Writer) {
        self.keep_used();
        let close = || {
            self.index.close()?;
            self.index.sync()?;
            Ok::<_, Fault>(self.directory.sync()?)
        };
        if close().is_ok() {
            writer.state.left = Left::Safe;
            _ = writer.file.write(&writer.state).and_then(|()| writer.file.sync());
        }
        writer.is_closed = true;
        // Nobody waits for more.
        self.reach(Progress::Done);
        self.directory.release();
    }

    /// Once for each time that it goes wrong.
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "only logged"))]
    fn report(&self, writer: &mut Writer, fault: &Fault) {
        count(&self.counters.faults, 1);
        if !std::mem::replace(&mut writer.is_down, true) {
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "tower_cdn", error = ?fault, "disk store cannot write");
        }
    }
}

fn tell(answer: Option<oneshot::Sender<Result<bool, Fault>>>, result: Result<bool, Fault>) {
    // Whoever has gone does not need to know.
    _ = answer.map(|answer| answer.send(result));
}

fn tell_recovered() {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "tower_cdn", "disk store writes again");
}

#[cfg(test)]
mod tests;
