//! Everything that is counted and timed. Counts are for each request, or for each frame of a long body.
use super::{
    floor_moka::MokaMap,
    floor_quick::QuickMap,
    frames::Long,
    origin::{Constant, Origin},
    request::{browser, browser_with},
    scenes::{
        Scene, alone, at_once, floor_among, floor_hit, floor_miss, hit, hit_among,
        hit_behind_behaviours, hit_encoded, hit_under, hit_variants, hit_without_extension, long,
        long_alone, mapped, miss, nothing, pass, pass_untold, revalidation,
    },
};
use futures_util::future::{FutureExt, LocalBoxFuture};
use http::{HeaderValue, Method, header};
use std::fmt;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many requests, or frames, make one run.
    pub(crate) rounds: usize,
    /// Fills the cache, and what else comes first.
    pub(crate) set: fn() -> LocalBoxFuture<'static, Scene>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// What remains when the service does nothing. It is taken off all counts of requests.
pub(crate) const HARNESS: &str = "harness";

/// The counts without the harness, which is the first. A frame of a long body has no part in it.
pub(crate) fn net(cases: &[&'static Case], gross: &[f64]) -> Vec<(&'static str, f64)> {
    let harness = gross.first().copied().unwrap_or_default();
    let net = |(case, count): (&&'static Case, &f64)| match case.name {
        name if name == HARNESS || name.starts_with("long/") => (name, *count),
        name => (name, count - harness),
    };
    cases.iter().zip(gross).map(net).collect()
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SCRIPT: &str = "/a.js?v=3";

/// A table of cases: name, rounds, and how it is set.
macro_rules! cases {
    ($($name:literal, $rounds:literal: $scene:expr;)*) => {
        &[$($crate::support::Case { name: $name, rounds: $rounds, set: || $scene.boxed_local() }),*]
    };
}
pub(crate) use cases;

pub(crate) const CASES: &[Case] = cases! {
    "harness", 1000: alone(Constant, browser(SCRIPT));

    "hit/1KiB", 1000: hit(Origin::new(KIB), browser(SCRIPT), KIB);
    "hit/without-extension", 1000: {
        hit_without_extension(Origin::new(KIB), browser(SCRIPT), KIB)
    };
    "hit/75-behaviours", 1000: hit_behind_behaviours(75, browser(SCRIPT), KIB);
    "hit/64KiB", 1000: hit(Origin::new(64 * KIB), browser(SCRIPT), 64 * KIB);
    "hit/1MiB", 1000: hit(Origin::new(MIB), browser(SCRIPT), MIB);
    "hit/encoded", 1000: hit_encoded();
    "hit/1-variant", 1000: hit_variants(1);
    "hit/16-variants", 1000: hit_variants(16);
    "hit/among-1000", 2000: hit_among(1_000);
    "hit/among-100000", 2000: hit_among(100_000);
    "hit/rules-0", 1000: hit_under(0, false);
    "hit/rules-1000", 1000: hit_under(1_000, false);
    "hit/rules-100000", 1000: hit_under(100_000, false);
    "hit/rules-1000-asked", 1000: hit_under(1_000, true);
    "hit/rules-100000-asked", 1000: hit_under(100_000, true);
    "hit/not-modified", 1000: {
        hit(Origin::new(KIB), browser_with(SCRIPT, header::IF_NONE_MATCH, "\"5f3c6e2a-400\""), 0)
    };
    "hit/range", 1000: {
        hit(Origin::new(KIB), browser_with(SCRIPT, header::RANGE, "bytes=100-299"), 200)
    };
    "hit/reload", 1000: {
        hit(Origin::new(KIB), browser_with(SCRIPT, header::CACHE_CONTROL, "max-age=0"), KIB)
    };
    "hit/2KiB-url", 1000: hit(Origin::new(KIB), browser(&format!("/{}", "x".repeat(2 * KIB))), KIB);
    "look-up/nothing", 1000: nothing();

    "miss/1KiB", 1000: miss(Origin::new(KIB), KIB);
    "miss/64KiB", 500: miss(Origin::new(64 * KIB), 64 * KIB);
    "miss/10-directives", 1000: miss(Origin::new(KIB).with(header::CACHE_CONTROL, TEN_DIRECTIVES), KIB);
    "revalidation", 1000: revalidation();
    "collapse/1000", 4000: at_once(1_000, 1);
    "flights/10", 10000: at_once(10, 10);
    "flights/10000", 10000: at_once(10_000, 10_000);

    "pass/bare", 1000: alone(Origin::new(KIB), browser(SCRIPT));
    "pass/mapped", 1000: alone(mapped(Origin::new(KIB)), browser(SCRIPT));
    "pass/method", 1000: {
        let mut request = browser(SCRIPT);
        *request.method_mut() = Method::OPTIONS;
        pass(request)
    };
    "pass/untold", 1000: {
        let mut request = browser(SCRIPT);
        *request.method_mut() = Method::OPTIONS;
        pass_untold(request)
    };
    "pass/upgrade", 1000: {
        let mut request = browser_with(SCRIPT, header::UPGRADE, "websocket");
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        pass(request)
    };
    "pass/post", 1000: {
        let mut request = browser(SCRIPT);
        *request.method_mut() = Method::POST;
        pass(request)
    };

    "long/bare", 256: long_alone();
    "long/declined", 256: long(Long::Declined);
    "long/stored", 256: long(Long::Stored);
    "long/outgrown", 256: long(Long::Outgrown);

    "floor/moka-1KiB", 1000: floor_hit(MokaMap::new(1_000), KIB);
    "floor/moka-1MiB", 1000: floor_hit(MokaMap::new(1_000), MIB);
    "floor/moka-among-100000", 2000: floor_among(MokaMap::new(10_000_000), 100_000);
    "floor/moka-miss-1KiB", 1000: floor_miss(MokaMap::new(10_000_000));
    "floor/quick-1KiB", 1000: floor_hit(QuickMap::new(1_000), KIB);
    "floor/quick-among-100000", 2000: floor_among(QuickMap::new(200_000), 100_000);
    "floor/quick-miss-1KiB", 1000: floor_miss(QuickMap::new(100_000));
};

/// Left out unless asked for by name, since they take minutes to set.
pub(crate) const LARGE: &[Case] = cases! {
    "hit/among-1000000", 2000: hit_among(1_000_000);
    "floor/moka-among-1000000", 2000: floor_among(MokaMap::new(10_000_000), 1_000_000);
};

const TEN_DIRECTIVES: &str = "public, max-age=86400, s-maxage=172800, stale-while-revalidate=60, stale-if-error=\"600\", \
    must-revalidate, proxy-revalidate, no-transform, immutable, community=\"some, thing\"";
