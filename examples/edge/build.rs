//! The services of a plan.

use tower_cdn::Builder;

use crate::admin::Regions;
use crate::bucket::BucketPlan;
use crate::origin::Origin;
use crate::plan::{Named, RegionalPlan, Rules, Source};
use crate::upgrade::Tunnels;
use crate::upstream::{Answering, Upstream};

/// What a plan's requests can be sent to, by name.
#[derive(Default)]
pub(crate) struct Sources {
    all: Vec<(Named<Source>, Upstream)>,
    /// In front of them.
    #[cfg(feature = "origins")]
    regional: Option<(RegionalPlan, Upstream)>,
}

impl Sources {
    /// Builds what is not there before in just the same way: what is keeps its connections, and what
    /// is known of its health.
    pub(crate) fn build(
        sources: &[Named<Source>],
        regional: Option<&RegionalPlan>,
        before: &Self,
        tunnels: &Tunnels,
    ) -> Result<Self, String> {
        let mut built = Self::default();
        for Named { name, .. } in sources {
            built.add(name, sources, before, tunnels)?;
        }
        #[cfg(feature = "origins")]
        built.set_regional(regional, before, tunnels);
        // The command line refuses them.
        #[cfg(not(feature = "origins"))]
        let _ = regional;
        Ok(built)
    }

    #[cfg(feature = "origins")]
    fn set_regional(&mut self, plan: Option<&RegionalPlan>, before: &Self, tunnels: &Tunnels) {
        self.regional = plan.map(|plan| {
            let same = |(known, _): &&(RegionalPlan, _)| {
                (&known.caches, known.by) == (&plan.caches, plan.by)
            };
            let tier = match before.regional.as_ref().filter(same) {
                Some((_, tier)) => tier.clone(),
                None => crate::regional::tier(plan, tunnels),
            };
            (plan.clone(), tier)
        });
    }

    /// Builds one, and before it the members that it has. None is a member of itself.
    fn add(
        &mut self,
        name: &str,
        plan: &[Named<Source>],
        before: &Self,
        tunnels: &Tunnels,
    ) -> Result<Upstream, String> {
        if let Some((_, built)) = self.find(name) {
            return Ok(built.clone());
        }
        let Some(named) = plan.iter().find(|named| named.name == name) else {
            return Err(format!("no origin is called {name}"));
        };
        let same = before.find(name).filter(|(known, _)| known == named).map(|(_, built)| built);
        let built = match &named.plan {
            Source::Origin(origin) => match same {
                Some(built) => built.clone(),
                None => Upstream::new(Origin::new(origin.clone(), tunnels.clone())),
            },
            Source::Bucket(bucket) => match same {
                Some(built) => built.clone(),
                None => of_bucket(bucket, tunnels)?,
            },
            #[cfg(feature = "origins")]
            Source::Group(group) => {
                let mut members = Vec::new();
                let mut are_same = true;
                for member in &group.members {
                    let built = self.add(member, plan, before, tunnels)?;
                    are_same &= before.find(member).is_some_and(|(_, known)| built.is(known));
                    members.push((member.clone(), built));
                }
                match same {
                    Some(built) if are_same => built.clone(),
                    _ => group.build(members),
                }
            }
        };
        self.all.push((named.clone(), built.clone()));
        Ok(built)
    }

    fn find(&self, name: &str) -> Option<&(Named<Source>, Upstream)> {
        self.all.iter().find(|(named, _)| named.name == name)
    }

    /// Hands each request to the source that its behaviour names, or to the only one; the regional
    /// caches are asked first.
    #[cfg(feature = "origins")]
    pub(crate) fn select(&self, regions: &Regions) -> Result<Answering, String> {
        use tower_cdn::origins::{ByExtension, Origins};
        let selected = match self.all.as_slice() {
            [(_, only)] => only.clone(),
            all => {
                let origins = Origins::new(ByExtension);
                Upstream::new(all.iter().fold(origins, |origins, (named, built)| {
                    origins.origin(named.name.clone(), built.clone())
                }))
            }
        };
        Ok(Answering(match &self.regional {
            Some((plan, tier)) => {
                crate::regional::before(selected, tier.clone(), plan, regions.clone())
            }
            None => selected,
        }))
    }

    /// Hands each request to the only origin.
    #[cfg(not(feature = "origins"))]
    pub(crate) fn select(&self, _: &Regions) -> Result<Answering, String> {
        match self.all.as_slice() {
            [(_, only)] => Ok(Answering(only.clone())),
            _ => Err("there is not one origin".to_owned()),
        }
    }
}

#[cfg(feature = "s3")]
fn of_bucket(plan: &BucketPlan, tunnels: &Tunnels) -> Result<Upstream, String> {
    use tower_cdn::origins::S3Origin;
    let (bucket, origin) = plan.bucket()?;
    let origin = Origin::new(origin, tunnels.clone());
    let signing = S3Origin::new(Upstream::new(origin), bucket)
        .map_err(|error| crate::fault::chain(&error))?;
    Ok(Upstream::new(signing))
}

/// A plan with a bucket is refused before.
#[cfg(not(feature = "s3"))]
fn of_bucket(_: &BucketPlan, _: &Tunnels) -> Result<Upstream, String> {
    Err("this program was built without buckets".to_owned())
}

pub(crate) fn rules(builder: Builder, rules: Rules) -> Builder {
    match rules {
        Rules::Alike(policy) => builder.policy(*policy),
        Rules::Distribution(distribution) => builder.distribution(*distribution),
    }
}
