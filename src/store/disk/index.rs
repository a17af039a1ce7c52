//! The index: rows and notes in a redb database. A commit is in the hands of the operating system when it returns, so that the end of the process
//! loses nothing; only with `sync` it has reached the device.
use super::{directory::Directory, error::Fault, pages::Pages};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction,
};
use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        PoisonError, RwLock, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};

/// By the hash of the key.
pub(super) const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
/// By number.
pub(super) const NOTES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("notes");
/// What is known of the whole.
pub(super) const META: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("meta");

#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    checksums: PathBuf,
    cache: usize,
    sync: bool,
    open: RwLock<Option<Database>>,
    openings: AtomicU64,
}

pub(super) type Rows = ReadOnlyTable<u64, &'static [u8]>;

impl Index {
    pub(super) fn new(directory: &Directory, cache: usize, sync: bool) -> Self {
        let (path, checksums) = (directory.index(), directory.checksums());
        Self { path, checksums, cache, sync, open: RwLock::new(None), openings: AtomicU64::new(0) }
    }

    /// Opens the file, or makes one.
    pub(super) fn open(&self) -> Result<(), Fault> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        drop_caught(open.take());
        let pages = Pages::open(&self.path, &self.checksums, self.sync)?;
        let database = caught(|| {
            Ok(Database::builder().set_cache_size(self.cache).create_with_backend(pages)?)
        })?;
        *open = Some(database);
        self.openings.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// How often it was opened: what went wrong before may be right again.
    pub(super) fn opening(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Closes it. What cannot be closed orderly is repaired when it is opened again.
    pub(super) fn close(&self) -> Result<(), Fault> {
        let database = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        database.map_or(Ok(()), |database| caught(|| Ok(database.close()?)))
    }

    /// All of it reaches the device.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.checksums)?.sync_all()?;
        File::open(&self.path)?.sync_all()
    }

    /// Reads. None if nobody can tell now: it is closed, or being compacted.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let open = match self.open.try_read() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let Some(database) = &*open else { return Ok(None) };
        caught(|| read(&database.begin_read()?).map(Some))
    }

    /// The same, of rows.
    pub(super) fn rows<T>(
        &self,
        read: impl FnOnce(&Rows) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.read(|transaction| read(&transaction.open_table(ROWS)?))
    }

    /// Writes, all or nothing; nothing if there is no result.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_ref().ok_or(Fault::Closed)?;
        caught(|| {
            let mut transaction = database.begin_write()?;
            // Opens at once after an unclean end, and does not read all of it.
            transaction.set_quick_repair(true);
            let result = write(&transaction)?;
            match result {
                Some(_) => transaction.commit()?,
                None => transaction.abort()?,
            }
            Ok(result)
        })
    }

    /// Gives back what is not needed. Nobody can read meanwhile.
    pub(super) fn compact(&self) -> Result<(), Fault> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_mut().ok_or(Fault::Closed)?;
        caught(|| Ok(database.compact().map(drop)?))
    }

    /// Bytes on the disk.
    pub(super) fn allocated(&self) -> u64 {
        let files = [&self.path, &self.checksums].map(std::fs::metadata);
        let blocks = files.iter().flatten().map(|file| file.blocks().saturating_mul(512));
        blocks.sum()
    }
}

/// Damage that redb did not expect is damage.
fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Fault::damaged(text.unwrap_or("redb panicked").to_owned()))
    })
}

fn drop_caught(database: Option<Database>) {
    _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
}
