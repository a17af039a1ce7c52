//! A tier of regional caches between an edge and its origins.

use std::time::Duration;

use http_body_util::Either;
use hyper::Response;
use tower::util::MapResponse;
use tower_cdn::origins::{FailoverPolicy, Nearest, OriginGroup, Regional, Sharded};

use crate::admin::Regions;
use crate::body::OriginBody;
use crate::origin::Origin;
use crate::plan::{By, RegionalPlan};
use crate::upgrade::Tunnels;
use crate::upstream::Upstream;

/// The regional caches of this plan.
pub(crate) fn tier(plan: &RegionalPlan, tunnels: &Tunnels) -> Upstream {
    let caches = plan.caches.iter().map(|cache| {
        let name = cache.url.authority.to_string();
        (name, Upstream::new(Origin::new(cache.clone(), tunnels.clone())))
    });
    match plan.by {
        By::Nearest => Upstream::new(Nearest::with_policy(policy(plan), caches)),
        By::Sharded => Upstream::new(Sharded::with_policy(policy(plan), caches)),
    }
}

/// What asks the tier, and the origin directly where the tier gains nothing or where none of its
/// caches can be reached.
pub(crate) fn before(
    origin: Upstream,
    tier: Upstream,
    plan: &RegionalPlan,
    regions: Regions,
) -> Upstream {
    let either = [("regional", tier), ("origin", origin.clone())];
    let regional = Regional::new(OriginGroup::with_policy(policy(plan), either), origin)
        .local(plan.local.iter().cloned())
        .tells(move |changed| regions.clone().tell(changed));
    let same =
        |response: Response<Either<OriginBody, OriginBody>>| response.map(Either::into_inner);
    Upstream::new(MapResponse::new(regional, same))
}

/// An error response of a regional cache is the origin's: no other cache can do better.
fn policy(plan: &RegionalPlan) -> FailoverPolicy {
    // Longer than an answer takes, its turn and connecting included: it says itself what was too slow.
    let limits = plan.caches.iter().map(|cache| &cache.limits);
    let longest = limits.map(|limits| limits.connect.saturating_add(limits.first_byte)).max();
    let timeout = longest.unwrap_or_default().saturating_add(Duration::from_secs(5));
    FailoverPolicy::default().statuses([]).unhealthy([]).timeout(timeout)
}
