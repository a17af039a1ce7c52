//! Content of a file, part by part. While one is being consumed the next is read: a reading takes the memory of two.
use super::{
    blocking::{self, Blocking},
    file::{Layout, is_lost},
};
use crate::{
    BoxError,
    error::{ContentError, Cut},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    fmt,
    fs::File,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A file that is open, for all who read it.
pub(super) struct Source {
    pub(super) file: File,
    pub(super) layout: Layout,
    /// To be called when the file is not what was written.
    pub(super) damaged: Box<dyn Fn() + Send + Sync>,
}

/// One reading of a range. Ends with an error if a part is damaged or missing.
#[derive(Debug)]
pub(super) struct Reading {
    source: Arc<Source>,
    /// What is still to be yielded.
    rest: Range<u64>,
    next: Option<Blocking<io::Result<Vec<u8>>>>,
}

impl Reading {
    pub(super) fn new(source: Arc<Source>, range: Range<u64>) -> Self {
        let end = range.end.min(source.layout.len);
        Self { source, rest: range.start.min(end)..end, next: None }
    }

    /// Begins to read the part in which this byte lies.
    fn begin(&mut self, at: u64) {
        let source = Arc::clone(&self.source);
        let part = at / source.layout.payload();
        self.next = Some(blocking::begin(move || {
            let result = source.layout.read(&source.file, part);
            if result.as_ref().is_err_and(is_lost) {
                (source.damaged)();
            }
            result
        }));
    }

    fn fail(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.rest = 0..0;
        Poll::Ready(Some(Err(ContentError(Cut::Store).into())))
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.next.is_none() {
            let at = self.rest.start;
            self.begin(at);
        }
        let Some(next) = &mut self.next else { return self.fail() };
        let part = ready!(Pin::new(next).poll(cx));
        self.next = None;
        let Ok(Ok(part)) = part else { return self.fail() };
        let payload = self.source.layout.payload();
        let from = self.rest.start % payload;
        let start = self.rest.start.saturating_sub(from);
        let to = self.rest.end.saturating_sub(start).min(part.len() as u64);
        if from >= to {
            return self.fail();
        }
        self.rest.start = start.saturating_add(to);
        if !self.rest.is_empty() {
            let at = self.rest.start;
            self.begin(at);
        }
        let part = Bytes::from(part).slice(from as usize..to as usize);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.end.saturating_sub(self.rest.start))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("layout", &self.layout).finish_non_exhaustive()
    }
}
