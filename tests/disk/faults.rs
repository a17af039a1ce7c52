//! A disk that is full, or may not be written: no panic, an error, and it goes on when the cause ends.
use crate::support::{Heads, ROOM, content, key, read, response, settled};
use http_body::Frame;
use http_body_util::StreamBody;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};
use tempfile::TempDir;
use tower_cdn::{Content, Store, StoredResponse, store::DiskStore};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "x").expect("written");
    for path in [file.clone(), file.join("below")] {
        let error = DiskStore::open(path, ROOM).expect_err("a file is no directory");
        assert!(!error.is_in_use() && !error.is_unknown_version(), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_cannot_be_written_is_not_stored_until_it_can() {
    let directory = TempDir::new().expect("a directory");
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(directory.path(), ROOM).expect("a store");
    let put = async |version: u64| {
        let response = response(&heads.first, content(1, version, 100_000));
        store.put(&key(1), response).await.is_ok()
    };
    assert!(put(1).await);
    // Works for root as well: the folder is a file.
    let folder = directory.path().join("content");
    let aside = directory.path().join("aside");
    fs::rename(&folder, &aside).expect("moved");
    fs::write(&folder, "").expect("written");
    assert!(!put(2).await);
    let got = store.get(&key(1)).await;
    assert!(!matches!(got, Ok(Some(_))), "what was to be replaced is gone");
    fs::remove_file(&folder).expect("removed");
    fs::rename(&aside, &folder).expect("moved");
    assert!(put(3).await);
    let got = store.get(&key(1)).await.expect("get must not fail").expect("it is there");
    assert_eq!(read(&got.content).await, Some(content(1, 3, 100_000)));
    assert!(store.stats().faults > 0 && store.stats().dropped == 1);
}

/// `sync` has to find the folder of a file once more, so that its name reaches the device.
#[tokio::test(flavor = "multi_thread")]
async fn with_sync_a_file_without_a_durable_name_is_not_stored() {
    let heads = Heads::make(1).await.remove(0);
    for sync in [false, true] {
        let directory = TempDir::new().expect("a directory");
        let store = DiskStore::builder(directory.path(), ROOM).part_size(4096).sync(sync).open();
        let store = store.expect("a store");
        let folder = directory.path().join("content");
        let aside = directory.path().join("aside");
        // Between the first part and the last.
        let moved = (folder.clone(), aside.clone());
        let bytes = content(1, 1, 10_000);
        let arriving = Content::from_fn(10_000, move |_| {
            let (folder, aside) = moved.clone();
            let rest = bytes.slice(5_000..);
            let first = futures_util::stream::iter([Ok(Frame::data(bytes.slice(..5_000)))]);
            let rest = futures_util::stream::once(async move {
                fs::rename(folder, aside).map(|()| Frame::data(rest))
            });
            StreamBody::new(futures_util::StreamExt::chain(first, Box::pin(rest)))
        });
        let put = store.put(&key(1), StoredResponse::new(heads.first.clone(), arriving)).await;
        assert_eq!(put.is_ok(), !sync, "{put:?}");
        assert_eq!(store.stats().dropped, u64::from(sync));
        fs::rename(&aside, &folder).expect("moved");
        let got = store.get(&key(1)).await.expect("get must not fail");
        assert_eq!(got.is_some(), !sync);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_permission_is_an_error() {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path().join("store");
    drop(DiskStore::open(&root, ROOM).expect("a store"));
    let locked = directory.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::set_permissions(&locked, Permissions::from_mode(0o500)).expect("set");
    if fs::write(locked.join("x"), "").is_ok() {
        // Nobody keeps root from writing.
        return;
    }
    assert!(DiskStore::open(locked.join("store"), ROOM).is_err());
}

/// Set for the process whose files may not grow.
const CHILD: &str = "TOWER_CDN_FULL_DISK";

/// In a process of its own, since the limit is the process's: a file that grows beyond it fails as on a full disk.
#[test]
fn a_full_disk_is_an_error_until_there_is_room() {
    let directory = TempDir::new().expect("a directory");
    let program = std::env::current_exe().expect("a program");
    let script = "trap '' XFSZ; ulimit -S -f 3000; exec \"$0\" --exact faults::on_a_full_disk --nocapture --ignored";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(program)
        .env(CHILD, directory.path())
        .output()
        .expect("bash");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{output:?}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn on_a_full_disk() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(fill_up(Path::new(&directory)));
}

async fn fill_up(directory: &Path) {
    let heads = Heads::make(1).await.remove(0);
    let store = DiskStore::open(directory, ROOM).expect("a store");
    let mut stored = Vec::new();
    let mut failed = Vec::new();
    // The index reaches its limit first, then it is asked again and again.
    for n in 0..4_000 {
        let put = store.put(&key(n), response(&heads.first, content(n, 1, 1_500))).await;
        if put.is_ok() { &mut stored } else { &mut failed }.push(n);
        if failed.len() > 20 {
            break;
        }
    }
    assert!(stored.len() > 500 && failed.len() > 20, "{} {store:?}", stored.len());
    let mut found = 0;
    for n in &stored {
        let Some(got) = store.get(&key(*n)).await.expect("get must not fail") else { continue };
        assert_eq!(read(&got.content).await, Some(content(*n, 1, 1_500)));
        found += 1;
    }
    assert!(found > stored.len() / 2, "what is stored can be read: {found} of {}", stored.len());
    // What fails to replace something leaves a miss.
    let large = store.put(&key(0), response(&heads.first, content(0, 2, 5 << 20))).await;
    assert!(large.is_err());
    assert!(!matches!(store.get(&key(0)).await, Ok(Some(_))));
    let pid = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    if !raised.is_ok_and(|status| status.success()) {
        return;
    }
    for n in 0..100 {
        let put = store.put(&key(n), response(&heads.first, content(n, 3, 1_500))).await;
        put.expect("there is room again");
        let got = store.get(&key(n)).await.expect("get must not fail").expect("it is there");
        assert_eq!(read(&got.content).await, Some(content(n, 3, 1_500)));
    }
    for n in &failed {
        assert!(store.get(&key(*n)).await.expect("get must not fail").is_none());
    }
    settled(&store).await;
    assert!(store.stats().faults > 0);
}
