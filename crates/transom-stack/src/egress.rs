//! From a segment, a datagram or a message to a frame.

use core::net::IpAddr;

use bytes::Bytes;
use transom_tcp::{Instant, Transmit};
use transom_wire::checksum::{self, Sum};
use transom_wire::ip::{Fragment, ipv4, ipv6};
use transom_wire::tcp::Header;
use transom_wire::{Ecn, HeaderBuf, Payload, Protocol, TxFrame, TxOffload};

use crate::discard::Discard;
use crate::host::Host;
use crate::link::{Link, Waiting};
use crate::stack::Stack;
use crate::tuple::Tuple;

/// Bytes of TCP header from its start to the checksum field.
const TCP_CHECKSUM_AT: u16 = 16;

/// What an IP header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpMeta {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) hop_limit: u8,
    pub(crate) dscp: u8,
    pub(crate) ecn: Ecn,
    pub(crate) flow_label: u32,
    /// IPv4: the identification of a packet that may be fragmented; `None` sets DF.
    pub(crate) id: Option<u16>,
}

impl IpMeta {
    pub(crate) const fn new(src: IpAddr, dst: IpAddr, protocol: Protocol, hop_limit: u8) -> Self {
        Self {
            src,
            dst,
            protocol,
            hop_limit,
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: 0,
            id: None,
        }
    }

    /// Length in bytes of the header.
    #[inline]
    pub(crate) const fn header_len(&self) -> usize {
        if self.src.is_ipv4() {
            ipv4::MIN_HEADER_LEN
        } else {
            ipv6::HEADER_LEN
        }
    }

    /// Appends the header of a packet with `payload_len` bytes after it. False for addresses of two families.
    pub(crate) fn emit(&self, headers: &mut HeaderBuf, payload_len: usize) -> bool {
        let out = headers.grow(self.header_len());
        out.is_some_and(|out| self.write(out, payload_len))
    }

    /// Writes the header into its place.
    #[inline]
    fn write(&self, out: &mut [u8], payload_len: usize) -> bool {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = ipv4::Header {
                    ttl: self.hop_limit,
                    dscp: self.dscp,
                    ecn: self.ecn,
                    // RFC 6864 §4.1: the identification of a packet with DF means nothing.
                    id: self.id.unwrap_or(0),
                    dont_fragment: self.id.is_none(),
                    ..ipv4::Header::new(src, dst, self.protocol)
                };
                header.emit(out, payload_len) != 0
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let header = ipv6::Header {
                    hop_limit: self.hop_limit,
                    dscp: self.dscp,
                    ecn: self.ecn,
                    flow_label: self.flow_label,
                    ..ipv6::Header::new(src, dst, self.protocol)
                };
                header.emit(out, payload_len) != 0
            }
            _ => false,
        }
    }
}

impl IpMeta {
    /// Appends the header of a fragment with `data_len` bytes of data.
    fn emit_fragment(&self, headers: &mut HeaderBuf, data_len: usize, fragment: Fragment) -> bool {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (self.src, self.dst) else {
            let next_header = self.protocol;
            let carrier = Self {
                protocol: Protocol::FRAGMENT,
                ..*self
            };
            let header = ipv6::FragmentHeader {
                next_header,
                fragment,
            };
            return carrier.emit(headers, ipv6::FragmentHeader::LEN + data_len)
                && headers
                    .grow(ipv6::FragmentHeader::LEN)
                    .is_some_and(|out| header.emit(out) != 0);
        };
        let header = ipv4::Header {
            ttl: self.hop_limit,
            dscp: self.dscp,
            ecn: self.ecn,
            id: fragment.id as u16,
            dont_fragment: false,
            more_fragments: fragment.more,
            fragment_offset: fragment.offset,
            ..ipv4::Header::new(src, dst, self.protocol)
        };
        headers
            .grow(ipv4::MIN_HEADER_LEN)
            .is_some_and(|out| header.emit(out, data_len) != 0)
    }
}

/// What the IP header of a connection's segments says beside its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// IPv6 flow label.
    pub(crate) flow_label: u32,
    /// TTL or hop limit; none for that of the host.
    pub(crate) hop_limit: Option<u8>,
}

impl Marks {
    /// Those of a flow of which the application has chosen nothing.
    pub(crate) fn of(host: &Host, tuple: &Tuple) -> Self {
        Self {
            flow_label: host.flow_label(tuple),
            hop_limit: None,
        }
    }
}

