//! Tests of the whole crate through its public face. A test that shows a protocol requirement carries the
//! requirement's id in its name.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod accecn;
mod any_bytes;
mod checksum;
mod frame;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod ndp;
mod round_trip;
mod seq;
mod tcp_header;
mod tcp_options;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// Both families' address pairs.
fn pairs() -> [(IpAddr, IpAddr); 2] {
    [(A4.into(), B4.into()), (A6.into(), B6.into())]
}

/// The Internet checksum as RFC 1071 words it, as slow and plain as can be.
fn plain_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u64::from(pair[0]) << 8 | u64::from(low);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Pseudo-header and message as one run of bytes.
fn with_pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for addr in [src, dst] {
        match addr {
            IpAddr::V4(addr) => bytes.extend(addr.octets()),
            IpAddr::V6(addr) => bytes.extend(addr.octets()),
        }
    }
    match src {
        IpAddr::V4(_) => {
            bytes.extend([0, protocol]);
            bytes.extend((message.len() as u16).to_be_bytes());
        }
        IpAddr::V6(_) => {
            bytes.extend((message.len() as u32).to_be_bytes());
            bytes.extend([0, 0, 0, protocol]);
        }
    }
    bytes.extend(message);
    bytes
}
