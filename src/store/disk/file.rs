//! Files of content: parts of one size, each with its checksum behind it. The seed of a checksum is the file's number and the part's, so that a part of another
//! file, or at another place, is damaged. A range is read part by part, and a file of any size takes the memory of a part.
use super::{
    directory::{Directory, create_new},
    hash::random,
    queue::Op,
    row::{self, FileId},
    shared::Shared,
};
use rustix::{buffer::spare_capacity, io::Errno};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Weak},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How content lies in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) file: row::File,
    /// The length of the content.
    pub(super) len: u64,
}

const CHECKSUM: u64 = 8;

impl Layout {
    /// Bytes of content in a part.
    pub(super) fn payload(&self) -> u64 {
        u64::from(self.file.part).saturating_sub(CHECKSUM).max(1)
    }

    pub(super) fn parts(&self) -> u64 {
        self.len.div_ceil(self.payload())
    }

    /// The length of the file.
    pub(super) fn size(&self) -> u64 {
        self.len.saturating_add(self.parts().saturating_mul(CHECKSUM))
    }

    /// What it takes on the disk, in blocks.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.size().div_ceil(BLOCK)).unwrap_or(u32::MAX)
    }

    fn seed(&self, part: u64) -> u64 {
        self.file.id.number ^ part.rotate_left(32)
    }

    fn offset(&self, part: u64) -> u64 {
        part.saturating_mul(self.file.part.into())
    }

    /// Opens the file, if it is as long as it should be.
    pub(super) fn open(&self, directory: &Directory) -> io::Result<File> {
        let file = File::open(directory.file(self.file.id))?;
        if file.metadata()?.len() == self.size() { Ok(file) } else { Err(damaged()) }
    }

    /// Reads one part and checks it.
    pub(super) fn read(&self, file: &File, part: u64) -> io::Result<Vec<u8>> {
        let start = part.saturating_mul(self.payload());
        let len = self.len.saturating_sub(start).min(self.payload());
        let (len, sum) = (usize::try_from(len).map_err(|_| damaged())?, CHECKSUM as usize);
        let mut bytes = read_at(file, self.offset(part), len.saturating_add(sum))?;
        let found = bytes.split_off(len);
        if found == xxh3_64_with_seed(&bytes, self.seed(part)).to_be_bytes() {
            Ok(bytes)
        } else {
            Err(damaged())
        }
    }
}

/// So many bytes from there on, read into memory that nobody clears first: that would be an eighth of the time it takes to read a large response.
fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset.saturating_add(bytes.len() as u64);
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may be more room than was asked for.
    bytes.truncate(len);
    Ok(bytes)
}

/// What everything on the disk is rounded up to.
pub(super) const BLOCK: u64 = 4096;

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Is it gone or damaged, and not just out of reach for now?
pub(super) fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    [InvalidData, NotFound, UnexpectedEof].contains(&error.kind())
}

/// A file that is being written. Unless a commit keeps it, nobody needs it.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    layout: Layout,
    shared: Weak<Shared>,
    is_kept: bool,
}

impl NewFile {
    /// Makes a file that nobody else has.
    pub(super) fn make(shared: &Arc<Shared>, part: u32) -> io::Result<Self> {
        let id = FileId { session: shared.session(), number: random() };
        let file = create_new(&shared.directory.file(id))?;
        let layout = Layout { file: row::File { id, part }, len: 0 };
        Ok(Self { file, layout, shared: Arc::downgrade(shared), is_kept: false })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Writes the next part with its checksum. All but the last have the same length.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let part = self.layout.parts();
        let sum = xxh3_64_with_seed(bytes, self.layout.seed(part)).to_be_bytes();
        let offset = self.layout.offset(part);
        self.layout.len = self.layout.len.saturating_add(bytes.len() as u64);
        self.file.write_all_at(bytes, offset)?;
        self.file.write_all_at(&sum, offset.saturating_add(bytes.len() as u64))
    }

    /// It reaches the device, with its name.
    pub(super) fn sync(&self, directory: &Directory) -> io::Result<()> {
        self.file.sync_data()?;
        directory.sync_name(self.layout.file.id)
    }

    /// A row has it.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept
            && let Some(shared) = self.shared.upgrade()
        {
            let file = self.layout.file.id;
            shared.send(Op::Garbage { file, blocks: self.layout.blocks() });
        }
    }
}