/// Fills the frame, which is empty, for a segment of a connection, or for a reset without one: all but the payload.
pub(crate) fn fill_tcp(
    frame: &mut TxFrame,
    host: &Host,
    link: &Link,
    tuple: &Tuple,
    marks: Marks,
    transmit: &Transmit,
) -> Option<()> {
    let header = Header {
        src_port: tuple.local_port,
        dst_port: tuple.remote_port,
        seq: transmit.seq,
        ack: transmit.ack,
        flags: transmit.flags,
        window: transmit.window,
        urgent: transmit.urgent,
        options: transmit.options,
    };
    let payload_len = transmit.payload.len();
    // RFC 9293 §3.9.2 MUST-49: the TTL is the host's or, where an application chose one, its own.
    let hop_limit = marks
        .hop_limit
        .unwrap_or_else(|| host.hop_limit(tuple.remote));
    // MUST-48, SHLD-22: the DSCP goes down unchanged, on every segment.
    let meta = IpMeta {
        dscp: transmit.dscp,
        ecn: transmit.ecn,
        flow_label: marks.flow_label,
        ..IpMeta::new(tuple.local, tuple.remote, Protocol::TCP, hop_limit)
    };
    let headers = &mut frame.headers;
    link.start_in(headers, tuple.local.is_ipv4());
    let ip_start = headers.len();
    headers.grow(meta.header_len())?;
    let start = headers.len();
    let tcp_len = header.append(headers)?;
    // PMTU-1: TCP never leaves fragmentation to routers, so DF is set.
    if !meta.write(headers.get_mut(ip_start..start)?, tcp_len + payload_len) {
        return None;
    }
    let total = u32::try_from(tcp_len + payload_len).ok()?;
    let pseudo = checksum::pseudo_header(tuple.local, tuple.remote, Protocol::TCP.raw(), total);
    let cut = payload_len > usize::from(transmit.segment_size) && transmit.segment_size > 0;
    let checksum_start = start as u16;
    let (field, offload) = if cut {
        let segment = TxOffload::Segment {
            ipv6: tuple.local.is_ipv6(),
            gso_size: transmit.segment_size,
            header_len: headers.len() as u16,
            checksum_start,
            checksum_offset: TCP_CHECKSUM_AT,
        };
        (pseudo.partial(), segment)
    } else if host.capabilities.tx_checksum {
        let offload = TxOffload::Checksum {
            start: checksum_start,
            offset: TCP_CHECKSUM_AT,
        };
        (pseudo.partial(), offload)
    } else {
        let sum = add_all(pseudo, headers.get(start..)?, &transmit.payload);
        (sum.finish(), TxOffload::None)
    };
    set_u16(headers, start + usize::from(TCP_CHECKSUM_AT), field);
    frame.offload = offload;
    Some(())
}

/// Adds a header and all pieces of a payload to a sum.
pub(crate) fn add_all(mut sum: Sum, header: &[u8], payload: &Payload) -> Sum {
    sum.add_bytes(header);
    for chunk in payload.chunks() {
        sum.add_bytes(chunk);
    }
    sum
}

/// Writes a 16-bit field in network order.
pub(crate) fn set_u16(headers: &mut HeaderBuf, at: usize, value: u16) {
    if let Some(field) = headers.as_mut_slice().get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

impl Stack {
    /// Sends a packet that is complete above the IP header: `l4` are the first bytes after it, `payload` the rest. One
    /// that is larger than the path goes out in fragments, if `meta` has an identification.
    pub(crate) fn send_ip(
        &mut self,
        now: Instant,
        meta: &IpMeta,
        l4: &[u8],
        payload: Bytes,
    ) -> Result<(), Discard> {
        let len = meta.header_len() + l4.len() + payload.len();
        if len > self.host.path_mtu(meta.dst) {
            return self.send_fragments(now, meta, l4, payload);
        }
        let mut headers = self.link.start(meta.src.is_ipv4());
        if !meta.emit(&mut headers, l4.len() + payload.len()) || !headers.extend(l4) {
            return Err(Discard::TooLarge);
        }
        let frame = TxFrame {
            headers,
            payload: payload.into(),
            offload: TxOffload::None,
        };
        self.send_frame(now, frame, meta.dst)
    }

    // IP4-16, IP6-10: all fragments but the last are multiples of 8 bytes long.
    fn send_fragments(
        &mut self,
        now: Instant,
        meta: &IpMeta,
        l4: &[u8],
        payload: Bytes,
    ) -> Result<(), Discard> {
        let extra = if meta.src.is_ipv4() {
            0
        } else {
            ipv6::FragmentHeader::LEN
        };
        let room = self
            .host
            .path_mtu(meta.dst)
            .saturating_sub(meta.header_len() + extra)
            & !7;
        let total = l4.len() + payload.len();
        if meta.id.is_none() || room == 0 || total > usize::from(u16::MAX) - meta.header_len() {
            return Err(Discard::TooLarge);
        }
        if self.link.room() < total.div_ceil(room) {
            return Err(Discard::OutputQueueFull);
        }
        let protocol = meta.protocol.raw();
        let id = self
            .host
            .ids
            .next(meta.src, meta.dst, protocol, &mut self.host.random);
        let mut body = Payload::from(Bytes::copy_from_slice(l4));
        body.push(payload);
        for start in (0..total).step_by(room) {
            let end = (start + room).min(total);
            let fragment = Fragment {
                id,
                offset: u16::try_from(start).map_err(|_| Discard::TooLarge)?,
                more: end < total,
            };
            let mut headers = self.link.start(meta.src.is_ipv4());
            if !meta.emit_fragment(&mut headers, end - start, fragment) {
                return Err(Discard::TooLarge);
            }
            let frame = TxFrame {
                headers,
                payload: body.slice(start, end),
                offload: TxOffload::None,
            };
            self.send_frame(now, frame, meta.dst)?;
        }
        self.observer.counters.fragmented += 1;
        Ok(())
    }

    /// Queues a frame to `destination`, by way of its neighbour's address where there are neighbours.
    pub(crate) fn send_frame(
        &mut self,
        now: Instant,
        mut frame: TxFrame,
        destination: IpAddr,
    ) -> Result<(), Discard> {
        if self.link.is_full() {
            return Err(Discard::OutputQueueFull);
        }
        let next_hop = self.hop_for(destination)?;
        match self.link.resolve(now, &mut frame, next_hop) {
            Ok(()) => self.link.push(frame),
            Err(Waiting { solicit, dropped }) => {
                self.neighbour_awaited(now, solicit, dropped);
                Ok(())
            }
        }
    }

    /// The next hop. Multicast and broadcast need no route; neither does an answer on a device without a link layer.
    #[inline]
    pub(crate) fn hop_for(&self, destination: IpAddr) -> Result<IpAddr, Discard> {
        let has_neighbours = self.link.header_len() > 0;
        if !has_neighbours
            || destination.is_multicast()
            || self.host.routes.is_broadcast(destination)
        {
            return Ok(destination);
        }
        self.host.next_hop(destination).ok_or(Discard::NoRoute)
    }
}
