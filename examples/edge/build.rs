//! The services of a plan.

use std::convert::Infallible;

use crate::admin::Regions;
use crate::origin::Origin;
use crate::plan::{Named, Plan};
use crate::upgrade::Tunnels;
use crate::upstream::{BoxError, Upstream};

/// What answers inside the cache.
pub(crate) fn upstream(
    plan: &Plan,
    regions: Regions,
    tunnels: &Tunnels,
) -> Result<Upstream<Infallible>, String> {
    let [Named { plan: origin, .. }] = &plan.origins[..] else {
        return Err("there is no origin".to_owned());
    };
    let origin = Upstream::new(Origin::new(origin.clone(), tunnels.clone()));
    Ok(Upstream::answering(between(origin, plan, regions, tunnels)))
}

/// With the regional caches in front, if there are any.
#[cfg(feature = "origins")]
fn between(
    origins: Upstream<BoxError>,
    plan: &Plan,
    regions: Regions,
    tunnels: &Tunnels,
) -> Upstream<BoxError> {
    match &plan.regional {
        Some(plan) => crate::regional::before(origins, plan, regions, tunnels),
        None => origins,
    }
}

/// The plan has none.
#[cfg(not(feature = "origins"))]
fn between(origins: Upstream<BoxError>, _: &Plan, _: Regions, _: &Tunnels) -> Upstream<BoxError> {
    origins
}
