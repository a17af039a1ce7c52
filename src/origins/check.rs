//! Active checks: asking origins on a schedule whether they are well.
use super::{
    OriginName,
    failover::Members,
    health::{Change, Reporter},
};
use futures_util::{FutureExt, future::join_all};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{self, Instant, MissedTickBehavior},
};

/// The task that checks; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Checks(JoinHandle<()>);

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Checks all origins at once, and again when the time is over. A check that takes longer than that has failed, and so has one that panics.
pub(crate) fn start<S, C, F>(members: Arc<Members<S>>, every: Duration, check: C) -> Arc<Checks>
where
    S: Clone + Send + Sync + 'static,
    C: Fn(S) -> F + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    // A clock cannot tick without a period.
    let every = every.max(Duration::from_millis(1));
    Arc::new(Checks(tokio::spawn(async move {
        let mut ticks = time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let checks = members.all.iter().map(|member| {
                let call = AssertUnwindSafe(|| check(member.service.clone()));
                let begun = catch_unwind(call).ok();
                async move { (member, ends_well(begun, every).await) }
            });
            for (member, is_well) in join_all(checks.collect::<Vec<_>>()).await {
                let change = if is_well {
                    member.health.succeeded()
                } else {
                    member.health.failed(&members.policy, Instant::now(), Reporter::Check)
                };
                log(&member.name, change);
            }
        }
    })))
}

/// The rest of a check, unless it panicked at once.
async fn ends_well<F: Future<Output = bool>>(begun: Option<F>, limit: Duration) -> bool {
    let Some(check) = begun else { return false };
    let checked = time::timeout(limit, AssertUnwindSafe(check).catch_unwind()).await;
    matches!(checked, Ok(Ok(true)))
}

/// Tells the operator that an origin goes, or comes back.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(crate) fn log(origin: &OriginName, change: Change) {
    #[cfg(feature = "tracing")]
    match change {
        Change::None => {}
        Change::WentDown => tracing::warn!(target: "tower_cdn", %origin, "origin is skipped"),
        Change::CameBack => tracing::info!(target: "tower_cdn", %origin, "origin is back"),
    }
}
