//! Rules that make stored responses invalid: one question at look-up, and never a walk over the store.
//!
//! A rule has a number from the same sequence as the fetches; it concerns responses that were asked for before.
mod book;
mod ledger;
mod mark;
mod paths;
mod receipt;
pub(crate) mod record;
mod rule;
mod rules;
pub(crate) mod sequence;
mod table;
mod target;

pub(crate) use mark::Mode;
pub use receipt::Receipt;
pub(crate) use rule::{Cause, Draft, Floors, Made, Validity};
pub(crate) use rules::Rules;
pub use target::InvalidationError;
pub(crate) use target::{Target, read_uri};
