//! Why a capture could not be read on.

use core::fmt;
use std::io;

/// Why a capture could not be read on. What came before was whole and has been given.
///
/// Offsets count bytes of the file; in a gzipped one, of what it unpacks to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system could not read.
    #[non_exhaustive]
    Io {
        /// Bytes read before.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes do not begin as a capture does.
    #[non_exhaustive]
    NotACapture {
        /// What they look like, or what is missing.
        what: String,
    },
    /// The layout is broken: what follows cannot be found.
    #[non_exhaustive]
    Broken {
        /// Where the record or block at fault begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file ends in the middle of a record.
    #[non_exhaustive]
    Truncated {
        /// Where the record that is not whole begins.
        offset: u64,
        /// Bytes of it that are there.
        present: u64,
    },
}

impl Error {
    pub(super) fn broken(offset: u64, what: impl Into<String>) -> Self {
        Self::Broken {
            offset,
            what: what.into(),
        }
    }

    pub(super) fn not_a_capture(what: impl Into<String>) -> Self {
        Self::NotACapture { what: what.into() }
    }

    /// Where reading stopped, if that is not the very start.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        match self {
            Self::NotACapture { .. } => None,
            Self::Io { offset, .. }
            | Self::Broken { offset, .. }
            | Self::Truncated { offset, .. } => Some(*offset),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { offset: 0, source } => write!(f, "cannot read: {source}"),
            Self::Io { offset, source } => write!(f, "cannot read beyond byte {offset}: {source}"),
            Self::NotACapture { what } => write!(f, "not a capture (pcap or pcapng): {what}"),
            Self::Broken { offset, what } => write!(f, "broken at byte {offset}: {what}"),
            Self::Truncated { offset, present } => write!(
                f,
                "cut short: the record at byte {offset} has only {present} of its bytes"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
