//! May this head answer this request now, or in place of a failing origin, under the policy of its behaviour?
use super::{
    Engine,
    look_up::{Found, LookUp},
};
use crate::{
    clock::Moment,
    semantics::{
        cache_status::Forward,
        directives::RequestDirectives,
        freshness::Freshness,
        reuse::{self, Verdict},
    },
    stored::ResponseHead,
};

impl Engine {
    /// `asked` is what the client asks of caches, as far as the policy honours it.
    #[inline]
    pub(super) fn judge(
        &self,
        asked: &RequestDirectives,
        head: &ResponseHead,
        freshness: Freshness,
    ) -> Verdict {
        reuse::judge(asked, &head.directives, freshness, &self.policy.stale)
    }

    /// The same for what a look-up has found: what was made invalid softly answers nobody before it was validated, not even who takes what is stale.
    pub(super) fn judge_found(
        &self,
        asked: &RequestDirectives,
        look: &LookUp,
        found: &Found,
        freshness: Freshness,
    ) -> Verdict {
        match self.judge(asked, &found.head, freshness) {
            Verdict::Fresh if look.invalidated && !freshness.is_fresh() => {
                Verdict::MustAsk(Forward::Stale)
            }
            verdict => verdict,
        }
    }

    /// RFC 5861 section 4. An old fault says no more than the new one.
    pub(super) fn may_serve_on_error(&self, head: &ResponseHead, freshness: Freshness) -> bool {
        !head.status.is_server_error()
            && reuse::may_serve_on_error(&head.directives, freshness, &self.policy.stale)
    }

    /// What was found, if it may answer since the origin fails.
    pub(super) fn stale_for_error(&self, look: &LookUp, now: &Moment) -> Option<Found> {
        let found = look.found.as_ref()?;
        let freshness = found.head.freshness(now);
        self.may_serve_on_error(&found.head, freshness).then(|| found.clone())
    }
}
