//! Neighbours: ARP (RFC 826) and Neighbour Discovery (RFC 4861) in and out.

use std::collections::VecDeque;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use transom_tcp::Instant;
use transom_wire::arp::{self, Operation};
use transom_wire::ethernet::{self, EtherType, MacAddr};
use transom_wire::ip::Packet;
use transom_wire::{HeaderBuf, Medium, Protocol, TxFrame, TxOffload, icmpv6, ndp};

use crate::discard::Discard;
use crate::egress::IpMeta;
use crate::ingress::Ingress;
use crate::neighbour::{Advertisement, Due, Solicit};
use crate::observer::Dropped;
use crate::stack::Stack;

/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The hop limit that proves a message to be from the link itself (RFC 4861 §11.2).
const FROM_THE_LINK: u8 = 255;

impl Stack {
    /// Sets the link address of a neighbour for good.
    pub fn add_neighbour(&mut self, now: Instant, address: IpAddr, mac: [u8; 6]) {
        let released = self.link.neighbours.set_static(now, address, mac);
        self.release(now, released);
    }

    pub(crate) fn arp_arrives(&mut self, now: Instant, packet: &[u8]) -> Result<(), Dropped> {
        // ARP-1.
        let view = arp::View::new(packet).map_err(|_| Discard::ArpMalformed)?;
        let operation = view.operation().ok_or(Discard::ArpMalformed)?;
        let (mac, sender, target) = (view.sender_mac(), view.sender_ip(), view.target_ip());
        // ARP-4. A probe (RFC 5227) has no sender address yet; it is answered, and teaches nothing.
        let probe = sender.is_unspecified() && operation == Operation::Request;
        if !mac.is_unicast() || mac == MacAddr::ZERO {
            return Err(Discard::ArpBadSender.into());
        }
        if mac != MacAddr(self.link.mac) {
            self.arp_disputes(now, probe, sender, target)?;
        }
        let bad_sender = !probe
            && (!self.host.is_plain_unicast(sender.into())
                || self.host.routes.is_local(sender.into()));
        if bad_sender {
            return Err(Discard::ArpBadSender.into());
        }
        let ours = self.host.routes.is_local(target.into());
        if !probe {
            // ARP-3.
            let released = match operation {
                Operation::Reply if ours => self.link.neighbours.advertised(
                    now,
                    sender.into(),
                    Advertisement {
                        mac: Some(mac.octets()),
                        solicited: true,
                        override_flag: true,
                    },
                ),
                _ => self
                    .link
                    .neighbours
                    .heard(now, sender.into(), mac.octets(), ours),
            };
            self.release(now, released);
        }
        // ARP-2.
        if !ours {
            return Err(Discard::ArpNotOurs.into());
        }
        if operation == Operation::Request {
            self.send_arp(now, Operation::Reply, target, mac, sender)?;
        }
        Ok(())
    }

    /// Whether an ARP message means that two of us have one address.
    // RFC 5227 §2.1.1, §2.4 (ARP-7).
    fn arp_disputes(
        &mut self,
        now: Instant,
        probe: bool,
        sender: Ipv4Addr,
        target: Ipv4Addr,
    ) -> Result<(), Discard> {
        let disputed = if probe { target } else { sender };
        if self.is_disputed(disputed.into()) {
            return Err(Discard::AddressConflict);
        }
        if !probe && self.host.routes.is_local(sender.into()) {
            self.defend(now, sender);
            return Err(Discard::AddressConflict);
        }
        Ok(())
    }

    pub(crate) fn send_arp(
        &mut self,
        _now: Instant,
        operation: Operation,
        sender_ip: Ipv4Addr,
        target_mac: MacAddr,
        target_ip: Ipv4Addr,
    ) -> Result<(), Discard> {
        let sender_mac = MacAddr(self.link.mac);
        let (dst, target_mac) = match operation {
            Operation::Request if target_mac == MacAddr::ZERO => (MacAddr::BROADCAST, target_mac),
            _ => (target_mac, target_mac),
        };
        let mut headers = HeaderBuf::new();
        let link = ethernet::Header {
            dst,
            src: sender_mac,
            ether_type: EtherType::ARP,
        };
        let message = arp::Header {
            operation,
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        };
        if let Some(out) = headers.grow(ethernet::HEADER_LEN) {
            link.emit(out);
        }
        if let Some(out) = headers.grow(arp::LEN) {
            message.emit(out);
        }
        self.link.push(TxFrame {
            headers,
            payload: Bytes::new().into(),
            offload: TxOffload::None,
        })
    }

