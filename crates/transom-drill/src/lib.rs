//! Our own stack as a host of a simulated network, in virtual time.
//!
//! [`Node`] joins a [`transom_stack::Stack`] to a [`transom_sim::World`]: frames and deadlines are the world's,
//! everything that an application would call is the caller's. [`Journal`] keeps what a stack did, in the order in
//! which it did it: frames in and out, changes of state, discards. Scenes (`transom demo`) and properties over random
//! networks are played on these two.
//!
//! [`bed`] measures flows across a bottleneck, [`worlds`] plays random hosts, paths and applications.
//!
//! Packet scripts (`transom drill`): [`script`] reads them, [`run`] plays them, [`packets`] builds and compares their
//! packets, [`code`] runs their assertions, [`sockets`] is what a kernel is to a program (system calls on one stack),
//! and [`profile`] reads the sysctls that a script sets.
//!
//! No clock, socket or random source is in here: a scene with the same seed and secret runs the same way each time.

#![forbid(unsafe_code)]

pub mod bed;
pub mod code;
mod journal;
mod member;
mod node;
pub mod packets;
pub mod profile;
pub mod run;
pub mod script;
pub mod sockets;
pub mod worlds;

pub use journal::{Entry, Journal, What};
pub use member::Member;
pub use node::{Application, Node, instant};
