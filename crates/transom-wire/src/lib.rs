//! Bytes and values of the Internet protocols.
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
