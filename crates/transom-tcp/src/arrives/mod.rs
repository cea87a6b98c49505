//! SEGMENT ARRIVES (RFC 9293 §3.10.7), cut into files where the RFC cuts it.

pub mod closed;
pub mod listen;
