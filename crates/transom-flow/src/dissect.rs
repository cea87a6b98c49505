//! Frames to TCP segments and ICMP errors.
//!
//! Reads what a capture may hold: headers with checksums and lengths still to be filled by a
//! device, super-packets, packets cut short. Whatever is not read has a named reason.

use crate::step::IcmpKind;
use crate::tracker::Frame;
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use transom_wire::ip::{Packet, Protocol};
use transom_wire::tcp::{Flags, Options, TcpView, Timestamps};
use transom_wire::{Layer, Malformed, Medium, Reason, Seq};

/// A TCP segment with its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dissected<'a> {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: Seq,
    pub(crate) ack: Option<Seq>,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: Options,
    /// It has no options but timestamps.
    pub(crate) has_clock_at_most: bool,
    /// Bytes of data on the wire.
    pub(crate) len: u32,
    /// Bytes of data that were captured; may be less.
    pub(crate) captured: u32,
    /// The data that was captured, or as much of its start as anybody looks at.
    pub(crate) data: &'a [u8],
    /// Bytes of the whole IP packet on the wire.
    pub(crate) ip_len: u32,
    /// Hop limit (TTL).
    pub(crate) hop_limit: u8,
    /// Identification (IPv4); 0 if it says nothing.
    pub(crate) ip_id: u16,
}

/// An ICMP error that quotes a TCP segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted {
    pub(crate) reporter: IpAddr,
    /// Source of the quoted segment.
    pub(crate) src: SocketAddr,
    /// Destination of the quoted segment.
    pub(crate) dst: SocketAddr,
    pub(crate) kind: IcmpKind,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Tcp(Dissected<'a>),
    Icmp(Quoted),
}

/// Why a frame is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// Not IP.
    NotIp,
    /// IP, but neither TCP nor an ICMP error about TCP.
    NotTcp,
    /// A fragment of an IP packet.
    Fragment,
    /// Its headers cannot be read.
    Malformed(Malformed),
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIp => f.write_str("not IP"),
            Self::NotTcp => f.write_str("not TCP"),
            Self::Fragment => f.write_str("a fragment"),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl From<Malformed> for Ignored {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// Tags that are passed over in front of the IP header.
const VLAN_TAGS_MAX: usize = 2;

/// The IP packet in an Ethernet frame, VLAN tags passed over; and its offset in the frame.
pub(crate) fn ip_in_ethernet(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    for _ in 0..=VLAN_TAGS_MAX {
        let (kind, _) = frame.get(at..)?.split_first_chunk::<2>()?;
        at += 2;
        match u16::from_be_bytes(*kind) {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Some(at),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => at += 2,
            _ => return None,
        }
    }
    None
}

/// Reads a frame.
pub(crate) fn dissect<'a>(frame: &Frame<'a>) -> Result<Content<'a>, Ignored> {
    if let Some(segment) = whole_segment(frame) {
        return Ok(Content::Tcp(segment));
    }
    any(frame)
}

/// The same for frames of all kinds.
fn any<'a>(frame: &Frame<'a>) -> Result<Content<'a>, Ignored> {
    let packet = match frame.medium {
        Medium::Ip => frame.data,
        Medium::Ethernet => {
            let at = ip_in_ethernet(frame.data).ok_or(Ignored::NotIp)?;
            frame.data.get(at..).ok_or(Ignored::NotIp)?
        }
    };
    let ip = Packet::lax(packet)?;
    if ip.fragment().is_some_and(|fragment| !fragment.is_atomic()) {
        return Err(Ignored::Fragment);
    }
    match ip.protocol() {
        Protocol::TCP => tcp(&ip, missing(frame)),
        Protocol::ICMP => icmpv4(&ip).map(Content::Icmp),
        Protocol::ICMPV6 => icmpv6(&ip).map(Content::Icmp),
        _ => Err(Ignored::NotTcp),
    }
}

