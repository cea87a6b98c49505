//! Link headers off: from what a frame starts with to its IP packet.
//!
//! What is left is always the end of what was given, so that its offset is the difference of the
//! two lengths; link padding and check sequences behind the packet stay, and are ruled out by the
//! lengths that the packet itself states.

use super::LinkType;
use super::wireless;

/// Why there is no IP packet behind a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoIp {
    /// Another protocol.
    Other,
    /// The frame ends within the headers.
    Short,
    /// It is encrypted on the link.
    Encrypted,
    /// Nobody here knows the link type.
    UnknownLink,
}

type Stripped<'a> = Result<&'a [u8], NoIp>;

/// Types of Ethernet frames.
mod ether {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const TEB: u16 = 0x6558;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const PPP: u16 = 0x880b;
    /// 802.1ad, outer tag.
    pub(super) const QINQ: u16 = 0x88a8;
    /// Outer tags from before 802.1ad.
    pub(super) const QINQ_OLD: [u16; 2] = [0x9100, 0x9200];
    /// A provider's backbone: IEEE 802.1Q §9.7, of old 802.1ah.
    pub(super) const BACKBONE: u16 = 0x88e7;
    pub(super) const VN_TAG: u16 = 0x8926;
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    /// Below this the field is a length (IEEE 802.3).
    pub(super) const MIN: u16 = 0x0600;
    /// Cooked captures: 802.2 without a length field in front.
    pub(super) const LINUX_LLC: u16 = 0x0004;
}

/// Tags and labels that are passed over, so that a crafted frame costs no more than any other.
const TAGS_MAX: usize = 8;

/// The IP packet in a frame.
#[inline]
pub(super) fn strip(link: LinkType, data: &[u8]) -> Stripped<'_> {
    match link {
        LinkType::ETHERNET => ethernet(data),
        LinkType::RAW
        | LinkType::DLT_RAW
        | LinkType::DLT_RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => ip(data),
        // Protocol type at 14 of 16 bytes, and at 0 of 20.
        LinkType::LINUX_SLL => cooked(data, 14, 16),
        LinkType::LINUX_SLL2 => cooked(data, 0, 20),
        other => rarer(other, data),
    }
}

fn rarer(link: LinkType, data: &[u8]) -> Stripped<'_> {
    match link {
        LinkType::NULL | LinkType::LOOP => loopback(data),
        LinkType::PPP | LinkType::PPP_HDLC => ppp(data),
        LinkType::PPP_PPPD | LinkType::PPP_WITH_DIR => ppp(skip(data, 1)?),
        LinkType::PPP_ETHER => ppp(skip(data, 6)?),
        LinkType::C_HDLC => ether_type(u16_at(data, 2)?, skip(data, 4)?),
        LinkType::IEEE802_11 => llc(wireless::body(data, false)?),
        LinkType::IEEE802_11_RADIOTAP => {
            let (frame, is_padded) = wireless::radiotap(data)?;
            llc(wireless::body(frame, is_padded)?)
        }
        LinkType::IEEE802_11_PRISM | LinkType::IEEE802_11_AVS => {
            llc(wireless::body(wireless::prism(data)?, false)?)
        }
        LinkType::PPI => {
            let &[_, _, l0, l1, d0, d1, ..] = data else {
                return Err(NoIp::Short);
            };
            match LinkType(u16::from_le_bytes([d0, d1])) {
                LinkType::PPI => Err(NoIp::UnknownLink),
                inner => strip(
                    inner,
                    skip(data, usize::from(u16::from_le_bytes([l0, l1])).max(8))?,
                ),
            }
        }
        LinkType::NFLOG => netfilter_log(data),
        // Two addresses of 20 bytes, a type, two reserved bytes (RFC 4391 §6).
        LinkType::IPOIB => ether_type(u16_at(data, 40)?, skip(data, 44)?),
        _ => Err(NoIp::UnknownLink),
    }
}

pub(super) fn skip(data: &[u8], len: usize) -> Stripped<'_> {
    data.get(len..).ok_or(NoIp::Short)
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, NoIp> {
    let field = data.get(at..).and_then(<[u8]>::first_chunk);
    field.copied().map(u16::from_be_bytes).ok_or(NoIp::Short)
}

/// What has to be IP by its first nibble.
fn ip(data: &[u8]) -> Stripped<'_> {
    match data.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(data),
        Some(_) => Err(NoIp::Other),
        None => Err(NoIp::Short),
    }
}

/// The IP packet in an Ethernet frame.
#[inline]
pub(super) fn ethernet(frame: &[u8]) -> Stripped<'_> {
    ether_type(u16_at(frame, 12)?, skip(frame, 14)?)
}

/// The IP packet behind a field with an Ethernet type.
#[inline]
pub(super) fn ether_type(kind: u16, data: &[u8]) -> Stripped<'_> {
    match kind {
        ether::IPV4 | ether::IPV6 => Ok(data),
        other => behind_tags(other, data),
    }
}

