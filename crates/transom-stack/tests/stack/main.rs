//! The stack as a peer made of bytes sees it, by requirement.

mod closed;
mod harness;
mod icmp;
mod ip;
mod listen;
mod neighbour;
mod open;
mod pmtu;
mod timewait;
mod udp;
