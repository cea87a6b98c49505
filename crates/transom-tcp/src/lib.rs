//! TCP for one connection: RFC 9293 and its companions, and nothing else.
//!
//! There is no IP here, no socket, no clock, no thread and no source of randomness. Segments, time
//! and secrets come in as values; segments, deadlines and events go out as values. The same code
//! therefore runs over a device, inside a simulation and against a table of test rows. `no_std`
//! with `alloc`.
//!
//! # The contract
//! [`Connection`]'s methods are getters, input (`handle_*`), calls of the application, and output
//! (`poll_*`). After input or calls drain `poll_transmit`, then `poll_event`, then ask
//! `poll_timeout`. Details stand above the type.
//!
//! # What holds
//! 1. Input never transmits; [`poll_transmit`](Connection::poll_transmit) is the only way out, and
//!    `transmit.rs` the only place that builds segments.
//! 2. A state is entered through one function, which checks the pair against [`TRANSITIONS`].
//! 3. The leaves (`send`, `recv`, `recovery`, `congestion`, `rtt`) do not know each other; the
//!    control block passes values between them.
//! 4. Whatever is discarded has a name, [`Discard`], that is counted and shown.
//! 5. Payload is never copied on its way through; super-segments are first class both ways.
//! 6. Nothing that a peer sends makes it panic, loop or hold unbounded memory.
//!
//! # Where the RFC lives
//!
//! | RFC 9293 | file | RFC 9293 and others | file |
//! |---|---|---|---|
//! | §3.3.1 variables | `send/mod.rs`, `recv/mod.rs` | §3.8.1 time-out; 6298 | `rtt.rs`, `timeouts.rs` |
//! | §3.3.2 state machine | `state.rs` | §3.8.2 congestion; 5681, 9438 | `congestion/` |
//! | §3.5 opening | `arrives/{listen,syn_sent}.rs`, `synsent.rs` | §3.8.3 R1, R2 | `timeouts.rs` |
//! | §3.5.2 resets | `arrives/closed.rs`, `tcb.rs` | §3.8.4 keep-alive | `timeouts.rs` |
//! | §3.6 closing | `calls.rs`, `arrives/other.rs` step 8 | §3.8.6.1 closed window | `timeouts.rs`, `transmit.rs` |
//! | §3.6.1 TIME-WAIT; 6191, 1337 | `timewait.rs` | §3.8.6.2 silly windows | `send/when.rs`, `recv/window.rs` |
//! | §3.7.1 MSS, options | `options.rs` | §3.8.6.3 delayed ACK | `recv/ack.rs` |
//! | §3.7.4 Nagle | `send/when.rs` | §3.9.2.2 ICMP; 5927, 1191 | `path.rs` |
//! | §3.10.1-6 calls | `calls.rs` | 2018, 2883 SACK | `recv/assembler.rs` |
//! | §3.10.7 segment arrives | `arrives/` | 8985, 6675, 6582, 9937 recovery | `recovery/` |
//! | … its fifth and seventh step | `acknowledged.rs`, `text.rs` | 7323 timestamps, PAWS | `recv/mod.rs`, `arrives/other.rs` |
//! | §3.10.8 timeouts | `timeouts.rs`, `timer.rs` | 5961 blind attacks | `arrives/other.rs`, `challenge.rs` |
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
mod delivery;
mod discard;
mod dormant;
mod ecn;
mod embryo;
mod env;
mod error;
mod event;
mod fastopen;
mod info;
mod mtu_search;
mod options;
mod pacing;
mod pack;
mod path;
mod rate;
pub mod recovery;
pub mod recv;
mod retransmit_timer;
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
pub use config::{
    AccEcnOption, Config, EcnUse, FastOpenUse, Identity, KeepAlive, Linger, MtuProbing, Path,
};
pub use connection::Connection;
pub use discard::Discard;
pub use dormant::Dormant;
pub use ecn::{AccurateInfo, EcnOffer};
pub use embryo::{Embryo, EmbryoReply, Offer};
pub use error::{CloseError, RecvError, SendError};
pub use event::{CloseReason, Event, PathError};
pub use fastopen::{FastOpenAnswer, FastOpenNews, FastOpenSyn, SynData};
pub use info::{CongestionState, ConnectionInfo, Counters};
pub use segment::{RetransmitCause, Segment, Transmit, TransmitKind};
pub use state::{State, TRANSITIONS, Transition};
pub use time::Instant;
pub use timewait::{TimeWait, TimeWaitReply};
