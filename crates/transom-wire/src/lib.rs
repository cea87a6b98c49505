//! Bytes and values of the Internet protocols: TCP, IPv4, IPv6, ICMP, UDP, ARP, Neighbour Discovery and Ethernet.
//!
//! The crate knows how things look on the wire and nothing else: no connection, no socket, no clock, no random
//! source. It is `no_std` with `alloc`, and holds no `unsafe` code.
//!
//! # Two ideas
//!
//! **A view reads any bytes.** [`tcp::TcpView`], [`ip::Packet`], [`udp::View`] and their like borrow a buffer that
//! came from the network. `new` checks the layout once; after that every getter is a load from a known place. Whatever
//! the bytes are, nothing panics, nothing is read beyond the end, and every walk (TCP options, IPv6 extension headers,
//! Neighbour Discovery options) has a bound. What cannot be read is a [`Malformed`], which names the protocol, the fault
//! and the place.
//!
//! **A value can only express what is valid.** [`tcp::Header`], [`ip::ipv4::Header`], [`icmpv6::Message`] and their like
//! are plain data; `emit` writes them and cannot fail for what they say. Lengths, offsets, padding, reserved bits and
//! checksums are computed, never set; an option that a segment may not carry is not written; an acknowledgement number
//! without ACK is written as 0.
//!
//! ```
//! use transom_wire::tcp::{Flags, Header, Options, TcpView};
//! use transom_wire::Seq;
//! use core::net::IpAddr;
//!
//! let (client, server): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
//! let syn = Header {
//!     src_port: 43210,
//!     dst_port: 80,
//!     seq: Seq::new(1000),
//!     flags: Flags::SYN,
//!     window: 64240,
//!     options: Options { mss: Some(1460), sack_permitted: true, ..Options::default() },
//!     ..Header::default()
//! };
//! let mut bytes = vec![0; syn.header_len()];
//! syn.emit_with_checksum(&mut bytes, client, server, &[]);
//!
//! let view = TcpView::new(&bytes)?;
//! assert!(view.verify_checksum(client, server));
//! assert_eq!(view.flags().to_string(), "SYN");
//! assert_eq!(Header::from_view(&view), syn);
//! # Ok::<(), transom_wire::Malformed>(())
//! ```
//!
//! # Strict and lax
//!
//! A host and a capture's reader want different things of the same bytes. `new` is for the host: what a host must drop
//! is an error ([`ip::Packet::new`] checks the IPv4 header checksum, options and fragment fields, and the IPv6 header
//! chain). `lax` is for captures and for the packets that ICMP errors quote: cut short, or with a length and a checksum
//! that a device was still to fill.
//!
//! # Map
//!
//! | module | what | source |
//! |---|---|---|
//! | [`seq`] | sequence numbers and ranges of them; no `Ord`, because they wrap | RFC 9293 §3.4 |
//! | [`tcp`] | header, control bits, options | RFC 9293 §3.1, 7323, 2018 |
//! | [`checksum`] | Internet checksum, pseudo-header, incremental update | RFC 1071, 1624 |
//! | [`ip`] | IPv4, IPv6 and its extension headers, one view over both, networks | RFC 791, 8200 |
//! | [`icmpv4`], [`icmpv6`], [`quote`] | messages, and the packets that errors quote | RFC 792, 4443 |
//! | [`ndp`], [`arp`], [`ethernet`] | neighbours and links | RFC 4861, 826, 2464 |
//! | [`udp`] | datagrams | RFC 768 |
//! | [`frame`] | what passes between a stack and a device; segmentation and checksums in software | |
//!
//! # Units
//!
//! Lengths and offsets are in bytes, also where the wire counts words or units of 8. Windows are as on the wire, not
//! scaled: scaling belongs to a connection. Ports and addresses are values in host order.
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

extern crate alloc;

pub mod arp;
pub mod checksum;
mod error;
pub mod ethernet;
pub mod frame;
mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ndp;
pub mod quote;
pub mod seq;
pub mod tcp;
pub mod udp;

pub use error::{Layer, Malformed, Reason};
pub use frame::{
    Capabilities, HeaderBuf, Medium, Payload, RxChecksum, RxFrame, TxFrame, TxOffload,
};
pub use ip::{Cidr, Ecn, Protocol};
pub use seq::{Seq, SeqRange};

/// The examples of the README are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
