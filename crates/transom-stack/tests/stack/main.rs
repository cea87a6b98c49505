//! The stack as a peer made of bytes sees it, by requirement.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a panic is the failure"
)]

mod closed;
mod fast_open;
mod flood;
mod harness;
mod hold;
mod icmp;
mod identity;
mod ip;
mod known;
mod listen;
mod mangled;
mod neighbour;
mod observe;
mod on_link;
mod open;
mod pmtu;
mod safety;
mod timewait;
mod udp;
