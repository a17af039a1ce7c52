//! The services of a plan.

use std::convert::Infallible;

use crate::origin::Origin;
use crate::plan::{Named, OriginPlan};
use crate::upgrade::Tunnels;
use crate::upstream::Upstream;

/// What answers inside the cache.
pub(crate) fn upstream(
    origins: &[Named<OriginPlan>],
    tunnels: &Tunnels,
) -> Result<Upstream<Infallible>, String> {
    let [Named { plan, .. }] = origins else { return Err("there is no origin".to_owned()) };
    let origin = Origin::new(plan.clone(), tunnels.clone());
    Ok(Upstream::answering(Upstream::new(origin)))
}
