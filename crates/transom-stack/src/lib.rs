//! Many TCP connections, and UDP and ICMP beside them, on one host behind one device.
//!
//! The crate does no input or output: frames, time and one secret come in as arguments, frames and events go out
//! as values. See [`Stack`] for the contract.
//!
//! | layer | files |
//! |---|---|
//! | way in: link → IP → transport | `ahead`, `ingress`, `fragment`, `link_in`, `icmp_in`, `udp_path`, `arrivals` |
//! | way out | `transmit`, `egress`, `icmp_out`, `link`, `neighbour` |
//! | TCP: who owns a tuple | `endpoint`, `listener`, `incoming`, `deadlines`, `calls` |
//! | the host | `host`, `route`, `pmtu`, `isn`, `ports`, `ip_id`, `rate`, `secret` |
//! | looking from outside | `discard`, `counters`, `recorder`, `event` |
//!
//! Invariants
//! - `handle_*` never transmits; every frame leaves through [`Stack::poll_transmit`].
//! - Every table and queue is bounded; what is dropped is named and counted ([`Discard`]).
//! - Nothing is read from a clock or a source of randomness; the same input gives the same output.
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "hashes and clocks are cut to the width of their field on purpose"
)]

mod acquire;
mod ahead;
mod arrivals;
mod calls;
mod config;
mod cookie;
mod counters;
mod deadlines;
mod demux;
mod discard;
mod egress;
mod embryo;
mod endpoint;
mod error;
mod event;
mod fastopen;
mod fragment;
mod groups;
mod handle;
mod host;
mod icmp_in;
mod icmp_out;
mod incoming;
mod ingress;
mod ip_id;
mod isn;
mod known;
mod link;
mod link_in;
mod listener;
mod memory;
mod neighbour;
mod observer;
mod places;
mod pmtu;
mod ports;
mod quote;
mod rate;
mod recorder;
mod rest;
mod route;
mod router;
mod secret;
mod shard;
mod slab;
mod stack;
mod timers;
mod transmit;
mod tuple;
mod udp;
mod udp_path;

pub use transom_tcp as tcp;
pub use transom_wire as wire;

pub use calls::ConnectOptions;
pub use config::{EchoMode, StackConfig};
pub use counters::Counters;
pub use discard::Discard;
pub use error::{
    BindError, ConnectError, DatagramError, IncomingError, ListenError, RecvError, SendError,
    ShutdownError, StaleHandle,
};
pub use event::{EchoRequest, StackEvent, Unreachable};
pub use fastopen::{FastOpenKeys, FastOpenListen};
pub use handle::{ConnId, IncomingId, ListenerId, UdpId};
pub use incoming::{Incoming, SynInfo};
pub use listener::{ListenOn, ListenOptions};
pub use rate::RateLimit;
pub use recorder::{Direction, FrameRef, Metrics, Recorder};
pub use rest::ConnectionRef;
pub use route::RouteTarget;
pub use shard::{Owns, division_key};
pub use stack::Stack;
pub use udp::{Datagram, DatagramOptions, UdpError, UdpOn};
