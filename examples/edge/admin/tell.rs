//! What answers have changed that the regional caches have not seen.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;
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
        let uris: Vec<_> = changed.uris().iter().map(ToString::to_string).collect();
        let body = json!({ "uris": uris, "groups": changed.groups() }).to_string();
        let body = Bytes::from(body);
        let mut first = Vec::new();
        for url in self.0.urls.iter().cloned() {
            let (told, is_told) = oneshot::channel();
            // The client may leave.
            tokio::spawn(self.clone().tell_one(url, body.clone(), told));
            first.push(is_told);
        }
        for is_told in first {
            // Either way there is nothing more to wait for.
            let _ = is_told.await;
        }
    }

    async fn tell_one(self, url: OriginUrl, body: Bytes, told: oneshot::Sender<()>) {
        let headers = HeaderMap::new();
        let first = self.say(&url, "/changed", &headers, body.clone(), TIMEOUT).await;
        drop(told);
        let Err(why) = first else { return };
        warn(&url, &why);
        let Ok(_place) = AGAIN.try_acquire() else { return };
        for pause in PAUSES {
            sleep(pause).await;
            if self.say(&url, "/changed", &headers, body.clone(), TIMEOUT).await.is_ok() {
                return;
            }
        }
        warn(&url, "it has been tried again");
    }
}

fn warn(url: &OriginUrl, why: &str) {
    let OriginUrl { scheme, authority } = url;
    // A warning that cannot be written must not stop the server.
    let _ = writeln!(
        io::stderr(),
        "edge: {scheme}://{authority} does not know what has changed: {why}"
    );
}
