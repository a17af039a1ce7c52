//! The way of a response into the store, and out of it again if it should not be there.
use super::{
    landing::Course,
    pump::{Arrived, pump},
    shelf::Put,
};
use crate::{
    CacheKey, StoredResponse,
    error::Cut,
    invalidation::Validity,
    semantics::reuse,
    stored::{
        Kind, ResponseHead,
        rope::{Rope, Writer},
    },
};
use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use std::future::Future;

impl<B, E> Course<B, E> {
    /// From the origin to all who read it. The store gets to its end only if nothing newer has taken its place by then.
    pub(super) async fn bring<C>(
        &self,
        body: C,
        (key, head): (&CacheKey, &ResponseHead),
        writer: Writer,
        rope: &Rope,
    ) where
        C: Body<Data = Bytes>,
    {
        let Self { engine, lead, .. } = self;
        let directives = head.directives.get();
        let arrived = pump(body, &directives, &writer, rope, lead, &engine.policy).await;
        let Some(Arrived { trailers }) = arrived else { return };
        if self.is_outdated(key, head).await {
            rope.refuse_store(Cut::NotStored);
        }
        writer.finish(trailers);
    }

    /// Something has invalidated the response since it was asked for, or something newer is stored.
    pub(super) async fn is_outdated(&self, key: &CacheKey, head: &ResponseHead) -> bool {
        !self.lead.may_store() || self.lead.has_rivals() && self.is_overtaken(key, head).await
    }

    /// What was asked for later has been stored, or has updated what is stored.
    pub(super) async fn is_update_late(&self, key: &CacheKey, head: &ResponseHead) -> bool {
        self.lead.has_newer_updates() && self.is_overtaken(key, head).await
    }

    /// Two parts are not in each other's way, unless they are one.
    async fn is_overtaken(&self, key: &CacheKey, head: &ResponseHead) -> bool {
        let is_other_part = |there: &ResponseHead| {
            there.rare.part.is_some() && head.rare.part.is_some() && there.content != head.content
        };
        let there = self.engine.get_at(key).await.map(|(kind, _)| kind);
        matches!(there, Some(Kind::Response(there)) if there.fetch > head.fetch && !is_other_part(&there))
    }

    /// Puts a response in its place, and in the list of variants if it is one. False if it is not there now.
    pub(super) async fn keep(
        &self,
        key: &CacheKey,
        head: &ResponseHead,
        response: StoredResponse,
        arrived: impl Future<Output = ()>,
    ) -> bool {
        let Self { engine, lead, look, .. } = self;
        match engine.put_at(key, response, arrived).await {
            Put::Kept => {}
            Put::TooLarge => {
                Box::pin(self.remove_superseded(head.status)).await;
                return false;
            }
            Put::Failed => return false,
        }
        if lead.may_store() {
            match (&head.rare.variant, &look.index) {
                (Some(_), index) => {
                    let had_index = index.is_some();
                    // Boxed, since most responses are no variants and need not take the room.
                    Box::pin(engine.index_variant(lead.primary(), key, head, had_index)).await;
                }
                // A response without Vary took the place of the list.
                (None, Some(index)) => {
                    for variant in index.keys() {
                        engine.delete_at(variant).await;
                    }
                }
                (None, None) => {}
            }
        }
        true
    }

    /// RFC 9111 section 4.3.3: a full response that is too large to be stored tells all the same that what was stored is not what is there now. It would be found
    /// again and again, and be asked about in vain. What is newer than this fetch stays, and so does what an origin that fails has not replaced.
    async fn remove_superseded(&self, status: StatusCode) {
        let Self { engine, lead, look, .. } = self;
        let is_replaced = lead.may_store() && !reuse::is_origin_failure(status);
        let Some(found) = look.found.as_ref().filter(|_| is_replaced) else { return };
        let there = engine.get_at(&look.key).await.map(|(kind, _)| kind);
        if matches!(there, Some(Kind::Response(there)) if there.fetch == found.head.fetch) {
            engine.delete_at(&look.key).await;
        }
    }

    /// The store may have got it after it was invalidated.
    pub(super) async fn withdraw_if_invalidated(&self, key: &CacheKey, content: u64) {
        let Self { engine, lead, .. } = self;
        let is_uri = engine.shared.flights.is_invalidated(lead.primary(), lead.number());
        if !is_uri && engine.shared.rules.newest() < lead.number() {
            return;
        }
        let there = engine.get_at(key).await.filter(|(kind, _)| kind.has_content(content));
        let is_gone = |kind: &Kind| match kind {
            Kind::Response(head) => {
                engine.shared.rules.validity(lead.primary(), head) == Validity::Hard
            }
            Kind::Variants(_) => false,
        };
        if there.is_some_and(|(kind, _)| is_uri || is_gone(&kind)) {
            self.withdraw(key).await;
        }
        if is_uri && key != lead.primary() {
            // The list of variants may have been made anew, with the generation of those that are invalid.
            self.withdraw(lead.primary()).await;
        }
    }

    async fn withdraw(&self, key: &CacheKey) {
        // Not while somebody adds to the list that he has read.
        let _turn = self.engine.shared.indexing.lock(key).await;
        if !self.engine.delete_at(key).await {
            self.engine.delete_later(key);
        }
    }
}
