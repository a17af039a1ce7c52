//! Which origin answers: stories in virtual time.
#[path = "../support/mod.rs"]
mod support;

mod cached;
mod checks;
#[cfg(feature = "client")]
mod client;
mod failover;
mod health;
mod nearest;
mod selection;
mod sharded;
mod told;
