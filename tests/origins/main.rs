//! Which origin answers: stories in virtual time.
#[path = "../support/mod.rs"]
mod support;

mod cached;
mod checks;
mod failover;
mod health;
mod nearest;
mod selection;
mod sharded;
mod told;
