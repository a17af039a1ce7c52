//! `[store]`: where stored responses lie.

use super::section::Section;
use crate::plan::{DiskPlan, StorePlan};

const MEMORY: u64 = 256 << 20;
const DISK: u64 = 10 << 30;

pub(super) fn usual() -> StorePlan {
    StorePlan { memory: Some(MEMORY), disk: None }
}

pub(super) fn read(mut section: Section<'_>) -> StorePlan {
    let memory = section.get("memory").and_then(|value| match value.value.get_ref().as_bool() {
        Some(false) => Some(None),
        Some(true) => {
            value.wrong("a size is needed here, as in \"256MiB\", or false for none");
            None
        }
        None => value.size().map(Some),
    });
    let disk = section.get("disk").and_then(|value| {
        if !cfg!(all(unix, feature = "disk", feature = "tiered")) {
            value.wrong(
                "disks need Unix and the features disk and tiered, without which this program was built",
            );
        }
        value.parsed(|text| if text.is_empty() { Err("it has no name".to_owned()) } else { Ok(text.into()) })
    });
    let size = section.size("disk_size");
    if !section.has("disk") {
        section.conflict(&["disk_size"], "no `disk`");
        if memory == Some(None) {
            section.conflict(&["memory"], "no `disk`: there is nowhere to store");
        }
    }
    section.end();
    StorePlan {
        memory: memory.unwrap_or(Some(MEMORY)),
        disk: disk.map(|directory| DiskPlan { directory, size: size.unwrap_or(DISK) }),
    }
}
