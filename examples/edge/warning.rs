//! What an operator should know of, on standard error.

use std::io::{self, Write};

pub(crate) fn warn(text: &str) {
    // A warning that cannot be written must not stop the server.
    let _ = writeln!(io::stderr(), "edge: {text}");
}
