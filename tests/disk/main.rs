//! `DiskStore`: the contract, bounds, faults, and what becomes of it when it is opened again.
mod bounds;
mod conformance;
mod damage;
mod faults;
mod model;
mod opening;
mod replacing;
mod support;
