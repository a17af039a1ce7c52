//! The example `edge`: the built program between raw sockets.
//!
//! `cargo test` builds examples before it runs tests, but `cargo test --test edge` does not: run
//! `cargo build --example edge` before that. It runs no unit tests of an example either (and with
//! `test = true` it would build those *instead of* the program), so they run from here.

#[path = "edge/admin.rs"]
mod admin_calls;
#[path = "edge/cache.rs"]
mod cache;
#[cfg(feature = "origins")]
#[path = "edge/config.rs"]
mod config;
#[cfg(feature = "origins")]
#[path = "edge/config_reload.rs"]
mod config_reload;
#[cfg(feature = "origins")]
#[path = "edge/config_runs.rs"]
mod config_runs;
#[cfg(feature = "origins")]
#[path = "edge/config_tiers.rs"]
mod config_tiers;
#[path = "edge/cuts.rs"]
mod cuts;
#[cfg(all(unix, feature = "disk", feature = "tiered"))]
#[path = "edge/disk.rs"]
mod disk;
#[path = "edge/faults.rs"]
mod faults;
#[path = "edge/fields.rs"]
mod fields;
#[path = "edge/framing.rs"]
mod framing;
#[path = "edge/heads.rs"]
mod heads;
#[path = "edge/hosts.rs"]
mod hosts;
#[path = "edge/http2.rs"]
mod http2;
#[path = "edge/process.rs"]
mod process;
#[cfg(feature = "origins")]
#[path = "edge/regional.rs"]
mod regional;
#[path = "edge/reuse.rs"]
mod reuse;
#[cfg(feature = "origins")]
#[path = "edge/site.rs"]
mod site;
#[cfg(feature = "origins")]
#[path = "edge/slow_clients.rs"]
mod slow_clients;
#[path = "edge/streaming.rs"]
mod streaming;
#[path = "edge/support.rs"]
mod support;
#[path = "edge/tunnels.rs"]
mod tunnels;

#[allow(dead_code)]
#[path = "../examples/edge/admin/mod.rs"]
mod admin;
#[allow(dead_code)]
#[path = "../examples/edge/args.rs"]
mod args;
#[allow(dead_code)]
#[path = "../examples/edge/body.rs"]
mod body;
#[allow(dead_code)]
#[path = "../examples/edge/bucket.rs"]
mod bucket;
#[allow(dead_code)]
#[path = "../examples/edge/check.rs"]
mod check;
#[allow(dead_code)]
#[path = "../examples/edge/client.rs"]
mod client;
#[cfg(feature = "origins")]
#[allow(dead_code)]
#[path = "../examples/edge/config/mod.rs"]
mod config_file;
#[allow(dead_code)]
#[path = "../examples/edge/connector.rs"]
mod connector;
#[allow(dead_code)]
#[path = "../examples/edge/demo.rs"]
mod demo;
#[allow(dead_code)]
#[path = "../examples/edge/duration.rs"]
mod duration;
#[allow(dead_code)]
#[path = "../examples/edge/fault.rs"]
mod fault;
#[allow(dead_code)]
#[path = "../examples/edge/forwards.rs"]
mod forwards;
#[cfg(feature = "origins")]
#[allow(dead_code)]
#[path = "../examples/edge/group.rs"]
mod group;
#[allow(dead_code)]
#[path = "../examples/edge/head.rs"]
mod head;
#[allow(dead_code)]
#[path = "../examples/edge/hop.rs"]
mod hop;
#[allow(dead_code)]
#[path = "../examples/edge/last.rs"]
mod last;
#[cfg(feature = "origins")]
#[allow(dead_code)]
#[path = "../examples/edge/look.rs"]
mod look;
#[allow(dead_code)]
#[path = "../examples/edge/plan.rs"]
mod plan;
#[allow(dead_code)]
#[path = "../examples/edge/rarely.rs"]
mod rarely;
#[allow(dead_code)]
#[path = "../examples/edge/reply.rs"]
mod reply;
#[allow(dead_code)]
#[path = "../examples/edge/response.rs"]
mod response;
#[allow(dead_code)]
#[path = "../examples/edge/size.rs"]
mod size;
#[allow(dead_code)]
#[path = "../examples/edge/stream.rs"]
mod stream;
#[allow(dead_code)]
#[path = "../examples/edge/timer.rs"]
mod timer;
#[allow(dead_code)]
#[path = "../examples/edge/upload.rs"]
mod upload;
#[allow(dead_code)]
#[path = "../examples/edge/upstream.rs"]
mod upstream;
#[allow(dead_code)]
#[path = "../examples/edge/url.rs"]
mod url;
#[allow(dead_code)]
#[path = "../examples/edge/warning.rs"]
mod warning;
#[allow(dead_code)]
#[path = "../examples/edge/wire.rs"]
mod wire;
