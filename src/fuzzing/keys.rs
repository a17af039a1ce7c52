//! From a request to its key.
use crate::{CacheKey, KeyPolicy, key::Survey};
use http::{HeaderMap, HeaderName, Request, Uri, request};

/// The key, or why there is none.
pub fn key(policy: &KeyPolicy, head: &request::Parts) -> Result<CacheKey, String> {
    policy.key(head).map(|keyed| keyed.key).map_err(|why| format!("{why:?}"))
}

/// `Survey`: its flags in the order of their names, the lines of `Host`, and the bytes at most.
pub fn survey(headers: &HeaderMap) -> ([bool; 8], usize, usize) {
    let s = Survey::of(headers);
    let flags = [
        s.announces_content,
        s.cdn_loop,
        s.conditions,
        s.connection,
        s.directives,
        s.influential,
        s.is_grpc,
        s.upgrade,
    ];
    (flags, s.hosts, s.at_most)
}

/// `KeyPolicy::settle_host`, then `KeyPolicy::prepare`: what becomes of a request that has a key.
pub fn prepare(policy: &KeyPolicy, head: request::Parts) -> request::Parts {
    let mut request = Request::from_parts(head, ());
    policy.settle_host(&mut request).expect("it has a key");
    let mut head = request.into_parts().0;
    let keyed = policy.key(&head);
    policy.prepare(&mut head, keyed.expect("it has a key").changes);
    head
}

/// `KeyPolicy::is_forwarded_as_keyed`.
pub fn is_forwarded_as_keyed(policy: &KeyPolicy, head: &request::Parts) -> bool {
    policy.is_forwarded_as_keyed(head)
}

/// `KeyPolicy::target_uri`.
pub fn target_uri(policy: &KeyPolicy, head: &request::Parts) -> Option<Uri> {
    policy.target_uri(head)
}

/// `KeyPolicy::key_of_uri`.
pub fn key_of_uri(policy: &KeyPolicy, uri: &Uri) -> Option<CacheKey> {
    policy.key_of_uri(uri)
}

/// `CacheKey::bare`.
pub fn bare(key: &CacheKey) -> Option<CacheKey> {
    key.bare()
}

/// `CacheKey::group`.
pub fn group(key: &CacheKey, name: &str) -> CacheKey {
    key.group(name)
}

/// `CacheKey::variant`.
pub fn variant(
    key: &CacheKey,
    generation: u64,
    names: &[HeaderName],
    request: &HeaderMap,
) -> CacheKey {
    key.variant(generation, names, request)
}

/// `CacheKey::language_variant`.
pub fn language_variant(
    key: &CacheKey,
    generation: u64,
    names: &[HeaderName],
    request: &HeaderMap,
    language: &[u8],
) -> Option<CacheKey> {
    key.language_variant(generation, names, request, language)
}
