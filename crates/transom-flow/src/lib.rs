//! Packets to connections: what happened on each, step by step and in words.
//!
//! A [`Tracker`] takes frames (as they pass, or from a capture file) and truths (what a TCP itself
//! says of its states), and gives [`Connection`]s: their [`Step`]s with the state of *both* ends
//! after each, totals, who closed, and a [`Verdict`]. Every view of Transom draws this model, and
//! nothing else.
//!
//! How the states come about: an end's state is a function of facts ("has the other's FIN"), which
//! hold from some step on ([`facts`](self)). From packets alone a fact is taken to hold when the
//! segment passes, and taken back when a later segment of that end contradicts it. Where a TCP tells
//! its states, these stand; the [`Basis`] of each state says which it is.
//!
//! No clock, no file, no thread: times come with the frames, and [`pcapng::Writer`] writes to
//! whatever it is given.
//!
//! ```
//! use std::time::Duration;
//! use transom_flow::{ClosedBy, Frame, Ignored, Limits, Tracker, wire::Medium};
//!
//! // A SYN to a port of 127.0.0.1 and the reset that refuses it.
//! let syn = b"E\0\0(\0\0@\0@\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\x80\0\0\x50\0\0\0\x09\0\0\0\0\x50\x02\xff\xff\0\0\0\0";
//! let rst = b"E\0\0(\0\0@\0@\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\0\x50\x80\0\0\0\0\0\0\0\0\x0a\x50\x14\0\0\0\0\0\0";
//! let mut tracker = Tracker::new(Limits::default());
//! tracker.frame(&Frame::new(Duration::ZERO, Medium::Ip, syn))?;
//! tracker.frame(&Frame::new(Duration::from_micros(40), Medium::Ip, rst))?;
//! tracker.finish();
//! for connection in tracker.connections() {
//!     assert_eq!(connection.closed_by(), ClosedBy::Refused);
//!     assert!(connection.verdict().text().starts_with("Refused: nothing listens at 127.0.0.1:80"));
//! }
//! # Ok::<(), Ignored>(())
//! ```
//!
//! Where what is:
//! - `dissect`: bytes to segments; `ranges`, `lane`: sequence numbers of one direction
//! - `facts`: facts to states; `follow`, `depart`, `arrive`: segments to facts; `truth`: what overrides them
//! - `copies`: packets captured twice, and data sent again for nothing
//! - `meaning`, `hint`: what a segment is for, and what its data looks like
//! - `measure`: round trips, windows, what held a sender back; `application`: the first bytes
//! - `milestones`, `verdict`: what to remember, and what to say
//! - `zeek`: state and history by the rules of Zeek's `conn.log`
//! - `summary`: a line of a list, and which comes first
//! - `filter`: which connections are meant, in the language of Wireshark's display filter
//! - `steps`: the bounded list; `tracker`, `table`: all connections, found by their sockets; `parallel`: on
//!   several cores
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod application;
mod arrive;
pub mod capture;
mod connection;
mod copies;
mod depart;
mod dissect;
mod facts;
pub mod filter;
mod follow;
mod frame;
mod hint;
mod lane;
mod meaning;
mod measure;
mod milestones;
mod model;
mod ordinary;
pub mod parallel;
mod past;
pub mod pcapng;
mod ranges;
mod steady;
mod step;
mod steps;
mod summary;
mod table;
mod tracker;
mod truth;
pub mod verdict;
pub mod words;
mod zeek;

pub use application::Application;
pub use connection::Connection;
pub use dissect::Ignored;
pub use measure::{
    AckPoint, DataKind, DataPoint, Limit, Limited, Measures, Point, Range, Rtt, Series, Track,
};
pub use model::{Basis, ClosedBy, End, EndState, Endpoint, Ends, Handshake, Process, Totals};
pub use past::Past;
pub use step::{
    Cause, Entry, Fate, Fold, FoldedTotals, IcmpError, IcmpKind, Meaning, Note, Segment,
    StateChange, Step, What,
};
pub use summary::{Summary, Weight};
pub use tracker::{Checksum, Counters, Frame, Limits, Tracked, Tracker};
pub use transom_tcp::State;
pub use transom_wire as wire;
pub use truth::{Truth, TruthEvent};
pub use verdict::{Finding, Overview, Severity, Verdict};
