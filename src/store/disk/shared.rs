//! What all handles of a store share, and how it is opened.
use super::{
    blocking,
    commit::Writer,
    directory::{Directory, remove},
    error::{Fault, OpenError, Reason},
    hash,
    hidden::Hidden,
    index::Index,
    load::{self, Progress},
    meta::{self, Meta},
    options::DiskBuilder,
    order::{Order, Stored},
    queue::Queue,
    room::Sums,
    state::{self, Left, State, StateFile, boot},
    stats::Counters,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::sync::{Semaphore, watch};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: DiskBuilder,
    pub(super) directory: Directory,
    pub(super) index: Index,
    /// Drawn when the store was made.
    pub(super) seed: u64,
    session: AtomicU32,
    known: Mutex<Known>,
    /// The order has what this commit and those before it have written.
    pub(super) applied: AtomicU64,
    pub(super) hidden: RwLock<Hidden>,
    pub(super) queue: Queue,
    pub(super) writer: Mutex<Writer>,
    pub(super) notes: Mutex<BTreeMap<u64, Bytes>>,
    pub(super) loading: watch::Sender<Progress>,
    /// Who may write files at once.
    pub(super) writing: Semaphore,
    /// Bytes that wait to be written.
    pub(super) queued: Arc<AtomicU64>,
    /// Bytes on the disk, but those that are arriving.
    pub(super) usage: AtomicU64,
    /// Bytes of files that no commit has made visible yet.
    pub(super) arriving: Arc<AtomicU64>,
    pub(super) counters: Counters,
}

/// What is known of what is stored.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) order: Order,
    /// What went since the store was opened, until all that is stored is known.
    pub(super) gone: Option<HashSet<u64>>,
}

impl Known {
    pub(super) fn sums(&self) -> Sums {
        let (objects, rows) = (self.order.len() as u64, self.order.rows());
        Sums { objects, rows, blocks: self.order.blocks() }
    }

    /// Takes out which one has to go. Nobody can tell until all that is stored is known.
    pub(super) fn evict(&mut self) -> Option<(u64, Stored)> {
        if self.gone.is_some() { None } else { self.order.evict() }
    }

    /// What the index has under this hash from now on.
    pub(super) fn set(&mut self, hash: u64, stored: Option<Stored>) {
        match stored {
            Some(stored) => self.order.update(hash, stored),
            None => {
                self.order.remove(hash);
                if let Some(gone) = &mut self.gone {
                    gone.insert(hash);
                }
            }
        }
    }
}

/// Files that are written at the same time; more do not make a disk faster.
const WRITERS: usize = 4;

impl Shared {
    pub(super) fn open(options: DiskBuilder) -> Result<Arc<Self>, OpenError> {
        let directory = Directory::take(&options.root, options.start_afresh)?;
        let index = Index::new(&directory, options.index_cache, options.sync);
        let is_known = directory.index().exists();
        let found = State::read(&directory.state())?.filter(State::is_trusted);
        let file = StateFile::open(&directory.state())?;
        let left = if options.sync { Left::Safe } else { running() };
        // Before the index changes, it has to be known that it may.
        let opened = match found {
            Some(state) => {
                let before = state.left;
                let state = State { left, ..state };
                file.write(&state)?;
                if left != before {
                    file.sync()?;
                }
                match meta::open(&index, &state) {
                    Err(Fault::Version) if !options.start_afresh => {
                        return Err(Reason::UnknownVersion.into());
                    }
                    Err(fault @ (Fault::Io(_) | Fault::Closed)) => return Err(fault.into()),
                    result => result
                        .ok()
                        .map(|(meta, notes)| (State { commit: meta.commit, ..state }, meta, notes)),
                }
            }
            None => None,
        };
        let (state, meta, notes) = match opened {
            Some(opened) => opened,
            None => {
                if is_known {
                    tell_lost();
                }
                let state = state::new(left);
                let meta = afresh(&directory, &index, &state, &BTreeMap::new())?;
                file.write(&state)?;
                file.sync()?;
                (state, meta, BTreeMap::new())
            }
        };
        let known = Known { gone: Some(HashSet::new()), ..Known::default() };
        let writer = Writer::new(file, state, &index);
        let shared = Arc::new(Self {
            seed: state.store,
            session: AtomicU32::new(session()),
            known: Mutex::new(known),
            applied: AtomicU64::new(state.commit),
            hidden: RwLock::default(),
            queue: Queue::default(),
            writer: Mutex::new(writer),
            notes: Mutex::new(notes),
            loading: watch::Sender::new(Progress::Reading),
            writing: Semaphore::new(WRITERS),
            queued: Arc::default(),
            usage: AtomicU64::new(index.allocated().saturating_add(meta.content)),
            arriving: Arc::default(),
            counters: Counters::default(),
            options,
            directory,
            index,
        });
        shared.begin_loading()?;
        Ok(shared)
    }

    fn begin_loading(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::downgrade(self);
        blocking::thread(move || load::run(&shared))
    }

    /// The index is lost. Nothing is stored any more; files are removed in the background.
    pub(super) fn start_again(self: &Arc<Self>, state: &State) -> Result<(), Fault> {
        _ = self.index.close();
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let begun = afresh(&self.directory, &self.index, state, &notes);
        // What is half begun is not written to.
        begun.inspect_err(|_| _ = self.index.close())?;
        self.hidden.write().unwrap_or_else(PoisonError::into_inner).clear();
        let mut known = self.known();
        self.session.store(session(), Ordering::Relaxed);
        *known = Known { gone: Some(HashSet::new()), ..Known::default() };
        let before = self.loading.send_replace(Progress::Reading);
        drop(known);
        // Whoever is loading begins again as well.
        if before == Progress::Reading { Ok(()) } else { Ok(self.begin_loading()?) }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash::of_key(key, self.seed)
    }

    /// All that is stored is known.
    pub(super) fn is_loaded(&self) -> bool {
        self.known().gone.is_none()
    }

    pub(super) fn is_hidden(&self, hash: u64) -> bool {
        self.hidden.read().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    /// More is hidden than can be removed one by one.
    pub(super) fn hides_all(&self) -> bool {
        self.hidden.read().unwrap_or_else(PoisonError::into_inner).is_all()
    }

    /// All that is stored is known, and this is not among it. What goes with a commit that is under way may come back if that fails.
    pub(super) fn is_absent(&self, hash: u64) -> bool {
        let known = self.known();
        known.gone.is_none() && known.order.get(hash).is_none()
    }
}

/// An empty index, which continues with the commit of this state.
fn afresh(
    directory: &Directory,
    index: &Index,
    state: &State,
    notes: &BTreeMap<u64, Bytes>,
) -> Result<Meta, Fault> {
    _ = index.close();
    remove(&directory.index())?;
    remove(&directory.checksums())?;
    remove(&directory.used())?;
    index.open()?;
    directory.sync()?;
    meta::begin(index, state, notes)
}

pub(super) fn tell_lost() {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "tower_cdn", "disk store cannot be trusted and begins again");
}

fn running() -> Left {
    Left::Running { boot: boot().unwrap_or_default() }
}

fn session() -> u32 {
    (hash::random() >> 32) as u32
}
