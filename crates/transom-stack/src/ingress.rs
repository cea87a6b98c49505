//! From a frame to a segment, a datagram or a message: link, then IP, then transport, one function a layer.

use core::net::{IpAddr, SocketAddr};

use bytes::{Buf, Bytes};
use transom_tcp::{Instant, Segment};
use transom_wire::ethernet::{self, EtherType, MacAddr};
use transom_wire::ip::{Fragment, Packet, ipv6};
use transom_wire::tcp::{Flags, TcpView};
use transom_wire::{Ecn, Medium, Protocol, RxChecksum, RxFrame, icmpv4, icmpv6};

use crate::arrivals::Arrival;
use crate::discard::Discard;
use crate::fragment::{FragmentKey, Part, Whole};
use crate::observer::Dropped;
use crate::stack::Stack;
use crate::tuple::Tuple;

/// A packet of ours, its IP header read.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// The buffer that the packet came in.
    pub(crate) data: Bytes,
    /// Where in it the IP header begins.
    pub(crate) ip_at: usize,
    /// Where the transport header begins.
    pub(crate) l4_at: usize,
    /// Where the packet ends.
    pub(crate) end: usize,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) hop_limit: u8,
    pub(crate) ecn: Ecn,
    pub(crate) dscp: u8,
    /// Sent to many, by IP or by the link.
    pub(crate) to_many: bool,
    pub(crate) checksum: RxChecksum,
    pub(crate) gso_size: u16,
    /// Put together from fragments.
    pub(crate) reassembled: bool,
}

impl Ingress {
    pub(crate) fn l4(&self) -> &[u8] {
        self.data.get(self.l4_at..self.end).unwrap_or_default()
    }

    /// The whole packet, from the IP header.
    pub(crate) fn packet(&self) -> &[u8] {
        self.data.get(self.ip_at..self.end).unwrap_or_default()
    }

    /// A part of the transport's data, sharing memory.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Bytes {
        if from >= to || to > self.data.len() {
            return Bytes::new();
        }
        self.data.slice(from..to)
    }

    /// As much of the packet as an ICMP error about it quotes, sharing memory.
    pub(crate) fn quote(&self) -> Bytes {
        let packet = self.packet();
        let len = if self.src.is_ipv4() {
            icmpv4::quote(packet).len()
        } else {
            icmpv6::quote(packet).len()
        };
        self.slice(self.ip_at, self.ip_at + len)
    }

    fn verified(&self) -> bool {
        self.checksum == RxChecksum::Valid
    }
}

/// What the link layer knows about a packet.
#[derive(Clone, Copy, Debug)]
struct LinkMeta {
    ip_at: usize,
    to_many: bool,
    checksum: RxChecksum,
    gso_size: u16,
    reassembled: bool,
}

impl Stack {
    /// Takes a frame from the device. What is owed in answer is sent by [`poll_transmit`](Self::poll_transmit).
    pub fn handle_frame(&mut self, now: Instant, frame: RxFrame) {
        self.observer.frame_in(now, &frame);
        let outcome = match self.link.capabilities.medium {
            Medium::Ip => {
                let meta = LinkMeta {
                    ip_at: 0,
                    to_many: false,
                    checksum: frame.checksum,
                    gso_size: frame.gso_size,
                    reassembled: false,
                };
                self.ip_arrives(now, frame.data, meta)
            }
            Medium::Ethernet => self.ethernet_arrives(now, frame),
        };
        if let Err(dropped) = outcome {
            self.observer.discard(now, dropped);
        }
    }

