//! Where stored responses lie: in memory, or in memory and on a disk.
#[cfg(all(unix, feature = "disk", feature = "tiered"))]
use std::time::Duration;

use tower_cdn::{Builder, CdnCacheLayer, Handle, MemoryStore};

use crate::args::Args;

/// What has to be closed in the end.
#[derive(Default)]
pub(crate) struct Disk {
    #[cfg(all(unix, feature = "disk", feature = "tiered"))]
    store: Option<tower_cdn::store::DiskStore>,
}

/// A layer with its store, to be configured.
pub(crate) fn layer(args: &Args) -> Result<(Builder, Disk), String> {
    let memory = MemoryStore::new(args.memory);
    match &args.disk {
        None => Ok((CdnCacheLayer::builder(memory), Disk::default())),
        Some(directory) => on_disk(memory, directory, args.disk_size),
    }
}

#[cfg(all(unix, feature = "disk", feature = "tiered"))]
fn on_disk(
    memory: MemoryStore,
    directory: &std::path::Path,
    size: u64,
) -> Result<(Builder, Disk), String> {
    use std::error::Error;
    use tower_cdn::{Tiered, store::DiskStore};

    let store = DiskStore::open(directory, size).map_err(|error| {
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("--disk: {}: {error}{cause}", directory.display())
    })?;
    let disk = Disk { store: Some(store.clone()) };
    Ok((CdnCacheLayer::builder(Tiered::new(memory, store)), disk))
}

/// The command line is refused before.
#[cfg(not(all(unix, feature = "disk", feature = "tiered")))]
fn on_disk(_: MemoryStore, _: &std::path::Path, _: u64) -> Result<(Builder, Disk), String> {
    Err("--disk: this program was built without it".to_owned())
}

impl Disk {
    /// What was fetched last reaches the disk.
    #[cfg_attr(
        not(all(unix, feature = "disk", feature = "tiered")),
        expect(unused_variables, reason = "there is no disk")
    )]
    pub(crate) async fn close(self, cache: Handle) -> Result<(), String> {
        #[cfg(all(unix, feature = "disk", feature = "tiered"))]
        if let Some(store) = self.store {
            let fetched = async {
                while cache.stats().fetches > 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            // What takes longer is not stored.
            let _ = tokio::time::timeout(Duration::from_secs(5), fetched).await;
            store.close().await.map_err(|error| format!("--disk: cannot be closed: {error}"))?;
        }
        Ok(())
    }
}
