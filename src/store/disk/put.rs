//! Content on its way to the disk: small content becomes part of the row, larger content is written part by part as it arrives. The commit of the row makes it
//! visible.
use super::{
    blocking,
    file::{BLOCK, NewFile},
    load::Progress,
    queue::Op,
    row::{Header, Row},
    shared::Shared,
    stats::count,
    taken::Taken,
};
use crate::{
    BoxError, CacheKey, Content, StoreError, StoredResponse,
    error::{ContentError, Cut},
};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body_util::BodyExt;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

/// Longer content gets a file: a row of more than a page takes the next power of two.
const IN_ROW: usize = 2048;
/// Others may take the room that was made.
const ATTEMPTS: usize = 4;
/// What a put takes beside the content that it holds.
const OVERHEAD: u64 = 4096;

impl Shared {
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &CacheKey,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        let hash = self.hash(key.as_bytes());
        let until = self.applied.load(Ordering::Acquire);
        match self.store(key, hash, response).await {
            Ok(true) => Ok(()),
            // Nobody waits, or so it seems.
            Ok(false) => Err(not_stored()),
            // What was there before is not old.
            Err(Failure::Content(error)) => Err(error),
            Err(Failure::Disk(error)) => {
                count(&self.counters.dropped, 1);
                self.submit(Op::Delete { hash, key: key.clone(), until }).await?;
                Err(error)
            }
        }
    }

    async fn store(
        self: &Arc<Self>,
        key: &CacheKey,
        hash: u64,
        StoredResponse { head, content }: StoredResponse,
    ) -> Result<bool, Failure> {
        let mut queued = Taken::new(&self.queued);
        queued.take(OVERHEAD, self.options.queue)?;
        let Arrived { rest, trailers, file, blocks } =
            Arriving::new(self).read(&content, &mut queued).await?;
        let layout = file.as_ref().map(NewFile::layout);
        let header = Header {
            commit: 0,
            file: layout.map(|layout| layout.file),
            len: layout.map_or(rest.len() as u64, |layout| layout.len),
        };
        let (key, head) = (Bytes::copy_from_slice(key.as_bytes()), head.to_bytes().into());
        let row = Row { header, key, head, trailers, content: rest }.encode();
        Ok(self.submit(Op::Put { hash, row, file, blocks }).await?)
    }
}

/// Why nothing is stored.
enum Failure {
    /// The content did not come to its end, or was not to be stored after all. The disk would have taken it.
    Content(StoreError),
    /// The disk cannot take it, or not fast enough.
    Disk(StoreError),
}

impl Failure {
    fn of_content(error: BoxError) -> Self {
        let error = StoreError::from(error);
        match error.cut() {
            // Others did not wait for the store.
            Some(Cut::TooSlow) => Self::Disk(error),
            _ => Self::Content(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Disk(error)
    }
}

/// Content that has been read to its end.
struct Arrived {
    /// All of it, if it has no file.
    rest: Bytes,
    trailers: Option<HeaderMap>,
    file: Option<NewFile>,
    blocks: Taken,
}

/// Content that is being read.
struct Arriving {
    shared: Arc<Shared>,
    /// Less than a part that is not written yet.
    rest: Vec<u8>,
    file: Option<NewFile>,
    blocks: Taken,
}

impl Arriving {
    fn new(shared: &Arc<Shared>) -> Self {
        let blocks = Taken::new(&shared.arriving);
        Self { shared: Arc::clone(shared), rest: Vec::new(), file: None, blocks }
    }

    async fn read(mut self, content: &Content, queued: &mut Taken) -> Result<Arrived, Failure> {
        let (part, largest) =
            (self.shared.options.part_size as usize - 8, self.shared.options.largest());
        if content.len().is_some_and(|len| len > largest) {
            return Err(not_stored().into());
        }
        let (mut body, mut trailers, mut length) = (content.read(), None, 0_u64);
        while let Some(frame) = body.frame().await {
            let mut data = match frame.map_err(Failure::of_content)?.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    trailers = frame.into_trailers().ok();
                    continue;
                }
            };
            length = length.saturating_add(data.len() as u64);
            if length > largest {
                return Err(not_stored().into());
            }
            while data.has_remaining() {
                let more = data.split_to(data.len().min(part.saturating_sub(self.rest.len())));
                queued.take(more.len() as u64, self.shared.options.queue)?;
                self.rest.extend_from_slice(&more);
                if self.rest.len() >= part {
                    self.write(queued).await?;
                }
            }
        }
        if self.file.is_some() && !self.rest.is_empty() || self.rest.len() > IN_ROW {
            self.write(queued).await?;
        }
        if self.shared.options.sync {
            self.sync().await?;
        }
        let Self { rest, file, blocks, .. } = self;
        Ok(Arrived { rest: rest.into(), trailers, file, blocks })
    }

    /// The file is on the device before its row is.
    async fn sync(&mut self) -> Result<(), StoreError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        self.file = Some(self.at_work(move || file.sync(&shared.directory).map(|()| file)).await?);
        Ok(())
    }

    /// Writes a part.
    async fn write(&mut self, queued: &mut Taken) -> Result<(), StoreError> {
        let bytes = std::mem::take(&mut self.rest);
        let size = bytes.len() as u64;
        self.blocks.take(size.saturating_add(8).next_multiple_of(BLOCK), u64::MAX)?;
        self.shared.wait_for_room().await?;
        let (shared, file) = (Arc::clone(&self.shared), self.file.take());
        let written = self.at_work(move || {
            let mut file = match file {
                Some(file) => file,
                None => NewFile::make(&shared, shared.options.part_size)?,
            };
            file.write(&bytes)?;
            Ok((file, bytes))
        });
        let (file, mut bytes) = written.await?;
        bytes.clear();
        (self.file, self.rest) = (Some(file), bytes);
        queued.give_back(size);
        Ok(())
    }

    /// Waits for its turn and for the disk.
    async fn at_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.shared.writing.acquire().await.map_err(StoreError::new)?;
        let done = blocking::begin(work).await?;
        Ok(done.inspect_err(|error| self.shared.warn(error))?)
    }
}

impl Shared {
    /// Until what is being written fits beside what is stored.
    async fn wait_for_room(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.has_room() {
            return Ok(());
        }
        // Nobody knows what may go until all that is stored is known.
        self.loaded(Progress::Known).await;
        for _ in 0..ATTEMPTS {
            self.submit(Op::Room).await?;
            if self.has_room() {
                return Ok(());
            }
        }
        Err(not_stored())
    }

    fn has_room(&self) -> bool {
        let usage = self.usage.load(Ordering::Relaxed);
        let arriving = self.arriving.load(Ordering::Relaxed);
        usage.saturating_add(arriving) <= self.options.capacity
    }

    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "only logged"))]
    fn warn(&self, error: &io::Error) {
        count(&self.counters.faults, 1);
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "tower_cdn", error = ?error, "disk store cannot write a file");
    }
}

/// It does not fit, which is no fault.
pub(super) fn not_stored() -> StoreError {
    ContentError(Cut::NotStored).into()
}
