//! Why a directory could not be opened, and what went wrong with it later.
use crate::BoxError;
use std::{io, sync::Arc};

/// A [`DiskStore`](super::DiskStore) could not be opened.
///
/// # Example: one directory, one store
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use tower_cdn::store::DiskStore;
///
/// let store = DiskStore::open(dir.path(), 64 * 1024 * 1024).unwrap();
/// let error = DiskStore::open(dir.path(), 64 * 1024 * 1024).unwrap_err();
/// assert!(error.is_in_use());
/// # drop(store);
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OpenError(#[from] Reason);

#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("directory is in use by another store")]
    InUse,
    #[error("directory holds something else, or a store of an unknown version")]
    UnknownVersion,
    #[error("disk store could not be opened")]
    Fault(#[from] Fault),
}

impl OpenError {
    /// Another process, or another store in this one, has the directory open.
    pub fn is_in_use(&self) -> bool {
        matches!(self.0, Reason::InUse)
    }

    /// The directory holds something that is no store of a version that is known here. It was left as it is.
    pub fn is_unknown_version(&self) -> bool {
        matches!(self.0, Reason::UnknownVersion)
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self(Reason::Fault(error.into()))
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self(Reason::Fault(fault))
    }
}

/// What went wrong with files or index. All that waited for one commit get the same.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It may work the next time: no room, no permission, a broken device.
    #[error("disk cannot be used")]
    Io(#[source] Arc<io::Error>),
    /// The index is not what was written.
    #[error("index is damaged")]
    Damaged(#[source] Arc<BoxError>),
    #[error("index was written by another version")]
    Version,
    #[error("disk store is closed")]
    Closed,
}

impl Fault {
    pub(super) fn damaged(why: impl Into<BoxError>) -> Self {
        Self::Damaged(Arc::new(why.into()))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        // A page that is not what was written, a file that is none of redb's, or that ends early.
        if [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof].contains(&error.kind()) {
            return Self::damaged(error);
        }
        Self::Io(Arc::new(error))
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => io::Error::other(error).into(),
            redb::Error::UpgradeRequired(_) => Self::Version,
            other => Self::damaged(other),
        }
    }
}

impl From<redb::StorageError> for Fault {
    fn from(error: redb::StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::TableError> for Fault {
    fn from(error: redb::TableError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::TransactionError> for Fault {
    fn from(error: redb::TransactionError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::CommitError> for Fault {
    fn from(error: redb::CommitError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::DatabaseError> for Fault {
    fn from(error: redb::DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::SetDurabilityError> for Fault {
    fn from(error: redb::SetDurabilityError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::CompactionError> for Fault {
    fn from(error: redb::CompactionError) -> Self {
        redb::Error::from(error).into()
    }
}
