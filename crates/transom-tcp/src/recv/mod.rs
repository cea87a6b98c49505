//! The receiver's half: what was received and not yet read.

mod assembler;
mod out_of_order;

pub use assembler::{Inserted, RecvQueue};
