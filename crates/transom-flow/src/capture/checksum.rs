//! Whether TCP checksums are right, and whether a wrong one means anything.

use crate::pcapng::Direction;
use crate::tracker::Checksum;
use transom_wire::checksum::pseudo_header;
use transom_wire::ip::{Packet, Protocol};

/// Checks the TCP checksum of an IP packet.
///
/// A packet captured on the host that sends it has a checksum that its card is still to fill: 0, or the
/// sum of the pseudo-header, with or without the length. What is otherwise wrong is damage, unless the
/// capture says that the packet was sent.
pub(super) fn check(packet: &[u8], direction: Direction) -> Checksum {
    let Ok(ip) = Packet::lax(packet) else {
        return Checksum::Unknown;
    };
    let stated = match &ip {
        Packet::V4(view) => usize::from(view.total_len()).saturating_sub(view.header_len()),
        Packet::V6(view, chain) => usize::from(view.payload_len()).saturating_sub(chain.len),
    };
    let segment = ip.payload();
    let is_whole = stated == segment.len()
        && ip.fragment().is_none_or(|fragment| fragment.is_atomic())
        && ip.protocol() == Protocol::TCP;
    let Some(field) = segment.get(16..).and_then(<[u8]>::first_chunk) else {
        return Checksum::Unknown;
    };
    let Ok(len) = u32::try_from(segment.len()) else {
        return Checksum::Unknown;
    };
    if !is_whole {
        return Checksum::Unknown;
    }
    let pseudo = |len| pseudo_header(ip.src(), ip.dst(), Protocol::TCP.raw(), len);
    let mut sum = pseudo(len);
    sum.add_bytes(segment);
    if sum.is_valid() {
        return Checksum::Right;
    }
    let field = u16::from_be_bytes(*field);
    let is_left_open = [0, pseudo(len).partial(), pseudo(0).partial()].contains(&field);
    if is_left_open || direction == Direction::Out {
        Checksum::Offloaded
    } else {
        Checksum::Wrong
    }
}