    fn ethernet_arrives(&mut self, now: Instant, frame: RxFrame) -> Result<(), Dropped> {
        let view = ethernet::View::new(&frame.data).map_err(|_| Discard::LinkMalformed)?;
        let dst = view.dst();
        // LNK-3: ours, broadcast or a group.
        if dst != MacAddr(self.link.mac) && !dst.is_multicast() {
            return Err(Discard::LinkNotOurs.into());
        }
        match view.ether_type() {
            EtherType::IPV4 | EtherType::IPV6 => {
                let meta = LinkMeta {
                    ip_at: ethernet::HEADER_LEN,
                    to_many: dst.is_multicast(),
                    checksum: frame.checksum,
                    gso_size: frame.gso_size,
                    reassembled: false,
                };
                self.ip_arrives(now, frame.data, meta)
            }
            EtherType::ARP => {
                let packet = frame.data.slice(ethernet::HEADER_LEN..);
                self.arp_arrives(now, &packet)
            }
            _ => Err(Discard::EtherTypeUnknown.into()),
        }
    }

    fn ip_arrives(&mut self, now: Instant, data: Bytes, link: LinkMeta) -> Result<(), Dropped> {
        let bytes = data.get(link.ip_at..).unwrap_or_default();
        let packet = match Packet::new(bytes) {
            Ok(packet) => packet,
            Err(fault) => {
                self.report_fault(now, bytes, fault, link.to_many);
                return Err(Discard::IpMalformed.into());
            }
        };
        let (src, dst) = (packet.src(), packet.dst());
        if packet.protocol() == Protocol::TCP
            && !link.to_many
            && packet.fragment().is_none()
            && let Ok(view) = TcpView::new(packet.payload())
            && let tuple = Tuple::of(&view, src, dst)
            && let Some(key) = self.endpoints.known(&tuple, self.host.epoch)
        {
            // What follows was asked of a segment between the same sockets, and the answers are the same.
            let dropped = |reason| Dropped::between(tuple.local(), tuple.remote(), reason);
            if link.checksum != RxChecksum::Valid && !view.verify_checksum(src, dst) {
                return Err(dropped(Discard::TcpChecksum));
            }
            let l4_at = link.ip_at + packet.header_len();
            let (from, to) = (l4_at + view.header_len(), l4_at + packet.payload().len());
            let mut segment = segment_of(&view, packet.ecn(), now, link.gso_size);
            segment.payload = part_of(data, from, to);
            self.observer.counters.segments_in += 1;
            let outcome = self.connection_hears(now, key, &mut segment);
            return outcome.map_err(|reason| dropped(reason.into()));
        }
        let group = dst.is_multicast() || self.host.routes.is_broadcast(dst);
        if !group && !self.host.is_ours(dst) {
            return Err(Discard::IpNotOurs.into());
        }
        // RFC 4862 §5.4: who checks an address for duplicates has none yet.
        let nameless = src.is_unspecified() && packet.protocol() == Protocol::ICMPV6;
        if !nameless && !self.is_good_source(src) {
            return Err(Discard::IpBadSource.into());
        }
        let l4_at = link.ip_at + packet.header_len();
        let ingress = Ingress {
            ip_at: link.ip_at,
            l4_at,
            end: l4_at + packet.payload().len(),
            src,
            dst,
            protocol: packet.protocol(),
            hop_limit: packet.ttl(),
            ecn: packet.ecn(),
            dscp: packet.dscp(),
            to_many: group || link.to_many,
            checksum: link.checksum,
            gso_size: link.gso_size,
            reassembled: link.reassembled,
            data: Bytes::new(),
        };
        match packet.fragment() {
            // IP6-8, RFC 6946: an atomic fragment is a whole packet.
            Some(fragment) if !fragment.is_atomic() => {
                self.fragment_arrives(now, Ingress { data, ..ingress }, fragment)
            }
            _ => self.transport_arrives(now, &Ingress { data, ..ingress }),
        }
    }

    /// Whether an address can be that of another host.
    // RFC 9293 §3.9.2.3 MUST-63, RFC 1122 §3.2.1.3 (IP4-2), RFC 4291 §2 (IP6-2).
    fn is_good_source(&self, src: IpAddr) -> bool {
        self.host.is_plain_unicast(src) && !self.host.routes.is_local(src)
    }

