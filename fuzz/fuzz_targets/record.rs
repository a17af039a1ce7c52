//! Records of stored heads, and notes of invalidations. Noise is refused or read, and what is read is written again and read the same; the same for real
//! records, and for real ones that were damaged.
//!
//! The input: lines `name: value` for the fields of a response that is stored; after a zero byte the noise, whose first two bytes tell where it goes in the
//! real record.
#![no_main]
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_cdn::{CacheKey, CdnCacheLayer, Store, StoreError, StoredHead, StoredResponse, fuzzing};
use tower_cdn_fuzz::{Input, linear};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |b| *b == 0);
    let (fields, noise) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    read(noise);
    notes(noise);
    linear(noise, |noise| {
        // As a record whose key is the noise, and as one that is noise behind the key.
        _ = StoredHead::from_bytes(noise.to_vec());
        let length = u32::try_from(noise.len()).expect("short").to_be_bytes();
        _ = StoredHead::from_bytes([&[2][..], &length, noise, b"r"].concat());
        _ = StoredHead::from_bytes([&[2, 0, 0, 0, 0, b'v'][..], noise].concat());
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    for head in runtime.expect("a runtime").block_on(stored(fields)) {
        let mut record = head.to_bytes();
        let again = StoredHead::from_bytes(record.clone()).expect("a real record can be read");
        assert_eq!(again, head);
        read(&record);
        let [high, low, noise @ ..] = noise else { continue };
        let at = usize::from(u16::from_be_bytes([*high, *low])) % record.len();
        for (byte, noise) in record[at..].iter_mut().zip(noise) {
            *byte = *noise;
        }
        read(&record);
        read(&record[..at]);
    }
});

/// As it is, and as a rule with targets that are noise.
fn notes(noise: &[u8]) {
    for number in [0, 7, u64::MAX] {
        _ = fuzzing::note(number, noise);
        _ = fuzzing::note(number, &[b"\x01r\0\x01", &[0; 12][..], noise].concat());
        _ = fuzzing::note(number, &[b"\x01s", noise].concat());
    }
}

fn read(record: &[u8]) {
    let Ok(head) = StoredHead::from_bytes(record.to_vec()) else { return };
    let written = head.to_bytes();
    let again = StoredHead::from_bytes(written.clone()).expect("what was written can be read");
    assert_eq!(again, head);
    assert_eq!(again.to_bytes(), written);
    assert_eq!(again.is_update_of(&head), head.is_update_of(&again));
    _ = head.weight();
}

/// What a store gets for a response with these fields.
async fn stored(fields: &[u8]) -> Vec<StoredHead> {
    let mut answer = Response::new(Full::from("content"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    for (name, value) in &Input::new(fields).fields() {
        answer.headers_mut().append(name, value.clone());
    }
    let heads = Heads::default();
    let service =
        CdnCacheLayer::new(heads.clone()).layer(service_fn(move |_: Request<Full<Bytes>>| {
            std::future::ready(Ok::<_, Infallible>(answer.clone()))
        }));
    let request = Request::get("http://a.test/").header("cookie", "a=b").body(Full::default());
    let response = service.oneshot(request.expect("a request")).await.expect("no error");
    _ = response.into_body().collect().await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let heads = heads.0.lock().expect("not poisoned");
    heads.clone()
}

/// Keeps heads and gives nothing back.
#[derive(Clone, Default)]
struct Heads(Arc<Mutex<Vec<StoredHead>>>);

impl Store for Heads {
    async fn get(&self, _: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        Ok(None)
    }

    async fn put(&self, _: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.0.lock().expect("not poisoned").push(response.head);
        Ok(())
    }

    async fn freshen(&self, _: &CacheKey, _: StoredHead) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn delete(&self, _: &CacheKey) -> Result<(), StoreError> {
        Ok(())
    }
}
