//! What is damaged while the store is open: a miss, or a body that ends with an error. It goes, and what comes in its place stays.
use crate::support::{Heads, ROOM, content, files, key, read, response, settled};
use std::{fs, path::Path};
use tempfile::TempDir;
use tower_cdn::{Store, store::DiskStore};

const PART: u32 = 16 << 10;

async fn with_one(len: usize, harm: impl FnOnce(&Path)) -> (TempDir, DiskStore, Heads) {
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::builder(directory.path(), ROOM).part_size(PART).open().expect("a store");
    let heads = Heads::make(1).await.remove(0);
    let response = response(&heads.first, content(1, 1, len));
    store.put(&key(1), response).await.expect("put must not fail");
    let bodies = files(&directory.path().join("content"));
    assert_eq!(bodies.len(), 1, "it has a file");
    harm(&bodies[0]);
    (directory, store, heads)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("it can be written");
}

/// It is not there any more, and there can be another.
async fn expect_gone(store: &DiskStore, heads: &Heads) {
    settled(store).await;
    assert!(store.get(&key(1)).await.expect("get must not fail").is_none(), "it has gone");
    assert_eq!(store.stats().damaged, 1);
    let bytes = content(1, 2, 100_000);
    store.put(&key(1), response(&heads.first, bytes.clone())).await.expect("put must not fail");
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    assert_eq!(read(&got.content).await, Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_part_is_a_miss() {
    let (_directory, store, heads) = with_one(10_000, |file| flip(file, 5_000)).await;
    assert!(store.get(&key(1)).await.expect("get must not fail").is_none());
    expect_gone(&store, &heads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_or_too_short_is_a_miss() {
    for harm in
        [(|file: &Path| fs::remove_file(file).expect("removed")) as fn(&Path), |file: &Path| {
            let file = fs::File::options().write(true).open(file).expect("a file");
            file.set_len(90_000).expect("shorter");
        }]
    {
        let (_directory, store, heads) = with_one(100_000, harm).await;
        assert!(store.get(&key(1)).await.expect("get must not fail").is_none());
        expect_gone(&store, &heads).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_in_the_middle_ends_the_body_with_an_error() {
    let part = PART as usize;
    let (_directory, store, heads) = with_one(100_000, |file| flip(file, 3 * part + 7)).await;
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    let payload = u64::from(PART) - 8;
    for range in [0..payload, 0..3 * payload, 4 * payload..100_000, payload - 1..payload + 1] {
        let body = got.content.read_range(range.clone());
        let bytes = http_body_util::BodyExt::collect(body).await.expect("sound parts").to_bytes();
        let whole = content(1, 1, 100_000);
        assert_eq!(bytes, whole.slice(range.start as usize..range.end as usize));
    }
    assert_eq!(store.stats().damaged, 0, "other parts are not read");
    let mut body = got.content.read();
    let mut length = 0;
    let error = loop {
        match http_body_util::BodyExt::frame(&mut body).await.expect("no clean end") {
            Ok(frame) => length += frame.into_data().expect("data").len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(length, 3 * payload, "what came before is sound");
    assert_eq!(error.to_string(), "stored content is not there any more");
    expect_gone(&store, &heads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_places_are_damaged() {
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let heads = Heads::make(1).await.remove(0);
    for n in 0..2 {
        let response = response(&heads.first, content(n, 1, 50_000));
        store.put(&key(n), response).await.expect("put must not fail");
    }
    let files = files(&directory.path().join("content"));
    let (one, two) = (fs::read(&files[0]).expect("a file"), fs::read(&files[1]).expect("a file"));
    fs::write(&files[0], two).expect("written");
    fs::write(&files[1], one).expect("written");
    for n in 0..2 {
        assert!(store.get(&key(n)).await.expect("get must not fail").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_earlier_does_not_bring_back_what_went() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let index = ["index.redb", "index.sums"].map(|name| directory.path().join(name));
    let open = || DiskStore::open(directory.path(), ROOM).expect("a store");
    let store = open();
    let response = response(&heads.first, content(1, 1, 1_000));
    store.put(&key(1), response).await.expect("put must not fail");
    store.close().await.expect("closed");
    let earlier = index.each_ref().map(|file| fs::read(file).expect("an index"));
    let store = open();
    assert!(store.get(&key(1)).await.expect("get must not fail").is_some());
    store.delete(&key(1)).await.expect("delete must not fail");
    store.close().await.expect("closed");
    for (file, earlier) in index.iter().zip(earlier) {
        fs::write(file, earlier).expect("written");
    }
    let store = open();
    assert!(store.get(&key(1)).await.expect("get must not fail").is_none(), "it was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_machine_went_down_is_trusted_only_if_it_was_synced() {
    for sync in [false, true] {
        let directory = TempDir::new().expect("a directory");
        let open = || DiskStore::builder(directory.path(), ROOM).sync(sync).open().expect("one");
        let heads = Heads::make(1).await.remove(0);
        let store = open();
        let response = response(&heads.first, content(1, 1, 1_000));
        store.put(&key(1), response).await.expect("put must not fail");
        let copy = TempDir::new().expect("a directory");
        for name in ["version", "index.redb", "index.sums", "state"] {
            fs::copy(directory.path().join(name), copy.path().join(name)).expect("a copy");
        }
        // Another run of the machine has another number.
        let state = copy.path().join("state");
        if !sync {
            fs::write(&state, other_boot(&fs::read(&state).expect("a state"))).expect("written");
        }
        let store = DiskStore::open(copy.path(), ROOM).expect("a store");
        assert_eq!(store.get(&key(1)).await.expect("get must not fail").is_some(), sync);
    }
}

/// The same state, told by another run of the machine: its last number but the checksum.
fn other_boot(state: &[u8]) -> Vec<u8> {
    let mut state = state[..32].to_vec();
    state[24..].copy_from_slice(&[7; 8]);
    let sum = xxhash_rust::xxh3::xxh3_64_with_seed(&state, 0x7374_6174_652d_3031);
    state.extend(sum.to_be_bytes());
    state
}
