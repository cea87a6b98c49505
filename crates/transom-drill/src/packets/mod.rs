//! Packets of a script and live packets: one built from the other, the other compared with the one.
//!
//! A script writes packets in number spaces of its own. A [`Conversation`] knows how these map to the live ones of one
//! connection, in both directions:
//!
//! - Packets with SYN carry absolute script numbers, all others count from the SYNs: the first octet of data is 1.
//! - The script's initial sequence number for its own side is used live. The stack's own is learned from its SYN.
//! - A timestamp that the stack sends is remembered beside the one that the script wrote for it, so that the script can
//!   echo it.
//!
//! [`Conversation::build`] makes the octets of a packet that goes in. [`Expectation`] takes the live packets that must
//! make up one packet of the script and says [`Difference`]s in script notation. [`Conversation::print`] writes any
//! live packet in script notation.
//!
//! Nothing in here knows the time or the stack.

mod build;
mod conversation;
mod difference;
mod expectation;
mod live;
mod names;
mod notation;
mod numbers;
mod options;

pub use build::Unbuildable;
pub use conversation::Conversation;
pub use difference::Difference;
pub use expectation::{Expectation, Taken};
pub use live::Unreadable;
pub use notation::Way;
