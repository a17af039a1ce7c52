//! A scripted origin, a client that asks and looks closely, and a world of virtual time in which they meet.
#![allow(dead_code, unused_imports, reason = "each file of tests uses a part of it")]
mod body;
mod brittle;
mod chosen;
mod client;
#[cfg(all(feature = "tiered", feature = "disk", unix))]
mod disk;
mod origin;
mod store;

pub(crate) use body::{Feed, OriginBody};
pub(crate) use brittle::{Break, Brittle};
pub(crate) use chosen::{Chosen, chosen};
pub(crate) use client::{Ask, Client, Reply, RequestBody};
pub(crate) use origin::{
    Answer, Hold, Origin, OriginError, Seen, answer, fail, hang, ok, panics, refreshed,
};
pub(crate) use store::{Call, Fault, PlainStore, Troubled};

use std::time::Duration;
use tower::Layer;
use tower_cdn::{Builder, CachePolicy, CdnCache, CdnCacheLayer, Clock, Stats};

/// A layer with a store in memory (or another one, see [`chosen`]) and the clock of tokio, in front of a scripted origin.
pub(crate) struct World {
    pub(crate) origin: Origin,
    pub(crate) layer: CdnCacheLayer,
    pub(crate) store: Chosen,
    pub(crate) clock: Clock,
    pub(crate) client: Client<CdnCache<Origin>>,
}

/// Everything by default.
pub(crate) fn world() -> World {
    world_with(|builder| builder)
}

/// With this policy.
pub(crate) fn world_of(policy: CachePolicy) -> World {
    world_with(|builder| builder.policy(policy))
}

pub(crate) fn world_with(configure: impl FnOnce(Builder) -> Builder) -> World {
    let store = chosen(64 * MEGABYTE as u64);
    let clock = Clock::tokio();
    let builder = CdnCacheLayer::builder(store.clone()).clock(clock.clone());
    let layer = configure(builder).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    World { origin, layer, store, clock, client }
}

impl World {
    pub(crate) fn get(&self, target: &str) -> Ask<CdnCache<Origin>> {
        self.client.get(target)
    }

    pub(crate) fn head(&self, target: &str) -> Ask<CdnCache<Origin>> {
        self.client.ask("HEAD", target)
    }

    pub(crate) fn post(&self, target: &str) -> Ask<CdnCache<Origin>> {
        self.client.ask("POST", target)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.layer.handle().stats()
    }

    /// The wall clock's time as a field value, this many seconds from now.
    pub(crate) fn date(&self, from_now: i64) -> String {
        let now = self.clock.now();
        let distance = Duration::from_secs(from_now.unsigned_abs());
        httpdate::fmt_http_date(if from_now < 0 { now - distance } else { now + distance })
    }

    /// Nothing is under way that should have ended.
    pub(crate) async fn assert_idle(&self) {
        settle().await;
        assert_eq!(self.stats().fetches, 0, "no fetch is left behind");
    }
}

/// Lets background tasks run until they wait for something. No time passes.
pub(crate) async fn settle() {
    while !has_settled().await {}
}

/// False if a disk was at work meanwhile.
async fn has_settled() -> bool {
    #[cfg(all(feature = "tiered", feature = "disk", unix))]
    let before = disk::work();
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    #[cfg(all(feature = "tiered", feature = "disk", unix))]
    let is_idle = disk::is_idle(before);
    #[cfg(not(all(feature = "tiered", feature = "disk", unix)))]
    let is_idle = true;
    is_idle
}

/// Turns of the runtime after which everything waits. A fuzzer cannot afford more than are needed.
const TURNS: usize = if cfg!(fuzzing) { 20 } else { 200 };

/// Time passes.
pub(crate) async fn pass(seconds: u64) {
    pass_for(Duration::from_secs(seconds)).await;
}

pub(crate) async fn pass_for(time: Duration) {
    settle().await;
    tokio::time::advance(time).await;
    settle().await;
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const KILOBYTE: usize = 1024;
pub(crate) const MEGABYTE: usize = 1024 * 1024;
