//! One test: its own cache, its own origin, its own time.
use crate::{
    client::{self, NoReply, Reply},
    definition::Case,
    judge::{judge_arrivals, judge_reply},
    origin,
    outcome::{Finding, Outcome, Verdict},
    session::Session,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CdnCacheLayer, Clock, MemoryStore};

/// `pause_after`.
const PAUSE: Duration = Duration::from_secs(3);
/// Between a response and the next request some time passes on every network, in which the cache can end what it has to.
const HOP: Duration = Duration::from_millis(1);
/// When all tests start: 2026-01-01 00:00:00.5, so that a run does not depend on the day and the fraction of its second.
const START: Duration = Duration::from_millis(1_767_225_600_500);

pub(crate) fn replay(case: &Arc<Case>, policy: CachePolicy) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(case, policy))
}

async fn run(case: &Arc<Case>, policy: CachePolicy) -> Outcome {
    let clock = clock();
    let session = Arc::new(Session::new(Arc::clone(case), clock.clone()));
    let origin = {
        let session = Arc::clone(&session);
        service_fn(move |request: Request<Full<Bytes>>| {
            origin::answer(Arc::clone(&session), request)
        })
    };
    let store = MemoryStore::new(16 * 1024 * 1024);
    let cache = CdnCacheLayer::builder(store).policy(policy).clock(clock).build().layer(origin);

    let mut replies: Vec<Reply> = Vec::new();
    let mut trace = String::new();
    for (number, step) in (1..).zip(&case.steps) {
        let request = client::compose(&session, step, number, replies.last());
        let method = request.method().clone();
        let _ = write!(trace, "\n  step {number}: {method} {}", request.uri());
        let reply = client::receive(&method, cache.clone().oneshot(request)).await;
        describe(&mut trace, &reply);
        if let Err(finding) = judge_reply(step, number, session.token(), &reply) {
            return finding.into_outcome(&trace);
        }
        replies.extend(reply);
        sleep(if step.pause_after { PAUSE } else { HOP }).await;
    }
    let arrivals = session.arrivals().clone();
    match judge_arrivals(case, &arrivals, &replies) {
        Ok(()) => Outcome { verdict: Verdict::Pass, report: String::new() },
        Err(finding) => finding.into_outcome(&trace),
    }
}

fn clock() -> Clock {
    let start = Instant::now();
    Clock::from_fn(move || SystemTime::UNIX_EPOCH + START + start.elapsed())
}

fn describe(trace: &mut String, reply: &Result<Reply, NoReply>) {
    let _ = match reply {
        Ok(reply) => {
            let said = reply.field("cache-status").unwrap_or_default();
            write!(trace, " -> {} ({said})", reply.status.as_u16())
        }
        Err(error) => write!(trace, " -> {error:?}"),
    };
}

impl Finding {
    fn into_outcome(self, trace: &str) -> Outcome {
        let report = format!("{}: {}{trace}", self.verdict.explained(), self.text);
        Outcome { verdict: self.verdict, report }
    }
}
