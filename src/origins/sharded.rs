//! One place for each object among several origins.
use super::{check::Checks, failover::Members};
use crate::KeyPolicy;
use http::request::Parts;
use std::{cmp::Reverse, sync::Arc};

/// Origins that divide the objects among themselves, such as caches of a tier: each object is asked of one of them, so that it is stored once.
///
/// Which one is decided by rendezvous hashing of the cache key over the names of the origins: each has a number for each object, and the highest
/// one wins. It is the same in all processes that know the same names. If an origin is lost, only its objects move, to the one with the next number, and they
/// come back with it; one that is added takes its share from all others.
///
/// The rules of [`OriginGroup`](super::OriginGroup) apply with that order: which requests are sent twice, what comes back at the end, which
/// origins are skipped.
///
/// Needs a tokio runtime with time enabled. All clones share what they know of the origins' health.
///
/// # Example
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use tower::{ServiceExt, service_fn};
/// use tower_cdn::origins::{Attempts, Sharded};
///
/// let cache = service_fn(|_: Request<Full<Bytes>>| async {
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
/// });
/// let sharded = Sharded::new(["cache-1", "cache-2", "cache-3"].map(|name| (name, cache)));
///
/// let mut asked = Vec::new();
/// for _ in 0..2 {
///     let request = Request::get("http://example.com/logo.svg").body(Full::default()).unwrap();
///     let response = sharded.clone().oneshot(request).await.unwrap();
///     asked.push(response.extensions().get::<Attempts>().unwrap().to_string());
/// }
/// assert_eq!(asked[0], asked[1]);
/// # });
/// ```
#[derive(Debug)]
pub struct Sharded<S> {
    members: Arc<Members<S>>,
    checks: Option<Arc<Checks>>,
    keys: Arc<KeyPolicy>,
}

group!(Sharded { keys });

impl<S> Sharded<S> {
    fn from_members(members: Arc<Members<S>>) -> Self {
        Self { members, checks: None, keys: Arc::default() }
    }

    /// What makes two requests ask for the same object: that of the cache in front. Default: [`KeyPolicy::default`], hence scheme, host,
    /// port, path and query.
    #[must_use]
    pub fn key_policy(mut self, keys: KeyPolicy) -> Self {
        self.keys = Arc::new(keys);
        self
    }

    fn order(&self, request: &Parts) -> Vec<usize> {
        let object = match self.keys.key(request) {
            Ok(keyed) => hash(keyed.key.as_bytes()),
            // What has no key goes by its target.
            Err(_) => hash(request.uri.to_string().as_bytes()),
        };
        let mut numbers: Vec<_> = (self.members.all.iter().enumerate())
            .map(|(n, member)| (number(object, hash(member.name.as_str().as_bytes())), n))
            .collect();
        numbers.sort_unstable_by_key(|&(number, n)| (Reverse(number), n));
        numbers.into_iter().map(|(_, n)| n).collect()
    }
}

/// FNV-1a: the same in every process.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The number that an origin has for an object. The finalizer of SplitMix64 makes it depend on every bit of both.
fn number(object: u64, origin: u64) -> u64 {
    mix(object ^ mix(origin))
}

fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
