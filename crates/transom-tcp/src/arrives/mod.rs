//! SEGMENT ARRIVES (RFC 9293 §3.10.7), cut into files where the RFC cuts it.

pub(crate) mod arrival;
pub mod closed;
pub mod listen;
pub(crate) mod other;
pub(crate) mod syn_sent;