/// Reads what nearly all frames are, at a fraction of the cost: a whole IPv4 packet without options and
/// padding that holds TCP with no options but timestamps. Everything else is left to the general way.
#[inline]
fn whole_segment<'a>(frame: &Frame<'a>) -> Option<Dissected<'a>> {
    let (head, rest) = frame.data.split_first_chunk::<20>()?;
    let [
        0x45,
        _,
        len_high,
        len_low,
        id_high,
        id_low,
        fragment,
        offset,
        hop_limit,
        6,
        _,
        _,
        addrs @ ..,
    ] = *head
    else {
        return None;
    };
    let total_len = u16::from_be_bytes([len_high, len_low]);
    let is_whole = frame.medium == Medium::Ip
        && usize::from(total_len) == frame.data.len()
        && fragment & 0x3f == 0
        && offset == 0;
    let (tcp, rest) = rest.split_first_chunk::<20>()?;
    if !is_whole {
        return None;
    }
    let header_len = usize::from(tcp[12] >> 4) * 4;
    let (options, data) = rest.split_at_checked(header_len.checked_sub(20)?)?;
    let mut known = Options::EMPTY;
    match *options {
        [] => {}
        // NOP, NOP, timestamps: RFC 7323 Appendix A.
        [1, 1, 8, 10, a, b, c, d, e, f, g, h] => {
            known.timestamps = Some(Timestamps {
                val: u32::from_be_bytes([a, b, c, d]),
                ecr: u32::from_be_bytes([e, f, g, h]),
            });
        }
        _ => return None,
    }
    let [a, b, c, d, e, f, g, h] = addrs;
    let number = |at: [u8; 4]| Seq::new(u32::from_be_bytes(at));
    let flags = Flags::from_bits(u16::from_be_bytes([tcp[12], tcp[13]]));
    let ack = number([tcp[8], tcp[9], tcp[10], tcp[11]]);
    Some(Dissected {
        src: SocketAddr::from((
            Ipv4Addr::new(a, b, c, d),
            u16::from_be_bytes([tcp[0], tcp[1]]),
        )),
        dst: SocketAddr::from((
            Ipv4Addr::new(e, f, g, h),
            u16::from_be_bytes([tcp[2], tcp[3]]),
        )),
        seq: number([tcp[4], tcp[5], tcp[6], tcp[7]]),
        ack: flags.contains(Flags::ACK).then_some(ack),
        flags,
        window: u16::from_be_bytes([tcp[14], tcp[15]]),
        options: known,
        has_clock_at_most: true,
        len: u32::try_from(data.len()).unwrap_or(u32::MAX),
        captured: u32::try_from(data.len()).unwrap_or(u32::MAX),
        data,
        ip_len: u32::from(total_len),
        hop_limit,
        ip_id: u16::from_be_bytes([id_high, id_low]),
    })
}

/// What has to be known of a frame to say who follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    /// Bytes of data that were captured.
    pub(crate) data_len: usize,
}

impl Glance {
    pub(crate) const fn of(content: &Content<'_>) -> Self {
        let (src, dst, data_len) = match content {
            Content::Tcp(segment) => (segment.src, segment.dst, segment.data.len()),
            Content::Icmp(quoted) => (quoted.src, quoted.dst, 0),
        };
        Self { src, dst, data_len }
    }
}

/// Takes a glance at a frame, for a fraction of what it costs to read it; only if it is what nearly all are, a
/// whole IPv4 packet without options and padding that holds TCP.
#[inline]
pub(crate) fn glance(frame: &Frame<'_>) -> Option<Glance> {
    let head = frame.data.first_chunk::<40>()?;
    let total_len = u16::from_be_bytes([head[2], head[3]]);
    let is_usual = frame.medium == Medium::Ip
        && head[0] == 0x45
        && head[9] == 6
        && usize::from(total_len) == frame.data.len()
        && head[6] & 0x3f == 0
        && head[7] == 0;
    let header_len = usize::from(head[32] >> 4) * 4;
    if !is_usual || header_len < 20 {
        return None;
    }
    let socket = |[a, b, c, d]: [u8; 4], [high, low]: [u8; 2]| {
        let port = u16::from_be_bytes([high, low]);
        SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))
    };
    Some(Glance {
        src: socket(
            [head[12], head[13], head[14], head[15]],
            [head[20], head[21]],
        ),
        dst: socket(
            [head[16], head[17], head[18], head[19]],
            [head[22], head[23]],
        ),
        data_len: frame.data.len().checked_sub(20 + header_len)?,
    })
}

