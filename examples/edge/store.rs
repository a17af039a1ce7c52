//! Where stored responses lie: in memory, or in memory and on a disk.
use tower_cdn::{Builder, CdnCacheLayer, MemoryStore};

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
    /// What was stored last reaches the disk.
    pub(crate) async fn close(self) -> Result<(), String> {
        #[cfg(all(unix, feature = "disk", feature = "tiered"))]
        if let Some(store) = self.store {
            store.close().await.map_err(|error| format!("--disk: cannot be closed: {error}"))?;
        }
        Ok(())
    }
}
