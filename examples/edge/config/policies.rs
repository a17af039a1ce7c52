//! `[policies.NAME]`: what is stored, and for how long.

use std::time::Duration;

use hyper::http::HeaderName;
use tower_cdn::{CachePolicy, RangeFetch, SetCookie};

use super::section::Section;
use crate::args::Preset;

type Knob<T> = (&'static str, fn(CachePolicy, T) -> CachePolicy);

const DURATIONS: [Knob<Duration>; 12] = [
    ("min_ttl", CachePolicy::min_ttl),
    ("default_ttl", CachePolicy::default_ttl),
    ("max_ttl", CachePolicy::max_ttl),
    ("error_ttl", CachePolicy::error_ttl),
    ("stale_while_revalidate", CachePolicy::stale_while_revalidate),
    ("stale_if_error", CachePolicy::stale_if_error),
    ("stale_deadline", CachePolicy::stale_deadline),
    ("wait_timeout", CachePolicy::wait_timeout),
    ("fetch_timeout", CachePolicy::fetch_timeout),
    ("body_timeout", CachePolicy::body_timeout),
    ("stall_timeout", CachePolicy::stall_timeout),
    ("store_timeout", CachePolicy::store_timeout),
];

const FLAGS: [Knob<bool>; 5] = [
    ("honor_request_directives", CachePolicy::honor_request_directives),
    ("collapse", CachePolicy::collapse),
    ("ignore_cookies", CachePolicy::ignore_cookies),
    ("store_post", CachePolicy::store_post),
    ("language_variants", CachePolicy::language_variants),
];

const SIZES: [Knob<u64>; 4] = [
    ("max_object", CachePolicy::max_object),
    ("max_head", |policy, bytes| policy.max_head(as_usize(bytes))),
    ("window", |policy, bytes| policy.window(as_usize(bytes))),
    ("windows", |policy, bytes| policy.windows(as_usize(bytes))),
];

const COUNTS: [Knob<usize>; 2] =
    [("max_variants", CachePolicy::max_variants), ("max_fetches", CachePolicy::max_fetches)];

pub(super) fn read(mut section: Section<'_>) -> CachePolicy {
    let presets = [
        ("default", Preset::Default),
        ("rfc9111", Preset::Rfc9111),
        ("cloudfront", Preset::CloudFront),
    ];
    let preset = section.get("preset").and_then(|value| value.one_of(&presets));
    let mut policy = preset.unwrap_or(Preset::Default).policy();
    let mut times = Vec::new();
    for (key, turn) in DURATIONS {
        if let Some(time) = section.duration(key) {
            policy = turn(policy, time);
            times.push((key, time));
        }
    }
    let time_of = |key| times.iter().find(|(known, _)| *known == key).map(|(_, time)| *time);
    for (less, more) in
        [("min_ttl", "max_ttl"), ("default_ttl", "max_ttl"), ("min_ttl", "default_ttl")]
    {
        if time_of(less) > time_of(more) && time_of(more).is_some() {
            section.conflict(&[less], &format!("a shorter `{more}`"));
        }
    }
    if let Some(time) = section.duration("unshareable_for") {
        policy = policy.unshareable_for(time);
    }
    for (key, turn) in FLAGS {
        if let Some(flag) = section.flag(key) {
            policy = turn(policy, flag);
        }
    }
    for (key, turn) in SIZES {
        if let Some(bytes) = section.size(key) {
            policy = turn(policy, bytes);
        }
    }
    for (key, turn) in COUNTS {
        if let Some(count) = section.count(key, 1) {
            policy = turn(policy, count);
        }
    }
    if let Some(fraction) = section.get("ttl_jitter").and_then(|value| value.fraction()) {
        policy = policy.ttl_jitter(fraction);
    }
    policy = of_words(&mut section, policy);
    policy = of_tables(&mut section, policy);
    section.end();
    policy
}

fn of_words(section: &mut Section<'_>, mut policy: CachePolicy) -> CachePolicy {
    let words = [
        ("unless-meant-for-many", SetCookie::UnlessMeantForMany),
        ("store", SetCookie::Store),
        ("strip", SetCookie::Strip),
        ("never", SetCookie::Never),
    ];
    if let Some(what) = section.get("set_cookie").and_then(|value| value.one_of(&words)) {
        policy = policy.set_cookie(what);
    }
    let words = [("whole", RangeFetch::Whole), ("as-asked", RangeFetch::AsAsked)];
    if let Some(what) = section.get("range_fetch").and_then(|value| value.one_of(&words)) {
        policy = policy.range_fetch(what);
    }
    if let Some(names) = field_names(section, "target_list") {
        policy = policy.target_list(names);
    }
    if let Some(pass) = section.flag("pass_tags") {
        policy = policy.pass_tags(pass);
    }
    if let Some(names) = field_names(section, "tag_fields") {
        policy = policy.tag_fields(names);
    }
    if let Some(name) = section.get("cache_status").and_then(|value| value.parsed(token)) {
        // Without a name there is no such field.
        policy = policy.cache_status(Some(name.as_str()).filter(|name| !name.is_empty()));
    }
    if let Some(name) = section.get("via").and_then(|value| value.parsed(token)) {
        policy = policy.via(&name);
    }
    policy
}

fn of_tables(section: &mut Section<'_>, mut policy: CachePolicy) -> CachePolicy {
    let heuristic = section.table("heuristic", |mut section| {
        let fraction = section.needed("fraction").and_then(|value| value.fraction());
        let longest = section.duration("longest").unwrap_or(DAY);
        section.end();
        Some((fraction?, longest))
    });
    if let Some((fraction, longest)) = heuristic.flatten() {
        policy = policy.heuristic_freshness(fraction, longest);
    }
    for (status, ttl) in section
        .tables("error_ttl_of", |mut section| {
            let status = section.needed("status").and_then(|value| value.status());
            let ttl = section.needed("ttl").and_then(|value| value.duration());
            section.end();
            status.zip(ttl)
        })
        .into_iter()
        .flatten()
    {
        policy = policy.error_ttl_of(status, ttl);
    }
    policy
}

fn field_names(section: &mut Section<'_>, key: &'static str) -> Option<Vec<HeaderName>> {
    section.get(key)?.list_of(|value| value.field_name())
}

/// A name that may stand in `Cache-Status` and `Via`: letters, digits and a few signs.
fn token(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins = text.bytes().next().is_none_or(|byte| byte.is_ascii_alphabetic());
    if begins && text.bytes().all(is_token) {
        return Ok(text.to_owned());
    }
    Err(format!("'{text}' is no name: a letter, then letters, digits, `-`, `_` and `.`"))
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const DAY: Duration = Duration::from_secs(86_400);
