//! The disk store by itself: puts, gets, what opening takes and what memory. `cargo bench --bench disk --features disk`; a number sets how many objects there are
//! to be opened, and `TMPDIR` says where.
#[path = "../tests/disk/support.rs"]
mod support;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    time::{Duration, Instant},
};
use support::{Heads, content, disk_usage, key, response, settled};
use tower_cdn::{
    Store,
    store::{DiskBuilder, DiskStore},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const GIGABYTE: u64 = 1 << 30;
const AT_ONCE: u64 = 64;

fn main() {
    let objects = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let heads = Heads::make(1).await.remove(0);
        puts_and_gets(&heads).await;
        opening(&heads, objects).await;
    });
}

fn store(builder: DiskBuilder) -> DiskStore {
    builder.open().expect("a store")
}

async fn puts_and_gets(heads: &Heads) {
    println!(
        "{:>10} {:>12} {:>12} {:>12} {:>12}",
        "bytes", "puts/s", "MiB/s", "gets/s", "us a get"
    );
    for (len, count) in [(1_000, 20_000), (16 << 10, 10_000), (64 << 10, 5_000), (1 << 20, 500)] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(DiskStore::builder(directory.path(), 4 * GIGABYTE));
        let bytes = content(1, 1, len);
        let begin = now();
        put_all(&store, heads, &bytes, 0..count).await;
        let put = begin.elapsed().as_secs_f64();
        let begin = now();
        let gets = count.min(2_000);
        for n in 0..gets {
            let got = store.get(&key(n)).await.expect("get must not fail").expect("it is there");
            let mut body = got.content.read();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.expect("whole").data_ref().map_or(0, Bytes::len);
            }
            assert_eq!(length, len);
        }
        let alone = begin.elapsed().as_secs_f64() / gets as f64;
        let begin = now();
        for chunk in (0..gets).collect::<Vec<_>>().chunks(AT_ONCE as usize) {
            let gets = chunk.iter().map(async |n| {
                let got = store.get(&key(*n)).await.expect("get must not fail");
                got.expect("it is there").content.read().collect().await.expect("whole").to_bytes()
            });
            assert!(join_all(gets).await.iter().all(|bytes| bytes.len() == len));
        }
        let get = begin.elapsed().as_secs_f64();
        println!(
            "{len:>10} {:>12.0} {:>12.0} {:>12.0} {:>12.1}",
            count as f64 / put,
            (count * len as u64) as f64 / put / f64::from(1 << 20),
            gets as f64 / get,
            alone * 1e6,
        );
    }
}

async fn put_all(store: &DiskStore, heads: &Heads, bytes: &Bytes, keys: std::ops::Range<u64>) {
    let mut from = keys.start;
    while from < keys.end {
        let to = keys.end.min(from + AT_ONCE);
        let puts = (from..to).map(|n| {
            let (store, response) = (store.clone(), response(&heads.first, bytes.clone()));
            tokio::spawn(async move { store.put(&key(n), response).await })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.expect("no panic").expect("put must not fail");
        }
        from = to;
    }
}

async fn opening(heads: &Heads, objects: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || store(DiskStore::builder(directory.path(), 16 * GIGABYTE));
    let store = open();
    let begin = now();
    put_all(&store, heads, &content(1, 1, 200), 0..objects).await;
    settled(&store).await;
    println!(
        "{objects} small objects put in {:.1} s, {} MiB on the disk",
        begin.elapsed().as_secs_f64(),
        disk_usage(directory.path()) >> 20,
    );
    store.close().await.expect("closed");
    drop(store);
    for how in ["closed", "killed"] {
        let region = Region::new(ALLOCATOR);
        let begin = now();
        let store = open();
        let opened = begin.elapsed();
        assert!(store.get(&key(objects / 2)).await.expect("get must not fail").is_some());
        let first = begin.elapsed();
        store.loaded().await;
        let loaded = begin.elapsed();
        settled(&store).await;
        let change = region.change();
        // What the index keeps of what it has read is bounded by itself.
        let memory = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        println!(
            "{how} before: opened after {}, first answer after {}, all known after {}; {} bytes an object with {} MiB for the index",
            told(opened),
            told(first),
            told(loaded),
            memory as u64 / objects.max(1),
            32,
        );
        if how == "closed" {
            // As if the process had been killed: what is there now is opened elsewhere.
            store.delete(&key(0)).await.expect("delete must not fail");
            let copy = std::process::Command::new("cp")
                .args(["-r", "--sparse=always", "--no-target-directory"])
                .arg(directory.path())
                .arg(directory.path().with_extension("copy"))
                .status();
            assert!(copy.is_ok_and(|status| status.success()), "a copy");
            store.close().await.expect("closed");
            drop(store);
            std::fs::remove_dir_all(directory.path()).expect("removed");
            std::fs::rename(directory.path().with_extension("copy"), directory.path())
                .expect("moved");
        }
    }
}

fn told(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
