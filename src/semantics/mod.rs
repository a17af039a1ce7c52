//! What RFC 9111 and its neighbours say, as pure functions.
//!
//! Nothing here does I/O, awaits, logs or reads a clock: `now` is an argument, and so is everything
//! the operator decides. One file for one part of an RFC; the names are the RFC's own.
pub(crate) mod cache_status;
pub(crate) mod changed;
mod codings;
pub(crate) mod conditional;
pub(crate) mod deception;
pub(crate) mod directives;
pub(crate) mod fields;
pub(crate) mod forwarding;
pub(crate) mod freshness;
pub(crate) mod groups;
pub(crate) mod invalidation;
#[cfg(test)]
mod properties;
pub(crate) mod range;
pub(crate) mod reuse;
pub(crate) mod selecting;
pub(crate) mod sharing;
pub(crate) mod stored_fields;
pub(crate) mod storing;
pub(crate) mod survey;
pub(crate) mod targeted;
pub(crate) mod trailers;
mod twins;
pub(crate) mod validation;
