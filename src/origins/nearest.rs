//! The quickest and least busy of equal origins.
use super::{check::Checks, failover::Members, health::Standing};
use http::request::Parts;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tower::util::rng::{HasherRng, Rng};

/// Equal origins, such as regional caches or replicas: a request goes to the better of two that are picked at random.
///
/// Better is what has the lower product of latency and requests under way. The latency is that of heads of responses, a moving average that jumps
/// to each peak at once and forgets it over 10 s. Of two picked at random one is never the worst, and several edges do not all run to the same best one.
///
/// To fail is not to be quick: an attempt that is not answered well counts as ten times the time until the request has its answer from another one, and never as
/// less than what was expected. One whose client leaves counts as no less either. A request with content may be as slow as its client: it never counts as slower than what is known.
///
/// If that one does not answer well, the others follow by latency and load, with the rules of [`OriginGroup`](super::OriginGroup): which requests
/// are sent twice, what comes back at the end, which origins are skipped. An origin whose pause is over is probed by the next request that may.
///
/// Needs a tokio runtime with time enabled. All clones share what they know of the origins.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use tower::{ServiceExt, service_fn};
/// use tower_cdn::origins::Nearest;
///
/// let region = service_fn(|_: Request<Full<Bytes>>| async {
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
/// });
/// let nearest = Nearest::new(["eu-west", "eu-north", "us-east"].map(|name| (name, region)));
///
/// let response = nearest.oneshot(Request::new(Full::default())).await.unwrap();
/// assert_eq!(response.status(), 200);
/// # });
/// ```
#[derive(Debug)]
pub struct Nearest<S> {
    members: Arc<Members<S>>,
    checks: Option<Arc<Checks>>,
    random: Arc<Mutex<HasherRng>>,
}

group!(Nearest { random });

impl<S> Nearest<S> {
    fn from_members(members: Arc<Members<S>>) -> Self {
        Self { members, checks: None, random: Arc::new(Mutex::new(HasherRng::new())) }
    }

    /// Who is to be probed, then the better of two that are well, then the others, the best ones first.
    fn order(&self, _: &Parts) -> Vec<usize> {
        let now = Instant::now();
        let mut members: Vec<_> = (self.members.all.iter().enumerate())
            .map(|(n, member)| (n, member.health.standing(now), member.meter.cost()))
            .collect();
        members.sort_by(|(_, one, cost), (_, other, other_cost)| {
            place(*one).cmp(&place(*other)).then(cost.total_cmp(other_cost))
        });
        let due = members.iter().take_while(|(_, standing, _)| *standing == Standing::Due).count();
        let up = members.iter().filter(|(_, standing, _)| *standing == Standing::Up).count();
        if let Some(up) = members.get_mut(due..due.saturating_add(up)) {
            // They are sorted, so the better of the two is the earlier one.
            let first = self.pick_two(up.len());
            if let Some(better) = up.get_mut(..=first) {
                better.rotate_right(1);
            }
        }
        members.into_iter().map(|(n, ..)| n).collect()
    }

    /// The lower one of two different places among so many.
    fn pick_two(&self, count: usize) -> usize {
        if count < 3 {
            return 0;
        }
        let count = count as u64;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let one = random.next_u64() % count;
        let other = random.next_u64() % (count - 1);
        let other = if other >= one { other + 1 } else { other };
        one.min(other) as usize
    }
}

fn place(standing: Standing) -> u8 {
    match standing {
        Standing::Due => 0,
        Standing::Up => 1,
        Standing::Down => 2,
    }
}
