//! Bounds: of bytes on the disk, of memory, of what waits.
use crate::support::{Dice, Heads, content, disk_usage, key, read, response, settled};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, StreamBody};
use std::path::Path;
use tempfile::TempDir;
use tower_cdn::{Content, Store, StoredResponse, store::DiskStore};

const MEGABYTE: u64 = 1 << 20;

/// Twenty at once, until three times the capacity was put.
async fn fill(
    store: &DiskStore,
    heads: &Heads,
    capacity: u64,
    length: impl Fn(&mut Dice) -> usize,
) {
    let (mut dice, mut put, mut n) = (Dice(1), 0, 0);
    while put < 2 * capacity {
        let lengths: Vec<_> = (0..20).map(|_| length(&mut dice)).collect();
        let puts = lengths.iter().zip(n..).map(async |(len, n)| {
            let response = response(&heads.first, content(n, 1, *len));
            store.put(&key(n), response).await.expect("put must not fail");
        });
        join_all(puts).await;
        put += lengths.iter().map(|len| *len as u64 + 800).sum::<u64>();
        n += 20;
    }
}

fn assert_within(directory: &Path, store: &DiskStore, capacity: u64) {
    let usage = disk_usage(directory);
    assert!(usage <= capacity + capacity / 20, "{usage} bytes of {capacity}: {store:?}");
    // What is weighed is more than the index takes in the end.
    assert!(usage >= capacity / 5 * 4, "{usage} bytes of {capacity} are used: {store:?}");
    let told = store.stats().bytes;
    assert!(told.abs_diff(usage) < capacity / 20, "{told} bytes are told of {usage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_holds_what_was_agreed_whatever_is_put() {
    let heads = Heads::make(1).await.remove(0);
    let capacity = 8 * MEGABYTE;
    let small = |dice: &mut Dice| 16 + dice.roll(1_500) as usize;
    let large = |dice: &mut Dice| 16 + dice.roll(200_000) as usize;
    let mixed = |dice: &mut Dice| if dice.roll(2) == 0 { small(dice) } else { large(dice) };
    let directory = TempDir::new().expect("a directory");
    let open = |capacity| DiskStore::open(directory.path(), capacity).expect("a store");
    let mut store = open(capacity);
    // Also when it changes from one to the other.
    for round in 0..4 {
        match round {
            0 | 3 => fill(&store, &heads, capacity, small).await,
            1 => fill(&store, &heads, capacity, large).await,
            _ => fill(&store, &heads, capacity, mixed).await,
        }
        settled(&store).await;
        assert_within(directory.path(), &store, capacity);
        store.close().await.expect("closed");
        store = open(capacity);
    }
    for capacity in [6 * MEGABYTE, 4 * MEGABYTE] {
        store.close().await.expect("closed");
        store = open(capacity);
        store.loaded().await;
        for _ in 0..10 {
            settled(&store).await;
        }
        let usage = disk_usage(directory.path());
        assert!(usage <= capacity + capacity / 20, "{usage} bytes of {capacity}: {store:?}");
        fill(&store, &heads, capacity, mixed).await;
        settled(&store).await;
        assert_within(directory.path(), &store, capacity);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_for_what_fits() {
    let heads = Heads::make(1).await.remove(0);
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), 64 * MEGABYTE).expect("a store");
    let put = async |n: u64, len: u64| {
        let response = response(&heads.first, content(n, 1, len as usize));
        store.put(&key(n), response).await.expect("put must not fail");
    };
    for n in 0..30 {
        put(n, MEGABYTE).await;
    }
    put(30, 24 * MEGABYTE).await;
    settled(&store).await;
    assert_eq!((store.stats().objects, store.stats().evicted), (31, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_stays_also_when_it_is_opened_again() {
    let heads = Heads::make(1).await.remove(0);
    let directory = TempDir::new().expect("a directory");
    let open = || DiskStore::open(directory.path(), 8 * MEGABYTE).expect("a store");
    let store = open();
    for n in 0..40 {
        let response = response(&heads.first, content(n, 1, 100_000));
        store.put(&key(n), response).await.expect("put must not fail");
    }
    for n in 0..10 {
        assert!(store.get(&key(n)).await.expect("get must not fail").is_some());
    }
    store.close().await.expect("closed");
    let store = open();
    for n in 40..90 {
        let response = response(&heads.first, content(n, 1, 100_000));
        store.put(&key(n), response).await.expect("put must not fail");
    }
    assert!(store.stats().evicted > 0);
    for n in 0..10 {
        assert!(store.get(&key(n)).await.expect("get must not fail").is_some(), "key {n}");
    }
    assert!(store.get(&key(10)).await.expect("get must not fail").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_not_stored_and_leaves_a_miss() {
    let heads = Heads::make(1).await.remove(0);
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), 4 * MEGABYTE).expect("a store");
    store.put(&key(1), response(&heads.first, content(1, 1, 1_000))).await.expect("it fits");
    let large = Content::from(Bytes::from(vec![1; 3 << 20]));
    let put = store.put(&key(1), StoredResponse::new(heads.first.clone(), large)).await;
    assert!(put.is_err());
    assert!(store.get(&key(1)).await.expect("get must not fail").is_none(), "it is old");
    assert_eq!(store.stats().dropped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_cannot_take_is_not_stored_and_leaves_a_miss() {
    let heads = Heads::make(1).await.remove(0);
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::builder(directory.path(), 64 * MEGABYTE).queue(200_000).open();
    let store = store.expect("a store");
    store.put(&key(0), response(&heads.first, content(0, 1, 1_000))).await.expect("it fits");
    let puts = (0..50).map(|n| {
        let (store, head) = (store.clone(), heads.first.clone());
        async move { (n, store.put(&key(n), response(&head, content(n, 2, 50_000))).await.is_ok()) }
    });
    let done = join_all(puts).await;
    let stored = done.iter().filter(|(_, done)| *done).count() as u64;
    assert!(stored > 0 && stored < 50, "{stored}");
    assert_eq!((store.stats().stored, store.stats().dropped), (stored + 1, 50 - stored));
    for (n, done) in done {
        let got = store.get(&key(n)).await.expect("get must not fail");
        let bytes = match &got {
            Some(got) => read(&got.content).await,
            None => None,
        };
        assert_eq!(bytes, done.then(|| content(n, 2, 50_000)), "key {n}");
    }
    assert_eq!(store.stats().queued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_content_takes_little_memory() {
    const LENGTH: u64 = 256 << 20;
    let heads = Heads::make(1).await.remove(0);
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), 1024 * MEGABYTE).expect("a store");
    let before = resident();
    let chunks: Vec<Bytes> = (0..7).map(|n| content(1, n, 65_536)).collect();
    let made = chunks.clone();
    let made = Content::from_fn(LENGTH, move |range| {
        let made = made.clone();
        let chunks = (range.start / 65_536..range.end / 65_536).map(move |n| {
            Ok::<_, std::io::Error>(http_body::Frame::data(made[n as usize % 7].clone()))
        });
        StreamBody::new(futures_util::stream::iter(chunks))
    });
    let put = StoredResponse::new(heads.first.clone(), made);
    store.put(&key(1), put).await.expect("put must not fail");
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    let (mut body, mut rest, mut n) = (got.content.read(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        rest.extend_from_slice(&frame.expect("content is whole").into_data().expect("data"));
        while rest.len() >= 65_536 {
            let chunk: Vec<u8> = rest.drain(..65_536).collect();
            assert!(chunk == chunks[n as usize % 7], "chunk {n}");
            n += 1;
        }
    }
    assert_eq!(n, LENGTH / 65_536);
    let more = resident().saturating_sub(before);
    assert!(more < 128 << 20, "{more} bytes more are resident");
}

/// Other tests of this process may run at the same time.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}
