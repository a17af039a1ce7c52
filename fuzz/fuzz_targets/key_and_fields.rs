//! Requests and answers of any fields through the whole layer: nothing panics, nothing hangs, nothing is left behind, and what the cache adds to responses is sound.
//!
//! The input is text: blocks that are separated by empty lines, a request and its answer in turn. The first line of a request is
//! `METHOD target seconds`, with the seconds that pass before it; the first line of an answer is its status. The other lines are `name: value`.
#![no_main]
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, response::Parts};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CachePolicy, CacheStatus, CdnCacheLayer, Clock, MemoryStore};
use tower_cdn_fuzz::Input;

type Block<'a> = (&'a [u8], HeaderMap);

fuzz_target!(|input: &[u8]| {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run(input));
});

async fn run(input: &[u8]) {
    let (preset, input) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
    let policy = match preset % 3 {
        0 => CachePolicy::default(),
        1 => CachePolicy::rfc9111(),
        _ => CachePolicy::cloudfront().via("fuzz").cdn_loop("fuzz"),
    };
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 20))
        .clock(Clock::tokio())
        .policy(policy)
        .build();
    let answers: Arc<Mutex<VecDeque<Response<Full<Bytes>>>>> = Arc::default();
    let origin = {
        let answers = Arc::clone(&answers);
        service_fn(move |_: Request<Full<Bytes>>| {
            let answer = answers.lock().expect("not poisoned").pop_front().unwrap_or_default();
            std::future::ready(Ok::<_, Infallible>(answer))
        })
    };
    let service = layer.layer(origin);
    let blocks: Vec<Block<'_>> = blocks(input);
    for pair in blocks.chunks(2).take(16) {
        let (line, fields) = &pair[0];
        let mut words = line.split(|b| *b == b' ');
        let Some((method, target)) = words.next().zip(words.next()) else { continue };
        let (Ok(method), Ok(target)) = (Method::from_bytes(method), Uri::try_from(target)) else {
            continue;
        };
        let seconds = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        let seconds: u32 = seconds.unwrap_or_default();
        tokio::time::advance(Duration::from_secs(seconds.into())).await;
        if let Some((line, fields)) = pair.get(1) {
            let status =
                StatusCode::from_bytes(line.get(..3).unwrap_or_default()).unwrap_or_default();
            let mut answer = Response::new(Full::from(Bytes::copy_from_slice(line)));
            *answer.status_mut() = status;
            *answer.headers_mut() = fields.clone();
            answers.lock().expect("not poisoned").push_back(answer);
        }
        let mut request = Request::new(Full::default());
        (*request.method_mut(), *request.uri_mut()) = (method, target);
        *request.headers_mut() = fields.clone();
        let response = service.clone().oneshot(request).await.expect("the origin does not fail");
        let (head, body) = response.into_parts();
        told(&head, &blocks);
        _ = body.collect().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(layer.handle().stats().fetches, 0, "no fetch is left behind");
}

/// What the cache adds to a response is there once, and has a value.
fn told(head: &Parts, blocks: &[Block<'_>]) {
    let status = *head.extensions.get::<CacheStatus>().expect("each response has it");
    let values = |name: &str| -> Vec<&[u8]> {
        head.headers.get_all(name).iter().map(|value| value.as_bytes()).collect()
    };
    let ages = values("age");
    if status.is_hit() {
        assert!(ages.len() == 1 && ages[0].iter().all(u8::is_ascii_digit), "{head:?}");
        let members = values("cache-status");
        assert!(members.last().is_some_and(|m| m.starts_with(b"tower-cdn; hit; ttl=")), "{head:?}");
    }
    // What the origin sends empty is forwarded empty.
    let sends = |name: &str| blocks.iter().any(|(_, fields)| fields.contains_key(name));
    for name in ["age", "cache-status"] {
        assert!(sends(name) || values(name).iter().all(|value| !value.is_empty()), "{head:?}");
    }
}

fn blocks(input: &[u8]) -> Vec<Block<'_>> {
    let (mut input, mut blocks) = (Input::new(input), Vec::new());
    while !input.rest().is_empty() {
        let line = input.line();
        if !line.is_empty() {
            blocks.push((line, input.fields()));
        }
    }
    blocks
}
