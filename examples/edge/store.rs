//! Where stored responses lie: in memory, or in memory and on a disk.
#[cfg(all(unix, feature = "disk", feature = "tiered"))]
use std::time::Duration;

use tower_cdn::{Builder, CdnCacheLayer, Handle, MemoryStore};

use crate::plan::{DiskPlan, StorePlan};

/// What has to be closed in the end.
#[derive(Default)]
pub(crate) struct Disk {
    #[cfg(all(unix, feature = "disk", feature = "tiered"))]
    store: Option<tower_cdn::store::DiskStore>,
}

/// A layer with its store, to be configured.
pub(crate) fn layer(plan: &StorePlan) -> Result<(Builder, Disk), String> {
    let memory = plan.memory.map(MemoryStore::new);
    match (&plan.disk, memory) {
        (Some(disk), memory) => on_disk(memory.zip(plan.memory), disk),
        (None, Some(memory)) => Ok((CdnCacheLayer::builder(memory), Disk::default())),
        (None, None) => Err("there is nowhere to store".to_owned()),
    }
}

#[cfg(all(unix, feature = "disk", feature = "tiered"))]
fn on_disk(memory: Option<(MemoryStore, u64)>, plan: &DiskPlan) -> Result<(Builder, Disk), String> {
    use tower_cdn::{Tiered, store::DiskStore};

    let store = DiskStore::open(&plan.directory, plan.size).map_err(|error| {
        format!("the disk at {}: {}", plan.directory.display(), crate::fault::chain(&error))
    })?;
    let disk = Disk { store: Some(store.clone()) };
    let builder = match memory {
        Some((memory, bytes)) => {
            // What is larger is not worth all that would have to go for it, and streams from the disk.
            let near_limit = (bytes / 64).min(1 << 20);
            CdnCacheLayer::builder(Tiered::new(memory, store).near_limit(near_limit))
        }
        None => CdnCacheLayer::builder(store),
    };
    Ok((builder, disk))
}

/// A plan with a disk is refused before.
#[cfg(not(all(unix, feature = "disk", feature = "tiered")))]
fn on_disk(_: Option<(MemoryStore, u64)>, _: &DiskPlan) -> Result<(Builder, Disk), String> {
    Err("this program was built without disks".to_owned())
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
            store.close().await.map_err(|error| format!("the disk cannot be closed: {error}"))?;
        }
        Ok(())
    }
}
