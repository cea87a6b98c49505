//! Where running `transom run`s can be asked: what both who asks and who answers must know.

/// Of the answer. Fields may be added to a version; a reader skips what it does not know.
pub(crate) const VERSION: u64 = 1;

/// What the abstract names begin with.
pub(crate) const PREFIX: &str = "transom-run-";

/// The abstract name of a process' socket.
pub(crate) fn name_of(pid: u32) -> String {
    format!("{PREFIX}{pid}")
}