fn behind_tags(mut kind: u16, mut data: &[u8]) -> Stripped<'_> {
    for _ in 0..TAGS_MAX {
        let is_old_tag = ether::QINQ_OLD.contains(&kind);
        match kind {
            ether::IPV4 | ether::IPV6 => return Ok(data),
            ether::VLAN | ether::QINQ => {}
            _ if is_old_tag => {}
            ether::MPLS | ether::MPLS_MULTICAST => return mpls(data),
            // Version, type, code, session, length: RFC 2516 §4.
            ether::PPPOE_SESSION => return ppp(skip(data, 6)?),
            ether::PPP => return ppp(data),
            // A tag, addresses, and the next type.
            ether::TEB | ether::BACKBONE | ether::FABRIC_PATH | ether::VN_TAG => {
                let before_type = match kind {
                    ether::TEB => 12,
                    ether::BACKBONE => 4 + 12,
                    ether::FABRIC_PATH => 2 + 12,
                    _ => 4,
                };
                kind = u16_at(data, before_type)?;
                data = skip(data, before_type + 2)?;
                continue;
            }
            ether::LINUX_LLC => return llc(data),
            _ if kind < ether::MIN => return llc(data),
            _ => return Err(NoIp::Other),
        }
        kind = u16_at(data, 2)?;
        data = skip(data, 4)?;
    }
    Err(NoIp::Other)
}

/// 802.2 with SNAP, which names an Ethernet type if its organisation is 0; or with the old number of IP.
fn llc(data: &[u8]) -> Stripped<'_> {
    match data {
        [0xaa, 0xaa, 0x03, 0, 0, 0, k0, k1, rest @ ..] => {
            match u16::from_be_bytes([*k0, *k1]) {
                // A length here would make 802.2 in 802.2 in …
                kind if kind < ether::MIN => Err(NoIp::Other),
                kind => ether_type(kind, rest),
            }
        }
        [0x06, 0x06, 0x03, rest @ ..] => ip(rest),
        [_, _, _, ..] => Err(NoIp::Other),
        _ => Err(NoIp::Short),
    }
}

/// Labels up to the bottom of the stack; what follows tells by its first nibble what it is (RFC 4928 §3).
fn mpls(mut data: &[u8]) -> Stripped<'_> {
    const BOTTOM: u8 = 1;
    for _ in 0..TAGS_MAX {
        let (&[_, _, flags, _], rest) = data.split_first_chunk().ok_or(NoIp::Short)?;
        data = rest;
        if flags & BOTTOM == 0 {
            continue;
        }
        return match data.first().map(|first| first >> 4) {
            Some(4 | 6) => Ok(data),
            // An Ethernet frame, with a control word of four bytes in front or without (RFC 4448 §4.6).
            Some(0) => pseudowire(skip(data, 4)?).or_else(|_| pseudowire(data)),
            Some(_) => Err(NoIp::Other),
            None => Err(NoIp::Short),
        };
    }
    Err(NoIp::Other)
}

/// An Ethernet frame, if it is one: that has to be guessed.
fn pseudowire(frame: &[u8]) -> Stripped<'_> {
    match u16_at(frame, 12)? {
        kind @ (ether::IPV4 | ether::IPV6 | ether::VLAN | ether::QINQ) => {
            ether_type(kind, skip(frame, 14)?)
        }
        _ => Err(NoIp::Other),
    }
}

/// PPP, with or without the address and control bytes of HDLC, the protocol in two bytes or one (RFC 1661 §2).
fn ppp(data: &[u8]) -> Stripped<'_> {
    let data = match data {
        [0xff, 0x03, rest @ ..] => rest,
        other => other,
    };
    let (kind, rest) = match data {
        [short, rest @ ..] if short & 1 == 1 => (u16::from(*short), rest),
        [k0, k1, rest @ ..] => (u16::from_be_bytes([*k0, *k1]), rest),
        _ => return Err(NoIp::Short),
    };
    match kind {
        0x0021 | 0x0057 => Ok(rest),
        0x0281 | 0x0283 => mpls(rest),
        _ => Err(NoIp::Other),
    }
}

/// BSD loopback: an address family in the byte order of a host that need not be this one.
fn loopback(data: &[u8]) -> Stripped<'_> {
    let (family, rest) = data.split_first_chunk::<4>().ok_or(NoIp::Short)?;
    match u32::from_le_bytes(*family).min(u32::from_be_bytes(*family)) {
        // IPv4; IPv6 of NetBSD and OpenBSD, FreeBSD, macOS, Linux, Windows.
        2 | 24 | 28 | 30 | 10 | 23 => ip(rest),
        _ => Err(NoIp::Other),
    }
}

fn cooked(data: &[u8], kind_at: usize, len: usize) -> Stripped<'_> {
    let kind = u16_at(data, kind_at)?;
    let rest = skip(data, len)?;
    match kind {
        // Frames that have no protocol type of Linux, such as Novell's.
        0x0001 => Err(NoIp::Other),
        kind => ether_type(kind, rest),
    }
}

/// Attributes behind a header of four bytes, each with length and type in the byte order of the host.
fn netfilter_log(data: &[u8]) -> Stripped<'_> {
    const PAYLOAD: u16 = 9;
    const ATTRIBUTES_MAX: usize = 64;
    let mut rest = skip(data, 4)?;
    for _ in 0..ATTRIBUTES_MAX {
        let (&[l0, l1, k0, k1], _) = rest.split_first_chunk().ok_or(NoIp::Short)?;
        let len = usize::from(u16::from_le_bytes([l0, l1])).max(4);
        if u16::from_le_bytes([k0, k1]) == PAYLOAD {
            return ip(skip(rest, 4)?);
        }
        rest = skip(rest, len.next_multiple_of(4))?;
    }
    Err(NoIp::Other)
}
