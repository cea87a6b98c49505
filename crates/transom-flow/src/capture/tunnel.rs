//! Packets within packets: IP in IP (RFC 2003, RFC 4213, RFC 2473), GRE (RFC 2784, RFC 2890, in UDP
//! RFC 8086), VXLAN (RFC 7348), Geneve (RFC 8926), Teredo (RFC 4380), what mobile networks carry
//! (GTP-U, 3GPP TS 29.281), AYIYA.
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
    /// GTP-U, Teredo, AYIYA.
    Udp,
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
        Protocol::UDP => udp(payload),
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

fn udp(payload: &[u8]) -> Option<(Tunnel, &[u8])> {
    // The second is Linux's default of old.
    const VXLAN: [u16; 2] = [4789, 8472];
    const GENEVE: u16 = 6081;
    const GRE_IN_UDP: u16 = 4754;
    const GTP_U: u16 = 2152;
    const TEREDO: u16 = 3544;
    const AYIYA: u16 = 5072;
    let (&[s0, s1, d0, d1, _, _, _, _], rest) = payload.split_first_chunk()?;
    let port = u16::from_be_bytes([d0, d1]);
    match port {
        port if VXLAN.contains(&port) => return Some((Tunnel::Vxlan, vxlan(rest)?)),
        GENEVE => return Some((Tunnel::Vxlan, geneve(rest)?)),
        GRE_IN_UDP => return Some((Tunnel::Gre, gre(rest)?)),
        _ => {}
    }
    // The well-known port may be either end's: the other end's is its own, or what a NAT made of it.
    let ports = [port, u16::from_be_bytes([s0, s1])];
    let inner = match () {
        () if ports.contains(&GTP_U) => gtp_u(rest)?,
        () if ports.contains(&TEREDO) => teredo(rest)?,
        () if ports.contains(&AYIYA) => ayiya(rest)?,
        () => return None,
    };
    Some((Tunnel::Udp, inner))
}

fn vxlan(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        // The flag that says that the network identifier counts; the other bits are reserved.
        [flags, _, _, _, _, _, _, _, frame @ ..] if flags & 0x08 != 0 => link::ethernet(frame).ok(),
        _ => None,
    }
}

fn geneve(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [version, _, k0, k1, _, _, _, _, rest @ ..] if version >> 6 == 0 => {
            let options = usize::from(version & 0x3f) * 4;
            link::ether_type(u16::from_be_bytes([*k0, *k1]), rest.get(options..)?).ok()
        }
        _ => None,
    }
}

fn gtp_u(rest: &[u8]) -> Option<&[u8]> {
    /// With the bit that tells it from the charging protocol.
    const VERSION_1: u8 = 0b0011;
    /// Any of these brings all three fields.
    const EXTENSION_SEQUENCE_NUMBER: u8 = 0b111;
    const PACKET: u8 = 0xff;
    const EXTENSIONS_MAX: usize = 8;
    let (&[flags, PACKET, _, _, _, _, _, _], mut rest) = rest.split_first_chunk()? else {
        return None;
    };
    if flags >> 4 != VERSION_1 {
        return None;
    }
    if flags & EXTENSION_SEQUENCE_NUMBER == 0 {
        return inner_ip(rest);
    }
    let mut next = *rest.get(3)?;
    rest = rest.get(4..)?;
    for _ in 0..EXTENSIONS_MAX {
        if next == 0 {
            return inner_ip(rest);
        }
        // In units of four bytes, of which the last is the next type.
        let len = usize::from(*rest.first()?) * 4;
        next = *rest.get(len.checked_sub(1)?)?;
        rest = rest.get(len..)?;
    }
    None
}

/// RFC 4380 §5.1.1: an authentication, an origin, both or none of them in front.
fn teredo(mut rest: &[u8]) -> Option<&[u8]> {
    if let [0, 1, id_len, auth_len, after @ ..] = rest {
        // Behind the two, a nonce of eight bytes, and the confirmation.
        rest = after.get(usize::from(*id_len) + usize::from(*auth_len) + 9..)?;
    }
    if let [0, 0, _, _, _, _, _, _, after @ ..] = rest {
        rest = after;
    }
    (rest.first()? >> 4 == 6).then_some(rest)
}

fn ayiya(rest: &[u8]) -> Option<&[u8]> {
    const FORWARD: u8 = 1;
    let [identity, signature, operation, next, _, _, _, _, rest @ ..] = rest else {
        return None;
    };
    let is_ip = [Protocol::IPV4, Protocol::IPV6].contains(&Protocol(*next));
    if operation & 0x0f != FORWARD || !is_ip {
        return None;
    }
    let len = (1_usize << (identity >> 4)) + usize::from(signature >> 4) * 4;
    inner_ip(rest.get(len..)?)
}
