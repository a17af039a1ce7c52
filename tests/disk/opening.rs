//! Opening: who may, and what is found.
use crate::support::{Heads, ROOM, content, files, key, read, response, settled};
use bytes::Bytes;
use futures_util::future::{join, join_all};
use http::HeaderMap;
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use tempfile::TempDir;
use tower_cdn::{Content, Store, StoredResponse, store::DiskStore};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_found_again() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(4).await;
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let trailers: HeaderMap =
        [(http::header::ETAG, "\"t\"".parse().expect("a value"))].into_iter().collect();
    for (n, heads) in (0..).zip(&heads) {
        let content = Content::from(content(n, 1, 400_000 >> (4 * n)));
        let content = content.with_trailers(Some(trailers.clone()));
        let response = StoredResponse::new(heads.first.clone(), content);
        store.put(&key(n), response).await.expect("put must not fail");
    }
    for number in 0..3 {
        store.note(number, Some(Bytes::from(vec![number as u8; 5]))).await.expect("noted");
    }
    store.note(1, None).await.expect("withdrawn");
    for is_closed in [true, false] {
        if is_closed {
            store.close().await.expect("closed");
        }
        let copy = TempDir::new().expect("a directory");
        for file in files(directory.path()) {
            let target = copy.path().join(file.strip_prefix(directory.path()).expect("below"));
            fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
            fs::copy(file, target).expect("a copy");
        }
        let store = DiskStore::open(copy.path(), ROOM).expect("a store");
        for (n, heads) in (0..).zip(&heads) {
            let got = store.get(&key(n)).await.expect("get must not fail").expect("it is there");
            assert_eq!(got.head, heads.first);
            assert_eq!(got.content.trailers(), Some(&trailers));
            assert_eq!(read(&got.content).await, Some(content(n, 1, 400_000 >> (4 * n))));
        }
        let notes = [0, 2].map(|n| (n, Bytes::from(vec![n as u8; 5])));
        assert_eq!(store.notes(), notes);
        settled(&store).await;
        assert_eq!(store.stats().objects, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_store_at_a_time() {
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let error = DiskStore::open(directory.path(), ROOM).expect_err("it is in use");
    assert!(error.is_in_use() && !error.is_unknown_version());
    assert_eq!(error.to_string(), "directory is in use by another store");
    let afresh = DiskStore::builder(directory.path(), ROOM).start_afresh(true);
    assert!(afresh.open().expect_err("it is in use").is_in_use());
    let clone = store.clone();
    drop(store);
    assert!(DiskStore::open(directory.path(), ROOM).is_err(), "a clone has it");
    drop(clone);
    DiskStore::open(directory.path(), ROOM).expect("nobody has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_has_nothing_and_takes_nothing() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let response = response(&heads.first, content(1, 1, 1_000));
    store.put(&key(1), response.clone()).await.expect("put must not fail");
    store.close().await.expect("closed");
    assert!(store.get(&key(1)).await.expect("get must not fail").is_none());
    assert!(store.put(&key(1), response).await.is_err());
    assert!(store.delete(&key(1)).await.is_err());
    assert!(store.close().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_closed_store_to_be_loaded() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(directory.path(), 8 * ROOM).expect("a store");
    // So many that it takes longer to read them than to close it.
    let puts = (0..10_000).map(|n| {
        let (store, response) = (&store, response(&heads.first, content(n, 1, 16)));
        async move { store.put(&key(n), response).await.expect("put must not fail") }
    });
    join_all(puts).await;
    store.close().await.expect("closed");
    for _ in 0..10 {
        let store = DiskStore::open(directory.path(), 8 * ROOM).expect("a store");
        store.close().await.expect("closed");
        within_a_minute(store.loaded()).await;
    }
    for n in 0..3 {
        // There is no room until it is known what may go.
        let store = DiskStore::open(directory.path(), ROOM / 64).expect("a store");
        let (key, response) = (key(n), response(&heads.first, content(n, 2, 100_000)));
        let (put, closed) = within_a_minute(join(store.put(&key, response), store.close())).await;
        assert!(put.is_err() && closed.is_ok());
    }
}

/// What hangs fails.
async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_refused_and_left_alone() {
    for (name, text) in
        [("version", "tower-cdn disk store, version 999\n"), ("version", ""), ("mine", "x")]
    {
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join(name), text).expect("written");
        fs::write(directory.path().join("other"), "mine").expect("written");
        let error = DiskStore::open(directory.path(), ROOM).expect_err("it is not known");
        assert!(error.is_unknown_version() && !error.is_in_use(), "{error:?}");
        assert_eq!(fs::read_dir(directory.path()).expect("a folder").count(), 2);
        let store = DiskStore::builder(directory.path(), ROOM).start_afresh(true);
        let store = store.open().expect("it may");
        assert_eq!(fs::read(directory.path().join("other")).expect("a file"), b"mine");
        store.close().await.expect("closed");
        DiskStore::open(directory.path(), ROOM).expect("it is known now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_store_is_not_started_afresh() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    for is_first in [true, false] {
        let store = DiskStore::builder(directory.path(), ROOM).start_afresh(true);
        let store = store.open().expect("a store");
        assert_eq!(store.get(&key(1)).await.expect("get must not fail").is_none(), is_first);
        let response = response(&heads.first, content(1, 1, 1_000));
        store.put(&key(1), response).await.expect("put must not fail");
        store.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_look() {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path().join("new/store");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(&root, ROOM).expect("a store");
    for len in [1_000, 100_000, 1_000_000] {
        let response = response(&heads.first, content(len, 1, len as usize));
        store.put(&key(len), response).await.expect("put must not fail");
    }
    store.close().await.expect("closed");
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    for file in files(&root) {
        assert_eq!(mode(&file), 0o600, "{file:?}");
        assert_eq!(mode(file.parent().expect("a folder")), 0o700, "{file:?}");
        assert!(!file.to_string_lossy().contains("key"), "{file:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_folder_that_cannot_be_listed_is_not_lost() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let open = || DiskStore::open(directory.path(), ROOM).expect("a store");
    let store = open();
    store.put(&key(1), response(&heads.first, content(1, 1, 100_000))).await.expect("stored");
    store.close().await.expect("closed");
    let content_of = directory.path().join("content");
    let file = files(&content_of).remove(0);
    let folder = file.parent().expect("a folder").to_owned();
    let aside = directory.path().join("aside");
    // Works for root as well: the folder is a file, or all of them are in one.
    for unlisted in [&folder, &content_of] {
        fs::rename(unlisted, &aside).expect("moved");
        fs::write(unlisted, "").expect("written");
        let store = open();
        settled(&store).await;
        assert_eq!((store.stats().objects, store.stats().damaged), (1, 0));
        store.close().await.expect("closed");
        fs::remove_file(unlisted).expect("removed");
        fs::rename(&aside, unlisted).expect("moved");
    }
    let store = open();
    settled(&store).await;
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    assert_eq!(read(&got.content).await, Some(content(1, 1, 100_000)));
    store.close().await.expect("closed");
    fs::remove_dir_all(folder).expect("removed");
    let store = open();
    settled(&store).await;
    assert_eq!((store.stats().objects, store.stats().damaged), (0, 1), "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_needs_go() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let response = response(&heads.first, content(1, 1, 100_000));
    store.put(&key(1), response).await.expect("put must not fail");
    store.close().await.expect("closed");
    let file = files(&directory.path().join("content")).remove(0);
    let folder = directory.path().join("content/05");
    fs::create_dir_all(&folder).expect("a folder");
    let orphan = folder.join("00000001000000000000a005");
    fs::copy(&file, &orphan).expect("a copy");
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    settled(&store).await;
    assert!(!orphan.exists() && file.exists());
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    store.delete(&key(1)).await.expect("delete must not fail");
    settled(&store).await;
    assert!(!file.exists());
    let bytes = read(&got.content).await;
    assert_eq!(bytes, Some(content(1, 1, 100_000)), "who has it can read it");
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_files_that_nobody_needs_go_too() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let open = || DiskStore::open(directory.path(), ROOM).expect("a store");
    open().close().await.expect("closed");
    let content_of = directory.path().join("content");
    let folder = content_of.join("05");
    fs::create_dir_all(&folder).expect("a folder");
    // More than are put into the queue at once.
    for n in 0..20_000 {
        let name = format!("00000001{:016x}", 5 + 32 * n);
        fs::File::create(folder.join(name)).expect("a file");
    }
    let store = open();
    while !files(&content_of).is_empty() {
        let response = response(&heads.first, content(1, 1, 100));
        store.put(&key(1), response).await.expect("put must not fail");
    }
    assert!(store.get(&key(1)).await.expect("get must not fail").is_some());
}
