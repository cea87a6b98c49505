//! The receiver's half: what was received and not yet read.

mod assembler;

pub use assembler::{Inserted, RecvQueue};
