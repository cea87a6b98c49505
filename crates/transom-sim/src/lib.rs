//! A small deterministic network: links that delay, lose, reorder, duplicate and corrupt, and a
//! world of hosts that they join.
//!
//! Nothing here reads a clock or a random source of the system. Time is a [`Duration`] since the
//! start of the world, given by the caller; chance comes from a seed that is part of the
//! [`Impairment`]. The same seed and the same input give the same output, on every machine.
//!
//! - [`Link`] is one direction of a wire. It has the handle/poll shape: [`Link::push`] takes a
//!   packet and says what becomes of it, or that a queue will decide; [`Link::next`] tells when
//!   something happens next, [`Link::pop`] hands out what has arrived. It therefore works in
//!   virtual time (tests) and in real time (a wrapper around a real device) alike.
//! - [`Impairment`] is the description of a link. It is also what a person types:
//!   `"loss=1%,delay=20ms,rate=10mbit".parse::<Impairment>()`, see [`Impairment`] for the words.
//! - [`Router`] is a host that passes IP packets on; its queues are those of its links.
//! - [`World`] joins [`Host`]s by pairs of links, jumps the clock to the earliest deadline, and
//!   writes down each packet with its fate in a [`Trace`].
//!
//! Everything is bounded: what a link holds, what a trace keeps, how many steps a run may take.
//!
//! ```
//! use std::time::Duration;
//! use transom_sim::{Fate, Impairment, Link};
//!
//! let impairment: Impairment = "delay=20ms,loss=list:2".parse()?;
//! let mut link = Link::new(impairment);
//! let start = Duration::ZERO;
//! link.push(start, vec![1]);
//! assert!(matches!(link.push(start, vec![2]), Fate::Dropped(_)));
//! assert_eq!(link.next(start), Some(Duration::from_millis(20)));
//! assert_eq!(link.pop(Duration::from_millis(20)), Some(vec![1]));
//! # Ok::<(), transom_sim::SpecError>(())
//! ```
//!
//! [`Duration`]: std::time::Duration

mod bandwidth;
mod codel;
mod impairment;
pub mod ip;
mod link;
mod loss;
mod police;
mod queue;
mod random;
mod router;
mod spec;
mod trace;
mod world;

pub use bandwidth::{Bandwidth, BandwidthError};
pub use impairment::{Aqm, Impairment, Marking, Probability, Queue};
pub use link::{DropCause, Fate, Filter, Link, LinkCounters, Packet, Passage};
pub use loss::Loss;
pub use police::{Outage, Policer};
pub use queue::{Backlog, Waits};
pub use random::Random;
pub use router::{Router, RouterCounters, TooBig};
pub use spec::SpecError;
pub use trace::{Trace, TraceEntry};
pub use world::{Host, HostId, LinkId, Outcome, World};
