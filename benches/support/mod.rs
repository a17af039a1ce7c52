//! What is measured, and the floor beside it.
#![allow(dead_code, unused_imports, reason = "each bench uses a part of it")]
mod arguments;
pub(crate) mod callgrind;
mod cases;
mod ceilings;
mod floor;
mod floor_moka;
mod floor_quick;
mod frames;
mod origin;
mod pace;
mod proc;
mod request;
mod scenes;

pub(crate) use arguments::{Arguments, find};
pub(crate) use cases::{CASES, Case, HARNESS, LARGE, cases, net};
pub(crate) use ceilings::{Ceilings, Column};
pub(crate) use floor::{Floor, Key, Map, Stored};
pub(crate) use floor_moka::MokaMap;
pub(crate) use floor_quick::QuickMap;
pub(crate) use frames::{FRAME, Frames, Long, LongOrigin, Pace, SENT};
pub(crate) use origin::{Constant, Origin, fields};
pub(crate) use pace::{read, runtime, send_all};
pub(crate) use proc::{peak_resident, resident};
pub(crate) use request::{Ask, browser};
pub(crate) use scenes::{Run, Scene, alone, floor_hit, hit, scene};
