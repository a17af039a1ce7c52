//! `DiskStore`: the contract, bounds, faults, and what becomes of it when it is opened again.
mod conformance;
mod support;
