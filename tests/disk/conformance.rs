//! The contract of a store, also with the smallest parts that the device is waited for.
use crate::support::ROOM;
use std::sync::Arc;
use tempfile::TempDir;
use tower_cdn::store::{DiskStore, conformance};

#[tokio::test(start_paused = true)]
async fn a_disk_store_conforms() {
    let mut directories = Vec::new();
    conformance::check(async || {
        let directory = TempDir::new().expect("a directory");
        let store = DiskStore::open(directory.path(), ROOM).expect("a store");
        directories.push(directory);
        store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_store_conforms_with_small_parts_and_behind_arc() {
    let mut directories = Vec::new();
    conformance::check(async || {
        let directory = TempDir::new().expect("a directory");
        let builder = DiskStore::builder(directory.path(), ROOM).part_size(4096).sync(true);
        directories.push(directory);
        Arc::new(builder.open().expect("a store"))
    })
    .await;
}
