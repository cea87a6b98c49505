//! The packet that an ICMP error of ours quotes.

use bytes::Bytes;
use transom_wire::Protocol;
use transom_wire::checksum;
use transom_wire::ip::Packet;

/// A quote as the packet would have come over a wire.
///
/// What a local kernel gives to a device that computes checksums carries only the sum of its
/// pseudo-header; nobody who reads the error could tell that from damage. The packet was accepted, so
/// its checksum is what it must be.
pub(crate) fn on_the_wire(quote: Bytes) -> Bytes {
    let Some(at) = checksum_at(&quote) else {
        return quote;
    };
    let mut quote = quote.to_vec();
    if let Some(value) = transport_checksum(&mut quote, at)
        && let Some(field) = quote.get_mut(at.field..at.field + 2)
    {
        field.copy_from_slice(&value.to_be_bytes());
    }
    quote.into()
}

/// Where a quote has its transport header and that header's checksum.
#[derive(Clone, Copy)]
struct At {
    transport: usize,
    field: usize,
}

/// None where there is nothing to fill in: another protocol, a part of a packet, a datagram without a
/// checksum.
fn checksum_at(quote: &[u8]) -> Option<At> {
    let packet = Packet::lax(quote).ok()?;
    let total = match &packet {
        Packet::V4(view) => usize::from(view.total_len()),
        Packet::V6(view, _) => quote.len().min(40) + usize::from(view.payload_len()),
    };
    if packet.fragment().is_some() || total != quote.len() {
        return None;
    }
    let payload = packet.payload();
    let offset = match packet.protocol() {
        Protocol::TCP => 16,
        Protocol::UDP => {
            let [_, _, _, _, high, low, sum @ ..] = payload.first_chunk::<8>()?;
            let whole = usize::from(u16::from_be_bytes([*high, *low])) == payload.len();
            if !whole || sum == &[0, 0] {
                return None;
            }
            6
        }
        _ => return None,
    };
    let transport = quote.len() - payload.len();
    (payload.len() >= offset + 2).then_some(At {
        transport,
        field: transport + offset,
    })
}

fn transport_checksum(quote: &mut [u8], at: At) -> Option<u16> {
    let (src, dst, protocol) = {
        let packet = Packet::lax(quote).ok()?;
        (packet.src(), packet.dst(), packet.protocol())
    };
    quote.get_mut(at.field..at.field + 2)?.fill(0);
    let transport = quote.get(at.transport..)?;
    let len = u32::try_from(transport.len()).ok()?;
    let mut sum = checksum::pseudo_header(src, dst, protocol.raw(), len);
    sum.add_bytes(transport);
    // RFC 768: a checksum that comes out as zero is sent as all ones.
    Some(match sum.finish() {
        0 if protocol == Protocol::UDP => 0xffff,
        value => value,
    })
}
