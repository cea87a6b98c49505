//! RFC 9293 for one connection.
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acknowledged;
mod arrives;
mod calls;
mod challenge;
pub mod config;
pub mod congestion;
mod connection;
mod discard;
mod env;
mod error;
mod event;
mod info;
mod options;
mod path;
pub mod recovery;
pub mod recv;
pub mod rtt;
mod segment;
pub mod send;
mod state;
mod synsent;
mod tcb;
mod text;
mod time;
mod timeouts;
mod timer;
mod timewait;
mod transmit;

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