/// Bytes that were on the wire behind those that were captured.
fn missing(frame: &Frame<'_>) -> usize {
    let wire_len = usize::try_from(frame.wire_len).unwrap_or(usize::MAX);
    wire_len.saturating_sub(frame.data.len())
}

/// Length of the IP payload by the headers, which may be more than was captured.
///
/// Where a header states none, as those of super-packets whose length the device was still to fill
/// (or which no field can hold), it is what was captured, and what is `missing`.
fn claimed_payload_len(ip: &Packet<'_>, missing: usize) -> usize {
    let (stated, header_len) = match ip {
        Packet::V4(view) => (usize::from(view.total_len()), view.header_len()),
        Packet::V6(view, chain) => (usize::from(view.payload_len()), chain.len),
    };
    match stated.checked_sub(header_len) {
        Some(claimed) if stated > 0 => claimed.max(ip.payload().len()),
        _ => ip.payload().len().saturating_add(missing),
    }
}

#[inline]
fn tcp<'a>(ip: &Packet<'a>, missing: usize) -> Result<Content<'a>, Ignored> {
    let segment = ip.payload();
    let ip_payload_len = claimed_payload_len(ip, missing);
    // What the capture cut off is no fault of the segment.
    let view = if segment.len() < ip_payload_len {
        TcpView::lax(segment)?
    } else {
        TcpView::new(segment)?
    };
    let flags = view.flags();
    // By its own field: of a header that was cut less is there.
    let header_len = segment
        .get(12)
        .map_or(0, |offset| usize::from(offset >> 4) * 4);
    let len = ip_payload_len
        .checked_sub(header_len)
        .ok_or(Malformed::new(Layer::Tcp, Reason::HeaderLength, 12))?;
    let ip_len = ip_payload_len.saturating_add(ip.header_len());
    let options = view.options().0;
    let data = view.payload();
    Ok(Content::Tcp(Dissected {
        src: SocketAddr::new(ip.src(), view.src_port()),
        dst: SocketAddr::new(ip.dst(), view.dst_port()),
        seq: view.seq(),
        ack: flags.contains(Flags::ACK).then(|| view.ack()),
        flags,
        window: view.window(),
        has_clock_at_most: options.mss.is_none()
            && options.window_scale.is_none()
            && !options.sack_permitted
            && options.sack.is_empty(),
        options,
        len: u32::try_from(len).unwrap_or(u32::MAX),
        captured: u32::try_from(data.len()).unwrap_or(u32::MAX),
        data,
        ip_len: u32::try_from(ip_len).unwrap_or(u32::MAX),
        hop_limit: ip.ttl(),
        ip_id: match ip {
            Packet::V4(view) => view.id(),
            Packet::V6(..) => 0,
        },
    }))
}

/// Splits an ICMP message into type, code, the second header word and the quoted packet.
fn icmp_parts<'a>(ip: &Packet<'a>) -> Result<(u8, u8, u32, &'a [u8]), Ignored> {
    match ip.payload() {
        [kind, code, _, _, a, b, c, d, quoted @ ..] => {
            Ok((*kind, *code, u32::from_be_bytes([*a, *b, *c, *d]), quoted))
        }
        _ => Err(Ignored::NotTcp),
    }
}

fn icmpv4(ip: &Packet<'_>) -> Result<Quoted, Ignored> {
    let (kind, code, word, quoted) = icmp_parts(ip)?;
    // RFC 792; codes 9, 10, 13: RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1; MTU: RFC 1191 §4.
    let kind = match (kind, code) {
        (3, 0 | 6 | 8 | 11) => IcmpKind::NoRoute,
        (3, 1 | 7 | 12) => IcmpKind::HostUnreachable,
        (3, 2) => IcmpKind::ProtocolUnreachable,
        (3, 3) => IcmpKind::PortUnreachable,
        (3, 4) => IcmpKind::PacketTooBig(word & 0xffff),
        (3, 9 | 10 | 13) => IcmpKind::Prohibited,
        (11, 0) => IcmpKind::HopLimitExceeded,
        (3..=5 | 11 | 12, _) => IcmpKind::Other(kind, code),
        _ => return Err(Ignored::NotTcp),
    };
    quote(ip.src(), kind, quoted)
}