    fn fragment_arrives(
        &mut self,
        now: Instant,
        ingress: Ingress,
        fragment: Fragment,
    ) -> Result<(), Dropped> {
        let key = FragmentKey {
            src: ingress.src,
            dst: ingress.dst,
            protocol: if ingress.src.is_ipv4() {
                ingress.protocol.raw()
            } else {
                0
            },
            id: fragment.id,
        };
        let part = Part {
            start: usize::from(fragment.offset),
            more: fragment.more,
            // Copied: a held fragment of eight bytes must not keep a large frame.
            data: Bytes::copy_from_slice(ingress.l4()),
            ecn: ingress.ecn,
            protocol: ingress.protocol.raw(),
            packet: if fragment.is_first() {
                Bytes::copy_from_slice(&ingress.quote())
            } else {
                Bytes::new()
            },
        };
        if part.data.is_empty() {
            return Err(Discard::FragmentLength.into());
        }
        if fragment.is_first() && ingress.src.is_ipv6() && splits_headers(&ingress) {
            // IP6-7, RFC 7112 §5: the first fragment holds the headers up to the transport's.
            self.report_split_headers(now, &ingress);
            return Err(Discard::FragmentHeaders.into());
        }
        let Some(whole) = self.reassembler.insert(now, key, part)? else {
            return Ok(());
        };
        self.observer.counters.reassembled += 1;
        self.whole_arrives(now, ingress, whole)
    }

    /// A datagram put together: `ingress` is the fragment that completed it.
    fn whole_arrives(
        &mut self,
        now: Instant,
        ingress: Ingress,
        whole: Whole,
    ) -> Result<(), Dropped> {
        let Whole {
            payload,
            protocol,
            ecn,
            first,
        } = whole;
        // The headers of the first fragment, then everything: what an ICMP error about the datagram quotes.
        let header_len = (ingress.l4_at - ingress.ip_at).min(first.len());
        let protocol = Protocol(protocol);
        if is_extension(protocol) {
            let header = first.get(..FIXED_V6).unwrap_or_default();
            return self.extended_whole_arrives(
                now,
                header,
                header_len,
                protocol,
                &payload,
                ingress.to_many,
            );
        }
        let mut data = Vec::with_capacity(header_len + payload.len());
        data.extend_from_slice(first.get(..header_len).unwrap_or_default());
        data.extend_from_slice(&payload);
        let whole = Ingress {
            ip_at: 0,
            l4_at: header_len,
            end: data.len(),
            data: data.into(),
            protocol,
            ecn,
            checksum: RxChecksum::Unverified,
            gso_size: 0,
            reassembled: true,
            ..ingress
        };
        self.transport_arrives(now, &whole)
    }

    /// An IPv6 datagram with extension headers after the fragment header: read again without that one.
    fn extended_whole_arrives(
        &mut self,
        now: Instant,
        header: &[u8],
        header_len: usize,
        protocol: Protocol,
        payload: &[u8],
        to_many: bool,
    ) -> Result<(), Dropped> {
        let Ok(payload_len) = u16::try_from(payload.len()) else {
            return Err(Discard::FragmentLength.into());
        };
        // Headers before the fragment header as well are legal and unheard of.
        if header_len != FIXED_V6 + ipv6::FragmentHeader::LEN {
            return Err(Discard::FragmentHeaders.into());
        }
        let mut data = Vec::with_capacity(FIXED_V6 + payload.len());
        data.extend_from_slice(header);
        if let Some(field) = data.get_mut(4..7) {
            let [high, low] = payload_len.to_be_bytes();
            field.copy_from_slice(&[high, low, protocol.raw()]);
        }
        data.extend_from_slice(payload);
        let link = LinkMeta {
            ip_at: 0,
            to_many,
            checksum: RxChecksum::Unverified,
            gso_size: 0,
            reassembled: true,
        };
        self.ip_arrives(now, data.into(), link)
    }

