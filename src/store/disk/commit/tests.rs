use super::*;
use crate::{
    Content, StoreError, StoredResponse,
    store::{
        DiskStore, Store,
        conformance::{head, key},
        disk::hidden::HIDDEN,
    },
};
use bytes::Bytes;
use std::{fs, io};
use tempfile::TempDir;

async fn put(store: &DiskStore, name: &str) -> Result<(), StoreError> {
    let content = Content::from(Bytes::from_static(b"content"));
    store.put(&key(name), StoredResponse::new(head(name, 1), content)).await
}

#[tokio::test]
async fn what_is_hidden_is_bounded_and_never_comes_back() {
    let directory = TempDir::new().expect("a directory");
    let store = DiskStore::open(directory.path(), 64 << 20).expect("a store");
    for name in ["0", "other"] {
        put(&store, name).await.expect("put must not fail");
    }
    let shared = store.shared();
    // Closed, since it is broken, and not to be opened, since a folder lies in its place.
    let (index, aside) = (directory.path().join("index.redb"), directory.path().join("aside"));
    fs::rename(&index, &aside).expect("moved");
    fs::create_dir(&index).expect("a folder");
    let fault = io::Error::other("it broke").into();
    let broken = Op::Broken { fault, opening: shared.index.opening() };
    shared.submit(broken).await.expect_err("nobody can write");
    let deletes = (0..HIDDEN + 2_000).map(|n| {
        let key = key(&n.to_string());
        let hash = shared.hash(key.as_bytes());
        Task { op: Op::Delete { hash, key, until: u64::MAX }, answer: None }
    });
    shared.commit(deletes.collect());
    let remembered = shared.hidden.read().expect("not poisoned").hashes().len();
    assert!(remembered <= HIDDEN, "{remembered} are remembered");
    fs::remove_dir(&index).expect("removed");
    fs::rename(&aside, &index).expect("moved");
    put(&store, "new").await.expect("it can be written again");
    let got = store.get(&key("0")).await.expect("get must not fail");
    assert!(got.is_none(), "it was to be deleted");
    assert!(store.get(&key("new")).await.expect("get must not fail").is_some());
}