    pub(crate) fn ndp_arrives(
        &mut self,
        now: Instant,
        ingress: &Ingress,
        view: &icmpv6::View<'_>,
    ) -> Result<(), Dropped> {
        // ND-13: a device for bare IP packets has no neighbours. ND-1: nor has a fragmented message a meaning.
        if self.link.capabilities.medium == Medium::Ip {
            return Err(Discard::NdpNotOurs.into());
        }
        if ingress.reassembled {
            return Err(Discard::NdpInvalid.into());
        }
        let packet = Packet::new(ingress.packet()).map_err(|_| Discard::NdpInvalid)?;
        match ndp::Message::parse(&packet, view).map_err(|_| Discard::NdpInvalid)? {
            ndp::Message::NeighborSolicitation {
                target,
                source_link,
            } => self.solicited(now, ingress, target, source_link),
            ndp::Message::NeighborAdvertisement {
                solicited,
                override_cached,
                target,
                target_link,
                ..
            } => {
                let advertisement = Advertisement {
                    mac: target_link
                        .filter(|mac| mac.is_unicast())
                        .map(MacAddr::octets),
                    solicited,
                    override_flag: override_cached,
                };
                // RFC 4862 §5.4.4 (ND-8).
                if self.is_disputed(target.into()) {
                    return Err(Discard::AddressConflict.into());
                }
                let released = self
                    .link
                    .neighbours
                    .advertised(now, target.into(), advertisement);
                self.release(now, released);
                Ok(())
            }
            ndp::Message::RouterAdvertisement(advertisement) => {
                self.router_advertised(now, ingress, &advertisement)
            }
            // ND-11, RFC 4861 §8.3: redirects are off.
            _ => Err(Discard::NdpNotOurs.into()),
        }
    }

    // RFC 4861 §7.2.3, §7.2.4 (ND-2).
    fn solicited(
        &mut self,
        now: Instant,
        ingress: &Ingress,
        target: Ipv6Addr,
        source_link: Option<MacAddr>,
    ) -> Result<(), Dropped> {
        // RFC 4862 §5.4.3 (ND-8): somebody tries the address that we try. One who asks for it does not have it.
        if ingress.src.is_unspecified() && self.is_disputed(target.into()) {
            return Err(Discard::AddressConflict.into());
        }
        if !self.host.routes.is_local(target.into()) {
            return Err(Discard::NdpNotOurs.into());
        }
        let unspecified = ingress.src.is_unspecified();
        if let Some(mac) = source_link
            && mac.is_unicast()
            && !unspecified
        {
            let released = self
                .link
                .neighbours
                .heard(now, ingress.src, mac.octets(), true);
            self.release(now, released);
        }
        let to = match ingress.src {
            IpAddr::V6(src) if !unspecified => src,
            _ => ALL_NODES,
        };
        let message = ndp::Message::NeighborAdvertisement {
            router: false,
            solicited: !unspecified,
            override_cached: true,
            target,
            target_link: Some(MacAddr(self.link.mac)),
        };
        Ok(self.send_ndp(now, target, to, None, &message)?)
    }

    pub(crate) fn send_ndp(
        &mut self,
        now: Instant,
        from: Ipv6Addr,
        to: Ipv6Addr,
        link: Option<[u8; 6]>,
        message: &ndp::Message,
    ) -> Result<(), Discard> {
        let mut body = vec![0; message.len()];
        message.emit(&mut body, from, to);
        let meta = IpMeta::new(from.into(), to.into(), Protocol::ICMPV6, FROM_THE_LINK);
        let mut headers = self.link.start(false);
        if !meta.emit(&mut headers, body.len()) {
            return Err(Discard::TooLarge);
        }
        let mut frame = TxFrame {
            headers,
            payload: Bytes::from(body).into(),
            offload: TxOffload::None,
        };
        match link {
            Some(mac) => {
                crate::link::set_destination(&mut frame, mac);
                self.link.push(frame)
            }
            None => self.send_frame(now, frame, to.into()),
        }
    }

    /// A frame waits for a neighbour.
    pub(crate) fn neighbour_awaited(
        &mut self,
        now: Instant,
        solicit: Option<Solicit>,
        dropped: bool,
    ) {
        if dropped {
            self.observer.discard(now, Discard::NeighbourQueueFull);
        }
        if let Some(solicit) = solicit {
            self.solicit(now, solicit);
        }
    }

    /// Asks for the link address of a neighbour.
    fn solicit(&mut self, now: Instant, solicit: Solicit) {
        let Some(source) = self.host.routes.source_for(solicit.target, solicit.target) else {
            self.observer.discard(now, Discard::NoRoute);
            return;
        };
        let sent = match (source, solicit.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let mac = solicit.unicast.map_or(MacAddr::ZERO, MacAddr);
                self.send_arp(now, Operation::Request, source, mac, target)
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let message = ndp::Message::NeighborSolicitation {
                    target,
                    source_link: Some(MacAddr(self.link.mac)),
                };
                let to = match solicit.unicast {
                    Some(_) => target,
                    None => ndp::solicited_node(target),
                };
                self.send_ndp(now, source, to, solicit.unicast, &message)
            }
            _ => Err(Discard::NoRoute),
        };
        if let Err(reason) = sent {
            self.observer.discard(now, reason);
        }
    }

    pub(crate) fn neighbour_timeouts(&mut self, now: Instant) {
        let Due { solicit, failed } = self.link.neighbours.handle_timeout(now);
        for solicit in solicit {
            self.solicit(now, solicit);
        }
        let skip = self.link.header_len();
        for frame in failed {
            // ND-5, ARP-5: whoever sent it is told that the host cannot be reached.
            let packet = frame.headers.get(skip..).unwrap_or_default();
            self.undeliverable(now, packet);
        }
    }

    /// Sends the frames that waited for a neighbour.
    pub(crate) fn release(&mut self, now: Instant, frames: VecDeque<TxFrame>) {
        for frame in frames {
            if let Err(reason) = self.link.push(frame) {
                self.observer.discard(now, reason);
            }
        }
    }
}
