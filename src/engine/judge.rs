//! May this head answer this request now, or in place of a failing origin, under the policy of its behaviour?
use super::Engine;
use crate::{
    semantics::{
        directives::RequestDirectives,
        freshness::Freshness,
        reuse::{self, Verdict},
    },
    stored::ResponseHead,
};

impl Engine {
    /// `asked` is what the client asks of caches, as far as the policy honours it.
    pub(super) fn judge(
        &self,
        asked: &RequestDirectives,
        head: &ResponseHead,
        freshness: Freshness,
    ) -> Verdict {
        reuse::judge(asked, &head.directives.get(), freshness, &self.policy.stale)
    }

    /// RFC 5861 section 4. An old fault says no more than the new one.
    pub(super) fn may_serve_on_error(&self, head: &ResponseHead, freshness: Freshness) -> bool {
        !head.status.is_server_error()
            && reuse::may_serve_on_error(&head.directives.get(), freshness, &self.policy.stale)
    }
}
