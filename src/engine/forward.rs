//! Past the cache: what one client asks for himself, and nobody stores.
use super::{Engine, Origin, begin::Asked, fetched::FromOrigin, look_up::LookUp, request::Answer};
use crate::{CacheBody, CacheStatus, semantics::reuse};
use http::Request;
use std::{pin::pin, sync::Arc};
use tokio::time::{Instant, timeout_at};

/// Past the cache, with the client's own conditions and range; nothing is stored.
pub(super) async fn forward<O, Q>(
    engine: &Engine,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    status: CacheStatus,
) -> Answer<O, Q>
where
    O: Origin<Q>,
{
    let response = origin.send(Request::from_parts(engine.marked(asked), body)).await?;
    Ok(engine.exit(response.map(CacheBody::forwarded), status))
}

/// Past the cache as well; but if the origin fails, or has not answered until the stale deadline, what is stale answers where it may (RFC 5861 section 4).
pub(super) async fn forward_or_stale<O, Q>(
    engine: &Arc<Engine>,
    origin: O,
    asked: Arc<Asked>,
    body: Q,
    look: Box<LookUp>,
    (status, early): (CacheStatus, Option<Instant>),
) -> Answer<O, Q>
where
    O: Origin<Q>,
    Q: Send + 'static,
{
    if engine.stale_for_error(&look, &engine.clock.read()).is_none() {
        return forward(engine, origin, asked, body, status).await;
    }
    let spare = (!engine.shared.peek_tells_all).then(|| origin.clone());
    let head = engine.marked(Arc::clone(&asked));
    let mut sending = pin!(origin.send(Request::from_parts(head, body)));
    let in_time = match early {
        Some(early) => timeout_at(early, &mut sending).await.ok(),
        None => Some((&mut sending).await),
    };
    let has_failed = match &in_time {
        Some(Ok(response)) => reuse::is_origin_failure(response.status()),
        Some(Err(_)) | None => true,
    };
    if has_failed && let Some((landed, supply)) = engine.stale_for_all(&look) {
        let again = || Some((spare?, engine.spare.body()?));
        let supply = engine.mended(supply, &asked, (&landed.key, &landed.head), again);
        return Ok(engine.share(&asked, landed, supply, FromOrigin::default(), status));
    }
    let sent = match in_time {
        Some(sent) => sent,
        None => sending.await,
    };
    Ok(engine.exit(sent?.map(CacheBody::forwarded), status))
}
