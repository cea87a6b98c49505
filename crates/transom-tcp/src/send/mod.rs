//! The sender's half: what waits for acknowledgement.

mod queue;

pub use queue::SendQueue;