    fn transport_arrives(&mut self, now: Instant, ingress: &Ingress) -> Result<(), Dropped> {
        match ingress.protocol {
            Protocol::TCP => self.tcp_arrives(now, ingress),
            Protocol::UDP => self.udp_arrives(now, ingress),
            Protocol::ICMP if ingress.src.is_ipv4() => self.icmpv4_arrives(now, ingress),
            Protocol::ICMPV6 if ingress.src.is_ipv6() => self.icmpv6_arrives(now, ingress),
            Protocol::NO_NEXT_HEADER if ingress.src.is_ipv6() => {
                Err(Discard::IpNothingFollows.into())
            }
            _ => {
                self.report_unknown_protocol(now, ingress);
                Err(Discard::IpProtocolUnknown.into())
            }
        }
    }

    fn tcp_arrives(&mut self, now: Instant, ingress: &Ingress) -> Result<(), Dropped> {
        // RFC 9293 §3.9.2.3 MUST-57: nothing that went to many is for TCP; no answer either.
        if ingress.to_many {
            return Err(Discard::TcpBroadcast.into());
        }
        let view = TcpView::new(ingress.l4()).map_err(|_| Discard::TcpMalformed)?;
        let tuple = Tuple::of(&view, ingress.src, ingress.dst);
        let dropped = |reason| Dropped::between(tuple.local(), tuple.remote(), reason);
        // RFC 9293 §3.1 MUST-3: the receiver checks the checksum, unless the device vouches for it.
        if !ingress.verified() && !view.verify_checksum(ingress.src, ingress.dst) {
            return Err(dropped(Discard::TcpChecksum));
        }
        // SEC-LAND-1, EV-L-9.
        if tuple.local == tuple.remote && tuple.local_port == tuple.remote_port {
            return Err(dropped(Discard::TcpLand));
        }
        if tuple.local_port == 0 || tuple.remote_port == 0 {
            return Err(dropped(Discard::TcpPortZero));
        }
        let payload_at = ingress.l4_at + view.header_len();
        let mut segment = segment_of(&view, ingress.ecn, now, ingress.gso_size);
        segment.payload = ingress.slice(payload_at, ingress.end);
        // Only a SYN can become something that an ICMP error is sent about later.
        let opens = segment.flags.contains(Flags::SYN) && !segment.flags.contains(Flags::ACK);
        let quote = if opens { ingress.quote() } else { Bytes::new() };
        self.segment_arrives(
            now,
            &mut Arrival {
                hash: self.endpoints.demux.hash(&tuple),
                tuple,
                segment,
                quote,
            },
        )
    }

    /// The local and the remote socket of a datagram.
    pub(crate) fn sockets(ingress: &Ingress, local: u16, remote: u16) -> (SocketAddr, SocketAddr) {
        (
            SocketAddr::new(ingress.dst, local),
            SocketAddr::new(ingress.src, remote),
        )
    }
}

/// A segment as it was received, but for its data.
#[inline]
fn segment_of(view: &TcpView<'_>, ecn: Ecn, now: Instant, gso_size: u16) -> Segment {
    Segment {
        seq: view.seq(),
        ack: view.ack(),
        flags: view.flags(),
        window: view.window(),
        urgent: view.urgent(),
        options: view.options().0,
        payload: Bytes::new(),
        ecn,
        received: now,
        gso_size,
    }
}

/// A part of a buffer that is not needed any more: nothing, where it is empty, so that it does not keep the buffer.
#[inline]
fn part_of(mut data: Bytes, from: usize, to: usize) -> Bytes {
    if from >= to || to > data.len() {
        return Bytes::new();
    }
    if to < data.len() {
        data.truncate(to);
    }
    data.advance(from);
    data
}

/// Length in bytes of the fixed IPv6 header.
const FIXED_V6: usize = ipv6::HEADER_LEN;

/// Whether a first fragment ends before the transport header does.
fn splits_headers(ingress: &Ingress) -> bool {
    let least = match ingress.protocol {
        Protocol::TCP => transom_wire::tcp::MIN_HEADER_LEN,
        Protocol::UDP => transom_wire::udp::HEADER_LEN,
        Protocol::ICMPV6 => icmpv6::HEADER_LEN,
        _ => 0,
    };
    ingress.l4().len() < least
}

fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::DESTINATION_OPTIONS
            | Protocol::AUTHENTICATION
    )
}
