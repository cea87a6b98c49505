//! Why a script failed.

use std::fmt;

use crate::script::Place;

/// What kind of thing was not as the script says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A packet, or none, where another was expected.
    Packet,
    /// A system call's result.
    Call,
    /// The time of something that is right otherwise.
    Time,
    /// A shell line that is not known.
    Shell,
    /// An assertion.
    Code,
    /// An option.
    Option,
    /// Something that this interpreter or the stack cannot do.
    Unsupported,
}

/// The first thing that was not as the script says. Displays as `file:line: what`, expected and actual one above the
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The script's name.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What kind of thing.
    pub kind: Kind,
    /// What, in one line or several.
    pub message: String,
}

impl Failure {
    pub(super) fn new(file: &str, place: Place, kind: Kind, message: String) -> Self {
        Self {
            file: file.to_owned(),
            place,
            kind,
            message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.place.line, self.message)
    }
}

impl std::error::Error for Failure {}
