//! Parts of a representation: stored, combined, and completed (RFC 9111 sections 3.3 and 3.4).
use super::{
    fetch::Sent,
    fetched::Fetched,
    landing::{Course, delay_of, fields_for_one},
    look_up::Found,
    reception::{Arrival, Reception},
};
use crate::{
    BoxError, ContentBody, StoredHead, StoredResponse,
    semantics::{
        range,
        stored_fields::end_to_end,
        storing::{self, NotStored},
        validation,
    },
    stored::{Content, Parts, RareParts, ResponseHead, Whose, rope},
};
use bytes::Bytes;
use futures_util::future;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request, response};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

impl<B, E> Course<B, E>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    /// RFC 9111 section 3.3: the part goes to the one who asked, and to the parts that are stored already.
    pub(crate) async fn store_part(
        mut self,
        request: &request::Parts,
        range: Range<u64>,
        complete: u64,
        sent: Sent<B>,
    ) {
        let size = range.end.saturating_sub(range.start);
        let framed = self.framed(&sent, storing::content_length(&sent.parts.headers));
        let framed = framed.and_then(|declared| {
            if complete > self.engine.policy.limits.max_object {
                return Err(NotStored::TooLarge);
            }
            // Less than was announced is a part as well, as long as its end is known.
            let size = declared.unwrap_or(size).min(size);
            let part = Parts::new(range.start..range.start.saturating_add(size), complete);
            match (part, declared) {
                (Some(part), None) => Ok((part, size)),
                (Some(part), Some(declared)) if declared == size => Ok((part, size)),
                _ => Err(NotStored::Framing),
            }
        });
        let same = self.look.part.as_ref().filter(|old| {
            let is_as_long =
                old.head.rare.part.as_ref().is_some_and(|parts| parts.complete == complete);
            is_as_long && validation::is_same_strong(&old.head.headers, &sent.parts.headers)
        });
        // RFC 9110 section 15.3.7: such a 206 may leave out what others need.
        let may_lack_fields = same.is_none() && request.headers.contains_key(header::IF_RANGE);
        let received = framed.and_then(|(part, size)| {
            if may_lack_fields {
                return Err(NotStored::IfRange);
            }
            let mut headers = combined_fields(same, &sent.parts.headers);
            headers.remove(header::CONTENT_LENGTH);
            let arrival = Arrival {
                update: same.map(|_| &sent.parts.headers),
                stored: same.map(|old| &*old.head),
                part: Some(part),
                groups: same.map(|old| old.head.rare.groups.clone()).unwrap_or_default(),
                ..self.arrival(request, StatusCode::OK, &headers, &sent)
            };
            Ok((self.engine.receive(self.lead.primary(), &self.look, arrival)?, size))
        });
        let Sent { parts, body, .. } = sent;
        let (Reception { key, head, room, .. }, size) = match received {
            Ok(received) => received,
            Err(reason) => return self.decline(reason, parts, body).await,
        };
        let (writer, rope) = rope::channel(self.engine.window(), Some(size));
        let (Some(first), Some(reader)) = (rope.store_reader(), rope.whole()) else { return };
        if let Some(reply) = self.reply.take() {
            let body = ContentBody::arriving(reader);
            let mut parts = parts;
            parts.headers = end_to_end(parts.headers);
            let response = Response::from_parts(parts, body);
            _ = reply.send(Ok(Fetched::Part { response }));
        } else {
            drop(reader);
        }
        let id = head.content;
        let content = Content::arriving(rope.clone(), first, room);
        let (arrived, has_arrived) = oneshot::channel::<()>();
        let pumping = async {
            self.bring(body, (&key, &head), writer, &rope).await;
            drop(arrived);
        };
        let putting = async {
            let (head, content) = combine(self.look.part.as_ref(), &head, content)?;
            let stored_head = StoredHead::response(key.clone(), Arc::clone(&head));
            let response = StoredResponse { head: stored_head, content };
            let has_arrived = async { _ = has_arrived.await };
            self.keep(&key, &head, response, has_arrived).await.then_some(())
        };
        future::join(pumping, putting).await;
        self.withdraw_if_invalidated(&key, id).await;
    }

    /// RFC 9111 section 3.4: what was missing has come, and makes a complete response of the parts. `Some` if it may not.
    pub(crate) async fn complete(
        mut self,
        request: &request::Parts,
        filled: Filled,
        mut sent: Sent<B>,
    ) -> Option<Self> {
        let framed = self.framed(&sent, storing::content_length(&sent.parts.headers));
        let headers = filled.fields(&sent.parts.headers);
        let arrival = Arrival {
            update: Some(&sent.parts.headers),
            stored: Some(&filled.part.head),
            groups: filled.part.head.rare.groups.clone(),
            ..self.arrival(request, StatusCode::OK, &headers, &sent)
        };
        let received = self.engine.receive(self.lead.primary(), &self.look, arrival);
        let has_size =
            framed.is_ok_and(|declared| declared.is_none_or(|size| size == filled.size()));
        match received {
            Ok(received) if has_size => {
                let delay = delay_of(&sent);
                let (before, after) = filled.around();
                let body = Around::new(before, sent.body, after);
                sent.parts.headers = headers;
                self.store(received, Some(filled.complete), (sent.parts, delay), body).await;
            }
            // What is wrong with this request says nothing of the parts, which stay for others.
            Err(reason) if has_size && reason.is_of_request() => {
                if let Some(reply) = self.reply.take() {
                    _ = reply.send(Ok(filled.for_one(sent.parts, sent.body, reason)));
                }
            }
            // A part is no answer to who asked for the whole: it has to be asked for.
            _ => return Some(self),
        }
        None
    }
}

