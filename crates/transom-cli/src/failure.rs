//! How a command ends: with an outcome to pass on, or with one sentence that says why it could not.

use std::fmt::Display;

/// Transom itself failed, as `env` and `timeout` use it.
pub(crate) const EXIT_OURS: u8 = 125;
/// The program was found but could not be executed.
pub(crate) const EXIT_NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub(crate) const EXIT_NOT_FOUND: u8 = 127;

/// What a command that did its work hands to `main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Leave with this exit code.
    Exited(u8),
    /// The program died by this signal; so do we.
    Signaled(i32),
}

/// Why a command could not do its work: one sentence with the way out, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The sentence, without a leading "transom:" and without a final newline.
    pub(crate) message: String,
    /// The exit code for `main`.
    pub(crate) exit: u8,
}

impl Failure {
    /// A failure of our own, exit code 125.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit: EXIT_OURS,
        }
    }

    /// A failure of our own while doing `what`.
    pub(crate) fn doing(what: &str, error: impl Display) -> Self {
        Self::new(format!("cannot {what}: {error}"))
    }
}
