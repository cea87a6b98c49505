//! RFC 9293 for one connection.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arrives;
pub mod config;
pub mod congestion;
mod connection;
mod discard;
mod error;
mod event;
mod info;
pub mod recovery;
pub mod recv;
pub mod rtt;
mod segment;
pub mod send;
mod state;
mod time;
mod timewait;

pub use arrives::{closed, listen};
pub use config::{Config, Identity, KeepAlive, Linger, Path};
pub use connection::Connection;
pub use discard::Discard;
pub use error::{CloseError, RecvError, SendError};
pub use event::{CloseReason, Event, PathError};
pub use info::{ConnectionInfo, Counters};
pub use segment::{RetransmitCause, Segment, Transmit, TransmitKind};
pub use state::{State, TRANSITIONS, Transition};
pub use time::Instant;
pub use timewait::{TimeWait, TimeWaitReply};