/// Stored parts, and the gap in them that an answer fills.
pub(crate) struct Filled {
    part: Found,
    gap: Range<u64>,
    /// The length of the whole.
    complete: u64,
}

impl Filled {
    /// `None` unless the answer, a 206, has just what is missing, under the same strong validator (RFC 9111 section 3.4).
    pub(crate) fn of(part: &Found, gap: &Range<u64>, answer: &HeaderMap) -> Option<Self> {
        let complete = part.head.rare.part.as_ref()?.complete;
        let filled = Self { part: part.clone(), gap: gap.clone(), complete };
        let size = filled.size();
        let fits = range::carried(answer)? == (gap.clone(), complete)
            && storing::content_length(answer).is_ok_and(|len| len.is_none_or(|len| len == size))
            && validation::is_same_strong(&part.head.headers, answer);
        fits.then_some(filled)
    }

    fn size(&self) -> u64 {
        self.gap.end.saturating_sub(self.gap.start)
    }

    /// Those of the whole.
    fn fields(&self, new: &HeaderMap) -> HeaderMap {
        let mut headers = combined_fields(Some(&self.part), new);
        headers.insert(header::CONTENT_LENGTH, self.complete.into());
        headers
    }

    /// What is stored before the gap and behind it.
    fn around(&self) -> (ContentBody, ContentBody) {
        let Self { part: Found { head, content }, gap, complete } = self;
        let read = |range| {
            let stored = head.rare.part.as_ref().and_then(|parts| parts.locate(&range));
            content.read_range(stored.unwrap_or_default())
        };
        (read(0..gap.start), read(gap.end..*complete))
    }

    /// The whole, for the one who asked: it is not stored, and what is stored stays as it is.
    pub(crate) fn for_one<B, C>(
        self,
        mut answer: response::Parts,
        body: B,
        reason: NotStored,
    ) -> Fetched<C>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut headers = fields_for_one(self.fields(&answer.headers), &answer.headers);
        // The place that stored heads have for it.
        if headers.get(&CACHE_STATUS).is_some_and(HeaderValue::is_empty) {
            headers.remove(&CACHE_STATUS);
        }
        (answer.status, answer.headers) = (StatusCode::OK, headers);
        let (before, after) = self.around();
        let missing = ContentBody::of_origin(body, self.size());
        let body = ContentBody::chain(vec![before, missing, after]);
        Fetched::Combined { response: Response::from_parts(answer, body), reason }
    }
}

static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// RFC 9111 section 3.4: the stored fields, updated by those of the new part.
fn combined_fields(stored: Option<&Found>, new: &HeaderMap) -> HeaderMap {
    let mut headers = match stored {
        Some(found) => {
            let mut headers = found.head.headers.clone();
            validation::freshen(&mut headers, new);
            headers
        }
        None => new.clone(),
    };
    for name in validation::CONTENT_DIGESTS.iter().chain(&[header::CONTENT_RANGE]) {
        headers.remove(name);
    }
    headers
}

/// RFC 9111 section 3.4: parts with the same strong validator are one; else the new one stands alone. Nothing is read before the store reads it. `None` if a
/// piece is not there.
fn combine(
    stored: Option<&Found>,
    head: &Arc<ResponseHead>,
    new: Content,
) -> Option<(Arc<ResponseHead>, Content)> {
    let combined = stored.and_then(|old| {
        let is_same = validation::is_same_strong(&old.head.headers, &head.headers);
        let old_parts = old.head.rare.part.as_ref()?;
        let (parts, pieces) = old_parts.combine(head.rare.part.as_ref()?)?;
        is_same.then_some((&old.content, old_parts, parts, pieces))
    });
    let Some((old, old_parts, parts, pieces)) = combined else {
        return Some((Arc::clone(head), new));
    };
    let mut bodies = Vec::new();
    for (whose, range) in pieces {
        bodies.push(match whose {
            Whose::Old => old.read_range(old_parts.locate(&range)?),
            // What is new is one piece, and wins.
            Whose::New => new.read(),
        });
    }
    // The trailers of a part are not those of the whole.
    bodies.push(Content::from(Bytes::new()).read());
    let content = Content::once(Some(parts.len()), ContentBody::chain(bodies));
    let part = Some(parts).filter(|parts| !parts.is_complete());
    let rare = RareParts { part, ..(*head.rare).clone() }.into();
    Some((Arc::new(ResponseHead { rare, ..(**head).clone() }), content))
}

pin_project! {
    /// A body between two stored pieces.
    struct Around<B> {
        before: Option<ContentBody>,
        #[pin]
        middle: B,
        is_over: bool,
        after: ContentBody,
    }
}

impl<B> Around<B> {
    fn new(before: ContentBody, middle: B, after: ContentBody) -> Self {
        Self { before: Some(before), middle, is_over: false, after }
    }
}

impl<B> Body for Around<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(before) = this.before {
            match ready!(Pin::new(before).poll_frame(cx)) {
                Some(frame) => return Poll::Ready(Some(frame)),
                None => *this.before = None,
            }
        }
        if !*this.is_over {
            match ready!(this.middle.poll_frame(cx)) {
                Some(frame) => return Poll::Ready(Some(frame.map_err(Into::into))),
                None => *this.is_over = true,
            }
        }
        Pin::new(this.after).poll_frame(cx)
    }
}
