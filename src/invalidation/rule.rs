//! What a rule is, and what rules say of a stored response.
use super::{
    mark::{Mark, Mode},
    target::Target,
};
use crate::clock::Moment;
use std::time::SystemTime;

/// Who has made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Operator,
    /// The answer to an unsafe request (RFC 9111 section 4.4, RFC 9875 section 3).
    Answer,
}

/// A rule that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    pub(crate) targets: Vec<Target>,
}

/// A rule: what was asked for before it, and is named by it, is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    pub(crate) targets: Vec<Target>,
}

/// What has to be told to the store about a rule that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) rule: Rule,
    /// The number of the newest rule before it.
    pub(crate) before: u64,
    /// Rules that say nothing any more.
    pub(crate) gone: Vec<u64>,
    /// Some were forgotten, and are part of the [`State`](super::record::State) now.
    pub(crate) has_forgotten: bool,
}

/// What rules say of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It is stale since then; it is not known since when if the rule was forgotten.
    Soft(Option<Moment>),
    /// As if it were not there.
    Hard,
}

/// What forgotten rules still say, of all that they might have named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors {
    /// Of URIs that answers have named: what the key of a response has beside its URI keeps it from being deleted, so that only those are concerned.
    pub(crate) uris: Mark,
    /// Of groups that answers have named: of responses with groups.
    pub(crate) groups: Mark,
    /// Of tags that operators have named: of responses with tags.
    pub(crate) tags: Mark,
    /// Of URIs and paths that operators have named: of all responses.
    pub(crate) rest: Mark,
}

impl Floors {
    pub(super) fn all(&self) -> [Mark; 4] {
        [self.uris, self.groups, self.tags, self.rest]
    }

    /// Everything that was asked for before is invalid.
    pub(crate) fn everything(number: u64) -> Self {
        Self { rest: Mark { hard: number, soft: 0 }, ..Self::default() }
    }
}
