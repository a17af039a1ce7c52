//! Stored content that fails while it is read: the rest of it comes from the origin, if what that has is the same (RFC 9110 section 13.1.5, RFC 9111 section 3.4).
//!
//! ```text
//! stored ------- end ----------> over
//!    | fails; what is stored is removed
//!    v
//! ask the origin for the rest -- no strong validator, no answer, or another one --> the error of the store
//!    | 206 under the same strong validator, of just these bytes
//!    v
//! origin ------- end ----------> over; too little or too much is an error
//! ```
use super::{
    Engine, Origin,
    begin::Asked,
    flight::{Lead, Supply},
    look_up::Found,
    plan::Plan,
    within::within,
};
use crate::{
    BoxError, CacheKey, ContentBody,
    error::{ContentError, Cut},
    semantics::{range, storing, validation},
    stored::{Content, ResponseHead},
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Method, Request, StatusCode, response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

impl Engine {
    /// For the answer to this request. What is in memory cannot fail; other content gets the means to come to its end. `again` gives what asks the origin, once.
    pub(super) fn mended<O, Q>(
        self: &Arc<Self>,
        supply: Supply,
        asked: &Arc<Asked>,
        (key, head): (&CacheKey, &Arc<ResponseHead>),
        again: impl FnOnce() -> Option<(O, Q)>,
    ) -> Supply
    where
        O: Origin<Q>,
        Q: Send + 'static,
    {
        let content = match supply {
            Supply::Stored(content) if !content.is_in_memory() => content,
            supply => return supply,
        };
        let Some(len) = content.len().filter(|_| asked.head.method == Method::GET) else {
            return Supply::Stored(content);
        };
        let trailers = content.trailers().cloned();
        let means = Arc::new(Means {
            engine: Arc::clone(self),
            asked: Arc::clone(asked),
            key: key.clone(),
            found: Found { head: Arc::clone(head), content },
            again: Mutex::new(again()),
        });
        let open = move |range: Range<u64>| Mending {
            state: State::Stored(means.found.content.read_range(range.clone())),
            left: range,
            means: Arc::clone(&means),
        };
        Supply::Stored(Content::from_fn(len, open).with_trailers(trailers))
    }
}

/// What is needed to go on without the store.
struct Means<O, Q> {
    engine: Arc<Engine>,
    asked: Arc<Asked>,
    key: CacheKey,
    found: Found,
    /// One exchange for each answer.
    again: Mutex<Option<(O, Q)>>,
}

type Rest = UnsyncBoxBody<Bytes, BoxError>;

impl<O, Q> Means<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    /// What lies there answers nobody any more.
    fn remove(&self, error: &BoxError) {
        self.engine.fault("read", error);
        let (engine, key) = (Arc::clone(&self.engine), self.key.clone());
        let content = self.found.head.content;
        tokio::spawn(async move {
            let there = engine.get_at(&key).await;
            if there.is_some_and(|(kind, _)| kind.has_content(content)) {
                engine.delete_at(&key).await;
            }
        });
    }

    /// The rest from the origin. The fetch counts as one as long as the body is read.
    async fn fetch(self: Arc<Self>, rest: Range<u64>) -> Option<(Rest, Lead)> {
        let Self { engine, asked, found, .. } = &*self;
        let is_whole = found.head.status == StatusCode::OK && found.head.rare.part.is_none();
        validation::strong_tag(&found.head.headers).filter(|_| is_whole && !rest.is_empty())?;
        if asked.directives.only_if_cached {
            return None;
        }
        let (origin, body) = self.again.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let limits = &engine.policy.limits;
        let lead = engine.shared.flights.alone(&asked.primary, limits.max_fetches)?;
        let request = Plan::Complete(found.clone(), rest.clone()).prepare(engine, asked);
        let sending = Box::pin(origin.send(Request::from_parts(request, body)));
        let response = within(limits.fetch_timeout, sending).await.ok()?.ok()?;
        let (parts, body) = response.into_parts();
        let fits = self.is_rest(&parts, &rest);
        fits.then(|| (body.map_err(Into::into).boxed_unsync(), lead))
    }

    fn is_rest(&self, answer: &response::Parts, rest: &Range<u64>) -> bool {
        let (head, content) = (&self.found.head, &self.found.content);
        let size = rest.end.saturating_sub(rest.start);
        let carried = range::carried(&answer.headers);
        answer.status == StatusCode::PARTIAL_CONTENT
            && carried.is_some_and(|(part, whole)| part == *rest && Some(whole) == content.len())
            && validation::is_same_strong(&head.headers, &answer.headers)
            && storing::content_length(&answer.headers)
                .is_ok_and(|declared| declared.is_none_or(|declared| declared == size))
    }
}

/// One reading of such content. Ends without an error only when all that was wanted has come.
struct Mending<O, Q> {
    state: State,
    /// What has not come yet.
    left: Range<u64>,
    means: Arc<Means<O, Q>>,
}

enum State {
    Stored(ContentBody),
    /// The store has failed with this error.
    Asking(BoxFuture<'static, Option<(Rest, Lead)>>, Option<BoxError>),
    Origin(Rest, #[expect(dead_code, reason = "held until the body is dropped")] Lead),
    Over,
}

impl<O, Q> Mending<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    /// So much has come. False if it is more than was wanted.
    fn advance(&mut self, data: &Bytes) -> bool {
        let to = self.left.start.saturating_add(data.len() as u64);
        let fits = to <= self.left.end;
        self.left.start = to;
        fits
    }

    fn end(&mut self, error: Option<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.state = State::Over;
        Poll::Ready(error.map(Err))
    }
}

impl<O, Q> Body for Mending<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Stored(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Err(error)) => {
                        this.means.remove(&error);
                        let rest = Arc::clone(&this.means).fetch(this.left.clone()).boxed();
                        this.state = State::Asking(rest, Some(error));
                    }
                    Some(Ok(frame)) => {
                        frame.data_ref().into_iter().for_each(|data| _ = this.advance(data));
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    None => return this.end(None),
                },
                State::Asking(rest, error) => match ready!(rest.poll_unpin(cx)) {
                    Some((body, lead)) => this.state = State::Origin(body, lead),
                    None => {
                        let error = error.take();
                        return this.end(error);
                    }
                },
                State::Origin(body, _) => {
                    let frame = ready!(Pin::new(body).poll_frame(cx));
                    let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                        Some(Ok(Ok(data))) => data,
                        // Trailers are those that are stored.
                        Some(Ok(Err(_trailers))) => continue,
                        None if this.left.is_empty() => return this.end(None),
                        None | Some(Err(_)) => return this.end(Some(broken_off())),
                    };
                    if !this.advance(&data) {
                        return this.end(Some(broken_off()));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

fn broken_off() -> BoxError {
    ContentError(Cut::Origin).into()
}
