//! Received frames as a real wire would have carried them.

use bytes::Bytes;
use transom_wire::checksum::{checksum, pseudo_header};
use transom_wire::ethernet;
use transom_wire::frame::{
    HeaderBuf, Medium, Payload, RxChecksum, RxFrame, TxFrame, TxOffload, segment,
};
use transom_wire::ip::{Packet, Protocol};

/// Length in bytes of the link header on a medium.
pub(crate) const fn link_header_len(medium: Medium) -> usize {
    match medium {
        Medium::Ip => 0,
        Medium::Ethernet => ethernet::HEADER_LEN,
    }
}

/// Undoes the offload of a received frame: merged segments are cut apart, checksums that the sending
/// kernel left out are filled in. The result needs no trust: its checksums are there to be checked.
///
/// Data is shared with the frame, not copied. A frame that has nothing to undo, or that is not
/// understood, comes out as it is.
///
/// Useful before a frame is altered, and for captures that should show no wrong checksums.
pub fn complete(frame: RxFrame, medium: Medium) -> impl Iterator<Item = TxFrame> {
    let offloaded = frame.checksum != RxChecksum::Unverified || frame.gso_size > 0;
    let dissected = if offloaded {
        dissect(&frame, link_header_len(medium))
    } else {
        None
    };
    dissected
        .unwrap_or_else(|| vec![whole(frame.data)])
        .into_iter()
        .flat_map(segment)
}

/// The datagrams of a frame in which the sending kernel left several together (`UDP_SEGMENT`), each a
/// frame of its own with its own lengths and checksum. None: it is no such frame, or not understood.
pub(crate) fn separate(frame: &RxFrame, medium: Medium) -> Option<Vec<RxFrame>> {
    if frame.gso_size == 0 {
        return None;
    }
    let link = link_header_len(medium);
    let packet = Packet::lax(frame.data.get(link..)?).ok()?;
    if packet.protocol() != Protocol::UDP {
        return None;
    }
    let datagrams = dissect(frame, link)?.into_iter();
    let separated = datagrams.map(|datagram| RxFrame {
        data: datagram.to_vec().into(),
        checksum: frame.checksum,
        gso_size: 0,
    });
    Some(separated.collect())
}

/// A frame without headers set apart.
fn whole(data: Bytes) -> TxFrame {
    TxFrame {
        payload: Payload::from(data),
        ..TxFrame::default()
    }
}

/// Where the layers of a frame begin.
struct Layout {
    link: usize,
    transport: usize,
    payload: usize,
    end: usize,
    ipv6: bool,
}

pub(crate) const TCP_CHECKSUM: usize = 16;
pub(crate) const UDP_CHECKSUM: usize = 6;
pub(crate) const UDP_HEADER: usize = 8;

/// The headers set apart and what is still to be done made a request: one TCP frame, or the datagrams.
fn dissect(frame: &RxFrame, link: usize) -> Option<Vec<TxFrame>> {
    let packet = Packet::lax(frame.data.get(link..)?).ok()?;
    if packet
        .fragment()
        .is_some_and(|fragment| !fragment.is_atomic())
    {
        return None;
    }
    let transport = link + packet.header_len();
    let protocol = packet.protocol();
    let header_len = match protocol {
        Protocol::TCP => usize::from(packet.payload().get(12)? >> 4) * 4,
        Protocol::UDP => UDP_HEADER,
        _ => return None,
    };
    let layout = Layout {
        link,
        transport,
        payload: transport + header_len,
        end: transport + packet.payload().len(),
        ipv6: packet.is_ipv6(),
    };
    let payload = Payload::from(
        (layout.payload <= layout.end).then(|| frame.data.slice(layout.payload..layout.end))?,
    );
    let mut headers = HeaderBuf::new();
    if !headers.extend(frame.data.get(..layout.payload)?) {
        return None;
    }
    if protocol == Protocol::UDP {
        return datagrams(&headers, payload, frame.gso_size.into(), &layout);
    }
    let size = frame.gso_size;
    if size > 0 && payload.len() > size.into() {
        let offload = TxOffload::Segment {
            ipv6: layout.ipv6,
            gso_size: size,
            header_len: u16::try_from(layout.payload).ok()?,
            checksum_start: u16::try_from(layout.transport).ok()?,
            checksum_offset: TCP_CHECKSUM as u16,
        };
        return Some(vec![TxFrame {
            headers,
            payload,
            offload,
        }]);
    }
    with_checksum(headers, payload, &layout, TCP_CHECKSUM).map(|frame| vec![frame])
}

/// The datagrams of one or more that were merged.
fn datagrams(
    headers: &HeaderBuf,
    mut payload: Payload,
    size: usize,
    layout: &Layout,
) -> Option<Vec<TxFrame>> {
    let size = if size == 0 {
        payload.len().max(1)
    } else {
        size
    };
    let mut frames = Vec::new();
    loop {
        let part = payload.split_to(size);
        let mut own = *headers;
        set_lengths(&mut own, part.len(), layout)?;
        frames.push(with_checksum(own, part, layout, UDP_CHECKSUM)?);
        if payload.is_empty() {
            return Some(frames);
        }
    }
}

/// Writes the lengths of a UDP datagram with `payload` bytes of data into its headers.
fn set_lengths(headers: &mut HeaderBuf, payload: usize, layout: &Layout) -> Option<()> {
    let udp_len = u16::try_from(UDP_HEADER + payload).ok()?;
    headers
        .get_mut(layout.transport + 4..layout.transport + 6)?
        .copy_from_slice(&udp_len.to_be_bytes());
    let ip = headers.get_mut(layout.link..layout.transport)?;
    set_ip_len(ip, udp_len.into(), layout.ipv6)
}

/// Writes into an IP header, extensions included, how long the packet is with this behind it.
pub(crate) fn set_ip_len(ip: &mut [u8], transport_len: usize, ipv6: bool) -> Option<()> {
    let len = ip.len() + transport_len;
    if ipv6 {
        let len = u16::try_from(len.checked_sub(40)?).ok()?;
        ip.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
        return Some(());
    }
    ip.get_mut(2..4)?
        .copy_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
    ip.get_mut(10..12)?.fill(0);
    let sum = checksum(ip).to_be_bytes();
    ip.get_mut(10..12)?.copy_from_slice(&sum);
    Some(())
}

/// A single segment with its transport checksum computed.
fn with_checksum(
    mut headers: HeaderBuf,
    payload: Payload,
    layout: &Layout,
    field: usize,
) -> Option<TxFrame> {
    let (src, dst, protocol) = {
        let packet = Packet::lax(headers.get(layout.link..)?).ok()?;
        (packet.src(), packet.dst(), packet.protocol())
    };
    let len = u32::try_from(layout.payload - layout.transport + payload.len()).ok()?;
    let partial = pseudo_header(src, dst, protocol.raw(), len).partial();
    let at = layout.transport + field;
    headers
        .get_mut(at..at + 2)?
        .copy_from_slice(&partial.to_be_bytes());
    let offload = TxOffload::Checksum {
        start: u16::try_from(layout.transport).ok()?,
        offset: u16::try_from(field).ok()?,
    };
    let mut frame = TxFrame {
        headers,
        payload,
        offload,
    };
    frame.fill_checksum().then_some(frame)
}
