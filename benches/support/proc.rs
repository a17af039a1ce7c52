//! What the kernel says of this process.
use std::fs;

/// Bytes resident now.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// The most bytes that were ever resident.
pub(crate) fn peak_resident() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
    let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kibibytes.expect("a number") * 1024
}