fn icmpv6(ip: &Packet<'_>) -> Result<Quoted, Ignored> {
    let (kind, code, word, quoted) = icmp_parts(ip)?;
    // RFC 4443 §3.
    let kind = match (kind, code) {
        (1, 0) => IcmpKind::NoRoute,
        (1, 1 | 5 | 6) => IcmpKind::Prohibited,
        (1, 3) => IcmpKind::HostUnreachable,
        (1, 4) => IcmpKind::PortUnreachable,
        (2, _) => IcmpKind::PacketTooBig(word),
        (3, 0) => IcmpKind::HopLimitExceeded,
        (1..=4, _) => IcmpKind::Other(kind, code),
        _ => return Err(Ignored::NotTcp),
    };
    quote(ip.src(), kind, quoted)
}

/// Reads the packet that an ICMP error quotes: its IP header and at least the ports.
fn quote(reporter: IpAddr, kind: IcmpKind, quoted: &[u8]) -> Result<Quoted, Ignored> {
    let ip = Packet::lax(quoted)?;
    // A later fragment has no ports.
    let is_first = ip.fragment().is_none_or(|fragment| fragment.is_first());
    if ip.protocol() != Protocol::TCP || !is_first {
        return Err(Ignored::NotTcp);
    }
    let [s0, s1, d0, d1, ..] = ip.payload() else {
        return Err(Ignored::NotTcp);
    };
    Ok(Quoted {
        reporter,
        src: SocketAddr::new(ip.src(), u16::from_be_bytes([*s0, *s1])),
        dst: SocketAddr::new(ip.dst(), u16::from_be_bytes([*d0, *d1])),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    /// IPv4 and TCP with timestamps and four bytes of data.
    const PACKET: [u8; 56] = [
        0x45, 0, 0, 56, 1, 2, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x80, 1, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0x18, 1, 0, 0, 0, 0, 0, // TCP
        1, 1, 8, 10, 9, 8, 7, 6, 5, 4, 3, 2, // options
        b'd', b'a', b't', b'a',
    ];

    /// Both ways of reading a packet, as text; the short one only where it reads it at all.
    fn both(packet: &[u8]) -> (Option<String>, String) {
        let frame = Frame::new(Duration::ZERO, Medium::Ip, packet);
        let short = whole_segment(&frame).map(|segment| format!("{:?}", Content::Tcp(segment)));
        let content = any(&frame);
        if let Some(glance) = glance(&frame) {
            let known = content.as_ref().map(Glance::of);
            assert_eq!(known, Ok(glance), "{packet:?}");
        }
        assert!(short.is_none() || glance(&frame).is_some(), "{packet:?}");
        let content = content.map_or_else(|e| e.to_string(), |c| format!("{c:?}"));
        (short, content)
    }

    #[test]
    fn the_short_way_reads_what_the_general_way_reads() {
        let (short, general) = both(&PACKET);
        assert_eq!(short, Some(general));
        let mut times = 0;
        for at in 0..PACKET.len() {
            for value in 0..=u8::MAX {
                let mut packet = PACKET;
                *packet.get_mut(at).unwrap() = value;
                let (short, general) = both(&packet);
                if let Some(short) = short {
                    times += 1;
                    assert_eq!(short, general, "{at} {value}");
                }
            }
            let (short, _) = both(PACKET.get(..at).unwrap());
            assert_eq!(short, None, "a packet cut at {at} is not whole");
        }
        // Most bytes may be anything.
        assert!(times > 30 * 256, "{times}");
        let mut bare = PACKET;
        (bare[3], bare[32]) = (44, 0x50);
        let (short, general) = both(bare.get(..44).unwrap());
        assert_eq!(short, Some(general));
    }
}
