//! What a fetch tells the request that started it.
use super::flight::{Landed, Supply};
use crate::{
    ContentBody,
    semantics::{cache_status::Detail, storing::NotStored},
};
use http::{Extensions, HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

/// What the request that started the fetch gets.
pub(crate) enum Fetched<B> {
    /// Anyone may have it.
    Landed { landed: Landed, supply: Supply, origin: FromOrigin },
    /// The range that was asked for; it is being stored.
    Part { response: Response<ContentBody> },
    /// Stored parts with what was missing of them: only the request that asked may have that.
    Combined { response: Response<ContentBody>, reason: NotStored },
    /// Only the request that asked may have it.
    Private { response: Response<B>, reason: NotStored },
    /// There is nothing that may be sent.
    Nothing { status: StatusCode, detail: Detail },
}

/// What the origin had to do with it.
#[derive(Default)]
pub(crate) struct FromOrigin {
    /// The status of its answer; `None` if it was not asked, or did not answer.
    pub(crate) status: Option<StatusCode>,
    /// The response is being stored.
    pub(crate) stored: bool,
    /// Those of its answer, for the one who asked.
    pub(crate) extensions: Extensions,
    /// The fields for the one who asked: some may be for nobody else. `None` if they are those that are stored.
    pub(crate) fields: Option<HeaderMap>,
}

pub(crate) type Reply<B, E> = oneshot::Sender<Result<Fetched<B>, E>>;
