//! Packets within packets: IP in IP (RFC 2003, RFC 4213, RFC 2473), GRE (RFC 2784, RFC 2890), VXLAN
//! (RFC 7348), Geneve (RFC 8926).
//!
//! As with links, what is found is always the end of what was given.

use super::link;
use transom_wire::ip::{Packet, Protocol};

/// What a packet was within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    Gre,
    Vxlan,
    Ip,
}

/// What an IP packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner<'a> {
    /// No other IP packet, or none that can be found.
    None,
    /// A piece of something.
    Fragment,
    /// An IP packet.
    Packet(Tunnel, &'a [u8]),
}

const GRE: u8 = 47;

/// Looks into an IP packet.
#[inline]
pub(super) fn look(packet: &[u8]) -> Inner<'_> {
    // Nearly every packet: IPv4 or IPv6 with TCP, whole.
    match packet {
        [0x40..=0x4f, _, _, _, _, _, f0, f1, _, 6, ..] if f0 & 0x3f == 0 && *f1 == 0 => {
            return Inner::None;
        }
        [0x60..=0x6f, _, _, _, _, _, 6, ..] => return Inner::None,
        _ => {}
    }
    let Ok(ip) = Packet::lax(packet) else {
        return Inner::None;
    };
    if ip.fragment().is_some_and(|fragment| !fragment.is_atomic()) {
        return Inner::Fragment;
    }
    let Some(payload) = packet.get(ip.header_len()..) else {
        return Inner::None;
    };
    let found = match ip.protocol() {
        Protocol::IPV4 | Protocol::IPV6 => inner_ip(payload).map(|inner| (Tunnel::Ip, inner)),
        Protocol(GRE) => gre(payload).map(|inner| (Tunnel::Gre, inner)),
        Protocol::UDP => udp(payload).map(|inner| (Tunnel::Vxlan, inner)),
        _ => None,
    };
    found.map_or(Inner::None, |(tunnel, inner)| Inner::Packet(tunnel, inner))
}

fn inner_ip(payload: &[u8]) -> Option<&[u8]> {
    matches!(payload.first()? >> 4, 4 | 6).then_some(payload)
}

fn gre(payload: &[u8]) -> Option<&[u8]> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    const ACKNOWLEDGMENT: u8 = 0x80;
    const ERSPAN_1_2: u16 = 0x88be;
    const ERSPAN_3: u16 = 0x22eb;
    const WCCP: u16 = 0x883e;
    let &[flags, version, k0, k1, ..] = payload else {
        return None;
    };
    if flags & ROUTING != 0 {
        return None;
    }
    let field = |bit: u8| usize::from(flags & bit != 0) * 4;
    let mut len = 4 + field(CHECKSUM) + field(KEY) + field(SEQUENCE);
    match version & 0b111 {
        0 => {}
        // PPTP: RFC 2637 §4.1.
        1 => len += usize::from(version & ACKNOWLEDGMENT != 0) * 4,
        _ => return None,
    }
    let rest = payload.get(len..)?;
    match u16::from_be_bytes([k0, k1]) {
        // Mirrored frames: a header of 8 bytes in version II, which has a sequence number; none in I.
        ERSPAN_1_2 => link::ethernet(rest.get(field(SEQUENCE) * 2..)?).ok(),
        // 12 bytes, and 8 more if the last bit is set.
        ERSPAN_3 => {
            let optional = usize::from(rest.get(11)? & 1) * 8;
            link::ethernet(rest.get(12 + optional..)?).ok()
        }
        // Redirected web traffic: IPv4, behind four bytes that version 2 of the protocol has.
        WCCP => match rest.first()? >> 4 {
            4 => Some(rest),
            _ => inner_ip(rest.get(4..)?),
        },
        kind => link::ether_type(kind, rest).ok(),
    }
}

fn udp(payload: &[u8]) -> Option<&[u8]> {
    // The second is Linux's default of old.
    const VXLAN: [u16; 2] = [4789, 8472];
    const GENEVE: u16 = 6081;
    let (&[_, _, d0, d1, _, _, _, _], rest) = payload.split_first_chunk()?;
    match u16::from_be_bytes([d0, d1]) {
        port if VXLAN.contains(&port) => match rest {
            // The flag that says that the network identifier counts; the other bits are reserved.
            [flags, _, _, _, _, _, _, _, frame @ ..] if flags & 0x08 != 0 => {
                link::ethernet(frame).ok()
            }
            _ => None,
        },
        GENEVE => match rest {
            [version, _, k0, k1, _, _, _, _, rest @ ..] if version >> 6 == 0 => {
                let options = usize::from(version & 0x3f) * 4;
                link::ether_type(u16::from_be_bytes([*k0, *k1]), rest.get(options..)?).ok()
            }
            _ => None,
        },
        _ => None,
    }
}
