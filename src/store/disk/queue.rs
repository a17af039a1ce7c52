//! What waits for the next commit. Whoever adds to an empty queue starts the work; what comes while a commit is under way goes with the next one, so that
//! commits are the larger the slower they are.
use super::{blocking, error::Fault, file::NewFile, row::FileId, shared::Shared, taken::Taken};
use crate::{CacheKey, StoreError, StoredHead};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) enum Op {
    Put {
        hash: u64,
        row: Vec<u8>,
        file: Option<NewFile>,
        /// What it takes on the disk, beside what is stored until it is stored itself.
        blocks: Taken,
    },
    Freshen {
        hash: u64,
        key: CacheKey,
        head: StoredHead,
    },
    Delete {
        hash: u64,
        key: CacheKey,
        /// What came with a later commit stays.
        until: u64,
    },
    Note {
        number: u64,
        note: Option<Bytes>,
    },
    /// This row was found damaged.
    Damaged {
        hash: u64,
        checksum: u64,
    },
    /// The file of this row is not there.
    Missing {
        hash: u64,
        file: FileId,
    },
    /// Nobody needs the file.
    Garbage {
        file: FileId,
        blocks: u32,
    },
    /// There is to be room.
    Room,
    /// The index could not be read, as it was opened this time.
    Broken {
        fault: Fault,
        opening: u64,
    },
    Close,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) op: Op,
    pub(super) answer: Option<oneshot::Sender<Result<bool, Fault>>>,
}

impl Task {
    /// Nobody waits for the answer any more.
    pub(super) fn is_forsaken(&self) -> bool {
        self.answer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Bytes of a file that counts with what is stored once this is committed.
    pub(super) fn arrived(&self) -> u64 {
        match &self.op {
            Op::Put { blocks, .. } => blocks.share(),
            _ => 0,
        }
    }

    fn size(&self) -> usize {
        match &self.op {
            Op::Put { row, .. } => row.len(),
            _ => 0,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_running: bool,
}

/// Tasks of one commit, so that none takes long.
const TASKS: usize = 1024;
/// What nobody waits for is dropped, or has to wait, if there is too much of it: it is found again.
const UNANSWERED: usize = 16 * 1024;

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if somebody has to start.
    pub(super) fn push(&self, task: Task) -> bool {
        let mut waiting = self.lock();
        if matches!(task.op, Op::Damaged { .. }) && waiting.tasks.len() > UNANSWERED {
            return false;
        }
        waiting.tasks.push_back(task);
        !std::mem::replace(&mut waiting.is_running, true)
    }

    /// Who can wait should do so.
    pub(super) fn is_long(&self) -> bool {
        self.lock().tasks.len() > UNANSWERED
    }

    /// The next ones, with rows of about this size in all; at least one.
    fn take(&self, size: usize) -> Option<Vec<Task>> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        let mut rest = size;
        while let Some(task) = waiting.tasks.front()
            && taken.len() < TASKS
            && (taken.is_empty() || task.size() <= rest)
        {
            rest = rest.saturating_sub(task.size());
            taken.extend(waiting.tasks.pop_front());
        }
        waiting.is_running = !taken.is_empty();
        waiting.is_running.then_some(taken)
    }
}

/// Who runs, until it is dropped.
struct Running(Arc<Shared>);

impl Running {
    fn run(&self) {
        while let Some(tasks) = self.0.queue.take(self.0.options.batch()) {
            self.0.commit(tasks);
        }
    }
}

impl Drop for Running {
    /// The runtime went down before it began, or it panicked: the next one starts again.
    fn drop(&mut self) {
        self.0.queue.lock().is_running = false;
    }
}

impl Shared {
    /// Puts it into the queue and waits until it is committed.
    pub(super) async fn submit(self: &Arc<Self>, op: Op) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Task { op, answer: Some(answer) });
        answered.await.unwrap_or(Err(Fault::Closed)).map_err(StoreError::new)
    }

    /// Puts it into the queue.
    pub(super) fn send(self: &Arc<Self>, op: Op) {
        self.enqueue(Task { op, answer: None });
    }

    fn enqueue(self: &Arc<Self>, task: Task) {
        if self.queue.push(task) {
            let running = Running(Arc::clone(self));
            blocking::detach(move || running.run());
        }
    }
}
