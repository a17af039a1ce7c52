//! What answers have changed that the regional caches have not seen.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tower_cdn::Changed;

use super::Regions;
use crate::url::OriginUrl;

/// A client waits for its answer meanwhile.
const TIMEOUT: Duration = Duration::from_secs(2);

/// When it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// So many wait for that; more of them are given up at once.
static AGAIN: Semaphore = Semaphore::const_new(1024);

impl Regions {
    /// Tells all of them. Done when each has been told, or could not be told the first time.
    pub(crate) async fn tell(self, changed: Changed) {
        let bodies = bodies(&changed);
        let mut first = Vec::new();
        for url in self.0.urls.iter().cloned() {
            let (told, is_told) = oneshot::channel();
            // The client may leave.
            tokio::spawn(self.clone().tell_one(url, changed.clone(), bodies.clone(), told));
            first.push(is_told);
        }
        for is_told in first {
            // Either way there is nothing more to wait for.
            let _ = is_told.await;
        }
    }

    async fn tell_one(
        self,
        url: OriginUrl,
        changed: Changed,
        bodies: Vec<Bytes>,
        told: oneshot::Sender<()>,
    ) {
        let first = match timeout(TIMEOUT, self.say_all(&url, &bodies)).await {
            Ok(told) => told,
            Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
        };
        drop(told);
        let Err(why) = first else { return };
        warn(&url, &why);
        let Ok(_place) = AGAIN.try_acquire() else { return };
        for pause in PAUSES {
            sleep(pause).await;
            if self.say_all(&url, &bodies).await.is_ok() {
                // It may have been fetched from there again meanwhile.
                if let Some(own) = self.0.own.get() {
                    own.changed(&changed);
                }
                return;
            }
        }
        warn(&url, "it has been tried again");
    }

    async fn say_all(&self, url: &OriginUrl, bodies: &[Bytes]) -> Result<(), String> {
        for body in bodies {
            self.say(url, "/changed", &HeaderMap::new(), body.clone(), TIMEOUT).await?;
        }
        Ok(())
    }
}

/// In pieces that no region refuses, each with all URIs: the groups are those of their origins.
fn bodies(changed: &Changed) -> Vec<Bytes> {
    let uris: Vec<_> = changed.uris().iter().map(ToString::to_string).collect();
    let mut pieces: Vec<Vec<&String>> = vec![Vec::new()];
    let mut left = PIECE;
    for group in changed.groups() {
        match (left.checked_sub(group.len()), pieces.last_mut()) {
            (Some(rest), Some(piece)) if piece.len() < GROUPS => {
                left = rest;
                piece.push(group);
            }
            _ => {
                left = PIECE.saturating_sub(group.len());
                pieces.push(vec![group]);
            }
        }
    }
    let body = |groups| Bytes::from(json!({ "uris": uris, "groups": groups }).to_string());
    pieces.into_iter().map(body).collect()
}

/// Groups in a piece: with a few URIs they are fewer than a region takes.
const GROUPS: usize = 500;

/// Bytes of groups in a piece, of which JSON may make six times as many.
const PIECE: usize = 64 << 10;

/// When there was a warning the last time.
static WARNED: Mutex<Option<Instant>> = Mutex::new(None);

/// Once a second at most: how often there is reason to is up to clients.
fn warn(url: &OriginUrl, why: &str) {
    let now = Instant::now();
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.is_some_and(|then| now.duration_since(then) < Duration::from_secs(1)) {
        return;
    }
    *warned = Some(now);
    drop(warned);
    let OriginUrl { scheme, authority } = url;
    crate::warning::warn(&format!("{scheme}://{authority} does not know what has changed: {why}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_groups_are_told_in_pieces_each_with_all_uris() {
        let of = |count: usize| {
            let changed = Changed::new(hyper::Uri::from_static("http://a/"));
            bodies(&(0..count).fold(changed, |changed, n| changed.group(n.to_string())))
        };
        assert_eq!(of(0), [r#"{"groups":[],"uris":["http://a/"]}"#]);
        assert_eq!([of(500).len(), of(501).len(), of(1_250).len()], [1, 2, 3]);
        let long = Changed::new(format!("http://a/{}", "a".repeat(60_000)).parse().expect("a URI"));
        let long = (0..3).fold(long, |changed, _| changed.group("\u{1}".repeat(40_000)));
        let long = bodies(&long);
        assert_eq!(long.len(), 3);
        assert!(long.iter().all(|body| body.len() <= super::super::MAX_BODY));
        for body in of(1_250).into_iter().chain(long) {
            crate::admin::order::Order::read_changed(&body).expect("an order");
        }
    }
}
