//! Errors as sentences.

use std::fmt::Display;
use std::io;

/// An error of the same kind that says what failed, why, and, if anything can be done, what.
pub(crate) fn failed(what: impl Display, error: &io::Error, mend: &str) -> io::Error {
    let separator = if mend.is_empty() { "" } else { "; " };
    io::Error::new(error.kind(), format!("{what}: {error}{separator}{mend}"))
}
