//! Devices with the real kernel at the other end, each test in a network namespace of its own.
//!
//! They need root or user namespaces, `unshare` and `ip`; the TUN tests also `/dev/net/tun`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod errors;
mod namespace;
mod queues;
mod ring;
mod tcp;
mod traffic;
mod wire;
mod with_xdp;
mod xdp;
