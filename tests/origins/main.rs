//! Which origin answers: stories in virtual time.
#[path = "../support/mod.rs"]
mod support;

mod cached;
mod checks;
#[cfg(feature = "client")]
mod client;
mod failover;
mod health;
#[cfg(feature = "tracing")]
mod logged;
mod nearest;
mod regional;
#[cfg(feature = "s3")]
mod s3;
mod selection;
mod sharded;
mod told;
