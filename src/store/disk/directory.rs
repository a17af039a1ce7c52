//! The directory of a store: what lies where, who may use it, and who does.
//!
//! ```text
//! version      what this is; without it, or with another one, the directory is not touched
//! lock         held by the process that uses it
//! state        how it was left, and the last commit
//! index.redb   rows and notes
//! index.sums   checksums of its pages
//! used         which responses were used, for the next opening
//! content/     files of content, in 32 folders
//! ```
use super::{
    error::{OpenError, Reason},
    row::FileId,
};
use rustix::io::Errno;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

const VERSION: &str = "tower-cdn disk store, version 1\n";

#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// Takes the directory for itself; makes it if it is not there.
    pub(super) fn take(root: &Path, start_afresh: bool) -> Result<Self, OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        if !start_afresh && !is_known(root)? {
            return Err(Reason::UnknownVersion.into());
        }
        fs::set_permissions(root, Permissions::from_mode(0o700))?;
        let lock = lock(&root.join("lock"))?;
        let directory = Self { root: root.to_owned(), lock: Mutex::new(Some(lock)) };
        let version = fs::read(directory.version()).ok();
        if version.as_deref() != Some(VERSION.as_bytes()) {
            if version.is_some() {
                directory.clear()?;
            }
            directory.write_version()?;
        }
        create_folder(&root.join("content"))?;
        Ok(directory)
    }

    /// Complete or not there, and there before anything else: whoever dies here, and be it the machine, leaves a directory that can be opened.
    fn write_version(&self) -> io::Result<()> {
        let draft = self.root.join("version.new");
        let mut file = create(&draft)?;
        file.write_all(VERSION.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.version())?;
        self.sync()
    }

    /// All names but those of content reach the device.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_folder(&self.root)
    }

    /// The name of this file reaches the device.
    pub(super) fn sync_name(&self, id: FileId) -> io::Result<()> {
        self.file(id).parent().map_or(Ok(()), sync_folder)?;
        sync_folder(&self.content())
    }

    /// Lets others have it.
    pub(super) fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Removes what a store of another version has here, and nothing else.
    fn clear(&self) -> io::Result<()> {
        for file in [self.version(), self.state(), self.index(), self.checksums(), self.used()] {
            remove(&file)?;
        }
        match fs::remove_dir_all(self.content()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn version(&self) -> PathBuf {
        self.root.join("version")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(super) fn checksums(&self) -> PathBuf {
        self.root.join("index.sums")
    }

    pub(super) fn used(&self) -> PathBuf {
        self.root.join("used")
    }

    pub(super) fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    pub(super) fn file(&self, id: FileId) -> PathBuf {
        self.folder(folder_of(id)).join(format!("{:08x}{:016x}", id.session, id.number))
    }

    fn folder(&self, folder: u64) -> PathBuf {
        self.content().join(format!("{folder:02x}"))
    }

    /// All files of content, with their folders. An error is of a folder that cannot be listed now, or not to its end.
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, io::Result<FileId>)> {
        (0..FOLDERS).flat_map(|folder| self.files_in(folder).map(move |file| (folder, file)))
    }

    fn files_in(&self, folder: u64) -> impl Iterator<Item = io::Result<FileId>> {
        let (listed, error) = match fs::read_dir(self.folder(folder)) {
            Ok(listed) => (Some(listed), None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(error) => (None, Some(Err(error))),
        };
        let files = listed.into_iter().flatten();
        files.filter_map(|file| file.map(|file| self.id_of(&file.path())).transpose()).chain(error)
    }

    /// None if it is no file of content.
    fn id_of(&self, path: &Path) -> Option<FileId> {
        let (session, number) = path.file_name()?.to_str()?.split_at_checked(8)?;
        let id = FileId {
            session: u32::from_str_radix(session, 16).ok()?,
            number: u64::from_str_radix(number, 16).ok()?,
        };
        (self.file(id) == path).then_some(id)
    }
}

/// In which one a file lies.
pub(super) fn folder_of(id: FileId) -> u64 {
    id.number % FOLDERS
}

const FOLDERS: u64 = 32;

/// Is it ours, or empty?
fn is_known(root: &Path) -> io::Result<bool> {
    match fs::read(root.join("version")) {
        Ok(version) => Ok(version == VERSION.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let ours = ["lock", "version.new", "lost+found"];
            let mut entries = fs::read_dir(root)?;
            Ok(entries.all(|entry| {
                entry.is_ok_and(|entry| ours.iter().any(|name| entry.file_name() == *name))
            }))
        }
        Err(error) => Err(error),
    }
}

/// A store that was dropped a moment ago may still be closing.
const PATIENCE: (u32, Duration) = (100, Duration::from_millis(10));

#[expect(clippy::incompatible_msrv, reason = "the feature needs a newer Rust, as redb does")]
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    for _ in 0..PATIENCE.0 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PATIENCE.1),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(Reason::InUse.into())
}

/// A new file, or an empty one in place of what is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn create_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Some file systems cannot, and keep names as they see fit.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if Errno::from_io_error(&error).is_some_and(|no| CANNOT.contains(&no)) => Ok(()),
        result => result,
    }
}

const CANNOT: [Errno; 4] = [Errno::BADF, Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP];

/// A new file that nobody has opened before; makes its folder.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folder(path.parent().unwrap_or(path))?;
            options.open(path)
        }
        result => result,
    }
}

/// It is fine if it is not there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
