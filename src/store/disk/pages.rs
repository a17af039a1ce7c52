//! The file of the index beneath redb. Each page has a checksum in a file beside it, so that redb reads what it has written or an error: damage that it cannot
//! know of can make it panic, or go round in circles.
//!
//! A page that is in use is never written again; what a process that is killed leaves half done is read by nobody. The exception is the header, which is
//! written in place: there, what it was before and what it is to be are both right. It is written when all that redb writes with it is there: redb itself does so in
//! no order where it may go back to the commit before, as while it compacts, and would find pages then that are not what was written.
//!
//! Neither file is waited for, unless it should be.
use redb::StorageBackend;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    checksums: File,
    known: Mutex<Known>,
    sync: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// Of each page.
    sums: Vec<u64>,
    /// The header, as it is in the file.
    header: Vec<u8>,
    /// As it is to be once all pages are there.
    next: Option<Vec<u8>>,
}

/// As redb has them.
const PAGE: usize = 4096;
const SUM: usize = 8;

impl Pages {
    /// Opens both files, or makes them.
    pub(super) fn open(path: &Path, checksums: &Path, sync: bool) -> io::Result<Self> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
        };
        let (file, checksums) = (open(path)?, open(checksums)?);
        let known = Known::read(&file, &checksums)?;
        Ok(Self { file, checksums, known: Mutex::new(known), sync })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the file of checksums the two of the header come first.
    fn write_sums(&self, page: usize, sums: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        self.checksums.write_all_at(&bytes, page.saturating_add(1).saturating_mul(SUM) as u64)
    }

    /// Puts off a change of the header until [`sync_data`](StorageBackend::sync_data).
    fn change_header(&self, offset: usize, data: &[u8]) -> io::Result<()> {
        let mut known = self.known();
        let mut header = known.next.take().unwrap_or_else(|| known.header.clone());
        let place = header.get_mut(offset..).and_then(|rest| rest.get_mut(..data.len()));
        place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(data);
        known.next = Some(header);
        Ok(())
    }

    fn write_header(&self) -> io::Result<()> {
        let mut known = self.known();
        let Some(header) = known.next.clone() else { return Ok(()) };
        let (before, after) = (sum(0, &known.header), sum(0, &header));
        let both: Vec<u8> = [before, after].iter().flat_map(|sum| sum.to_be_bytes()).collect();
        self.checksums.write_all_at(&both, 0)?;
        self.sync_files()?;
        self.file.write_all_at(&header, 0)?;
        (known.header, known.next) = (header, None);
        Ok(())
    }

    fn sync_files(&self) -> io::Result<()> {
        if self.sync {
            self.checksums.sync_data()?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Known {
    fn read(file: &File, checksums: &File) -> io::Result<Self> {
        let mut bytes = vec![0; usize::try_from(checksums.metadata()?.len()).unwrap_or(0)];
        checksums.read_exact_at(&mut bytes, 0)?;
        let mut sums = bytes.as_chunks().0.iter().map(|sum| u64::from_be_bytes(*sum));
        let (before, after) = (sums.next(), sums.next());
        // The header has no other.
        let sums: Vec<u64> = std::iter::once(0).chain(sums).collect();
        let mut header = vec![0; PAGE];
        if file.metadata()?.len() > 0 {
            let length = file.read_at(&mut header, 0)?;
            let is = Some(sum(0, &header));
            if length == 0 || (is != before && is != after) {
                return Err(damaged());
            }
        }
        Ok(Self { sums, header, next: None })
    }
}

fn sum(page: usize, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, page as u64)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a page of the index is damaged")
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)?;
        let offset = usize::try_from(offset).map_err(|_| damaged())?;
        let known = self.known();
        if offset < PAGE {
            let end = offset.saturating_add(out.len());
            let is_sound = known.header.get(offset..end).is_some_and(|header| header == out);
            let next = known.next.as_ref().and_then(|next| next.get(offset..end));
            next.into_iter().for_each(|next| out.copy_from_slice(next));
            return if is_sound { Ok(()) } else { Err(damaged()) };
        }
        let first = offset / PAGE;
        let sums = known.sums.get(first..first.saturating_add(out.len().div_ceil(PAGE)));
        let sums = sums.ok_or_else(damaged)?.to_vec();
        drop(known);
        let mut pages = (first..).zip(out.chunks(PAGE)).zip(sums);
        if pages.all(|((page, bytes), is)| sum(page, bytes) == is) {
            Ok(())
        } else {
            Err(damaged())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// All that was written before is there, and then the header.
    fn sync_data(&self) -> io::Result<()> {
        self.write_header()?;
        self.sync_files()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        if at < PAGE {
            return self.change_header(at, data);
        }
        debug_assert!(at.is_multiple_of(PAGE) && data.len().is_multiple_of(PAGE), "whole pages");
        self.file.write_all_at(data, offset)?;
        let first = at / PAGE;
        let sums: Vec<u64> =
            (first..).zip(data.chunks(PAGE)).map(|(page, bytes)| sum(page, bytes)).collect();
        self.write_sums(first, &sums)?;
        let mut known = self.known();
        let end = first.saturating_add(sums.len());
        if known.sums.len() < end {
            known.sums.resize(end, 0);
        }
        known.sums.splice(first..end, sums);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
