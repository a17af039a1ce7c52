//! How a new response comes to be stored, and to all who wait for it (RFC 9111 section 3).
use super::{
    fetch::Sent,
    fetched::FromOrigin,
    flight::Source,
    landing::{Course, delay_of},
    read_ahead::ReadAhead,
    reception::Reception,
};
use crate::{
    BoxError, CacheKey, DoNotStore, StoredHead, StoredResponse,
    semantics::storing::NotStored,
    stored::{Content, ResponseHead, of_its_size, rope},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, join};
use http::{request, response};
use http_body::Body;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::yield_now};

/// A response that is being stored.
struct Storing {
    key: CacheKey,
    head: Arc<ResponseHead>,
    /// For the content, if it is known to be small.
    room: BytesMut,
    /// What the answer took to come.
    delay: Duration,
    origin: FromOrigin,
}

impl<B, E> Course<B, E>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) fn store_or_decline(
        self,
        request: &request::Parts,
        sent: Sent<B>,
    ) -> impl Future<Output = ()> + use<B, E> {
        let arrival = self.arrival(request, sent.parts.status, &sent.parts.headers, &sent);
        let received = self.engine.receive(self.lead.primary(), &self.look, arrival);
        self.store_received(received, sent)
    }

    pub(crate) fn store_received(
        self,
        received: Result<Reception, NotStored>,
        sent: Sent<B>,
    ) -> impl Future<Output = ()> {
        let framed = received.and_then(|received| {
            let declared = self.framed(&sent, Ok(received.declared))?;
            Ok((received, declared))
        });
        let delay = delay_of(&sent);
        let Sent { parts, body, .. } = sent;
        match framed {
            Ok((received, declared)) => {
                Either::Left(self.store(received, declared, (parts, delay), body))
            }
            Err(reason) => Either::Right(self.decline(reason, parts, body)),
        }
    }

    /// RFC 9111 section 3: the response goes to all, and to the store.
    pub(crate) fn store<C>(
        self,
        received: Reception,
        declared: Option<u64>,
        (parts, delay): (response::Parts, Duration),
        body: C,
    ) -> impl Future<Output = ()>
    where
        C: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Reception { key, head, own, room, .. } = received;
        self.engine.shared.unshareable.forget(&key);
        let origin = FromOrigin {
            status: Some(parts.status),
            stored: true,
            extensions: parts.extensions,
            fields: Some(own.of(parts.headers)),
        };
        self.store_content(Storing { key, head, room, delay, origin }, declared, body)
    }

    /// Its content may be there, or is still to come.
    async fn store_content<C>(self, storing: Storing, declared: Option<u64>, body: C)
    where
        C: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let body = pin!(Some(body));
        let body = match declared.filter(|length| *length <= LONGEST_AT_ONCE) {
            Some(length) => match ReadAhead::all(body, length).await {
                Ok(content) => return self.store_whole(storing, content).await,
                Err(ahead) => ahead,
            },
            None => ReadAhead::nothing(body),
        };
        // Boxed, since it takes several times the room of what is stored at once.
        Box::pin(self.store_arriving(storing, declared, body)).await;
    }

    /// All of its content is there.
    async fn store_whole(mut self, storing: Storing, received: Bytes) {
        let Storing { key, head, mut room, delay, origin } = storing;
        // A copy, since what was received keeps larger buffers alive.
        room.reserve(received.len());
        room.extend_from_slice(&received);
        drop(received);
        let content = Content::from(of_its_size(room));
        self.hand_out(&key, &head, Source::Stored(content.clone()), delay, origin);
        if !self.is_outdated(&key, &head).await {
            let stored_head = StoredHead::response(key.clone(), Arc::clone(&head));
            let response = StoredResponse { head: stored_head, content };
            self.keep(&key, &head, response, async {}).await;
        }
        self.withdraw_if_invalidated(&key, head.content).await;
    }

    /// Its content goes to all while it arrives, and the store is one more reader of it.
    async fn store_arriving<C>(mut self, storing: Storing, declared: Option<u64>, body: C)
    where
        C: Body<Data = Bytes>,
    {
        let Storing { key, head, room, delay, origin } = storing;
        let (writer, rope) = rope::channel(self.engine.window(), declared);
        let Some(first) = rope.store_reader() else { return };
        self.hand_out(&key, &head, Source::Arriving(rope.clone()), delay, origin);
        if declared.is_none_or(|declared| declared > LONGEST_AT_ONCE) {
            // The head goes out before what may take longer.
            yield_now().await;
        }

        let stored_head = StoredHead::response(key.clone(), Arc::clone(&head));
        let content = Content::arriving(rope.clone(), first, room);
        let response = StoredResponse { head: stored_head, content };
        let (arrived, has_arrived) = oneshot::channel::<()>();
        let pumping = async {
            self.bring(body, (&key, &head), writer, &rope).await;
            drop(arrived);
        };
        let putting = async {
            let kept = self.keep(&key, &head, response, async { _ = has_arrived.await }).await;
            let is_wanted = kept && rope.has_left_behind();
            let stored = if is_wanted { self.engine.get_at(&key).await } else { None };
            let stored = stored.filter(|(kind, _)| kind.has_content(head.content));
            rope.settle(stored.map(|(_, content)| content));
        };
        join(pumping, putting).await;
        self.withdraw_if_invalidated(&key, head.content).await;
    }

    /// What the body and the inner service say against storing; else the length, if it is known.
    pub(super) fn framed(
        &self,
        sent: &Sent<B>,
        declared: Result<Option<u64>, ()>,
    ) -> Result<Option<u64>, NotStored> {
        if sent.parts.extensions.get::<DoNotStore>().is_some() {
            return Err(NotStored::Declined);
        }
        let declared = declared.map_err(|()| NotStored::Framing)?;
        let exact = sent.body.size_hint().exact();
        match (declared, exact) {
            (Some(declared), Some(exact)) if declared != exact => Err(NotStored::Framing),
            (_, Some(exact)) if exact > self.engine.policy.limits.max_object => {
                Err(NotStored::TooLarge)
            }
            (declared, exact) => Ok(declared.or(exact)),
        }
    }
}

/// Content that is not longer is taken and stored before the task gives others their turn.
const LONGEST_AT_ONCE: u64 = 64 * 1024;
