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
use crate::upstream::{BoxError, Upstream};

/// Longer than a regional cache has to give an answer, connecting included: it says itself what was
/// too slow.
const TIMEOUT: Duration = Duration::from_secs(50);

/// What asks the regional caches of this plan, and the origin directly where they gain nothing or
/// where none of them can be reached.
pub(crate) fn before(
    origin: Upstream<BoxError>,
    plan: &RegionalPlan,
    regions: Regions,
    tunnels: &Tunnels,
) -> Upstream<BoxError> {
    // An error response of a regional cache is the origin's: no other cache can do better.
    let policy = || FailoverPolicy::default().statuses([]).unhealthy([]).timeout(TIMEOUT);
    let caches = plan.caches.iter().map(|cache| {
        let name = cache.url.authority.to_string();
        (name, Upstream::<BoxError>::new(Origin::new(cache.clone(), tunnels.clone())))
    });
    let tier: Upstream<BoxError> = match plan.by {
        By::Nearest => Upstream::new(Nearest::with_policy(policy(), caches)),
        By::Sharded => Upstream::new(Sharded::with_policy(policy(), caches)),
    };
    let either = [("regional", tier), ("origin", origin.clone())];
    let regional = Regional::new(OriginGroup::with_policy(policy(), either), origin)
        .local(plan.local.iter().cloned())
        .tells(move |changed| regions.clone().tell(changed));
    let same =
        |response: Response<Either<OriginBody, OriginBody>>| response.map(Either::into_inner);
    Upstream::new(MapResponse::new(regional, same))
}
