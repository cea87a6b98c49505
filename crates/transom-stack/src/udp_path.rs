//! Datagrams on their way in and out.

use core::net::SocketAddr;

use bytes::Bytes;
use transom_tcp::Instant;
use transom_wire::udp::{self, Header};
use transom_wire::{Protocol, checksum};

use crate::discard::Discard;
use crate::egress::IpMeta;
use crate::error::DatagramError;
use crate::event::{StackEvent, Unreachable};
use crate::icmp_out::IcmpError;
use crate::ingress::Ingress;
use crate::observer::Dropped;
use crate::stack::Stack;
use crate::udp::{Datagram, DatagramOptions};

impl Stack {
    pub(crate) fn udp_arrives(&mut self, now: Instant, ingress: &Ingress) -> Result<(), Dropped> {
        // UDP-1.
        let view = udp::View::new(ingress.l4()).map_err(|_| Discard::UdpMalformed)?;
        let (local, peer) = Self::sockets(ingress, view.dst_port(), view.src_port());
        let dropped = |reason| Dropped::between(local, peer, reason);
        // UDP-2, IP6-15.
        let verified = ingress.checksum == transom_wire::RxChecksum::Valid;
        if !verified && !view.verify_checksum(ingress.src, ingress.dst) {
            return Err(dropped(Discard::UdpChecksum));
        }
        let Some(id) = self.udp.find(local, !ingress.to_many) else {
            // UDP-3.
            if !self.config.black_hole {
                self.report(now, ingress, IcmpError::Unreachable(Unreachable::Port));
            }
            return Err(dropped(Discard::UdpNoSocket));
        };
        let payload_at = ingress.l4_at + udp::HEADER_LEN;
        let payload = ingress.slice(payload_at, payload_at + view.payload().len());
        let quote = ingress.quote();
        for payload in datagrams(payload, ingress.gso_size) {
            let datagram = Datagram {
                local,
                peer,
                payload,
                hop_limit: ingress.hop_limit,
                ecn: ingress.ecn,
                dscp: ingress.dscp,
                quote: quote.clone(),
            };
            match self.udp.deliver(id, datagram) {
                Ok(tell) => {
                    self.observer.counters.datagrams_in += 1;
                    if tell {
                        self.udp_announce(StackEvent::UdpReadable(id));
                    }
                }
                Err(reason) => self.observer.discard(now, dropped(reason)),
            }
        }
        Ok(())
    }

    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        payload: Bytes,
        options: DatagramOptions,
    ) -> Result<(), DatagramError> {
        let len = Header::LEN + payload.len();
        let total = u16::try_from(len).map_err(|_| DatagramError::TooLarge)?;
        let mut header = [0; Header::LEN];
        let ports = Header {
            src_port: from.port(),
            dst_port: to.port(),
        };
        ports.emit(&mut header, payload.len());
        let mut sum =
            checksum::pseudo_header(from.ip(), to.ip(), Protocol::UDP.raw(), u32::from(total));
        sum.add_bytes(&header);
        sum.add_bytes(&payload);
        // UDP-2: a sum of 0 goes out as all ones.
        let [.., high, low] = &mut header;
        [*high, *low] = udp::checksum_field(sum).to_be_bytes();
        let id = self.host.ids.next(
            from.ip(),
            to.ip(),
            Protocol::UDP.raw(),
            &mut self.host.random,
        );
        let hop_limit = options
            .hop_limit
            .unwrap_or_else(|| self.host.hop_limit(to.ip()))
            .max(1);
        let meta = IpMeta {
            dscp: options.dscp,
            ecn: options.ecn,
            id: (!options.dont_fragment).then_some(id as u16),
            ..IpMeta::new(from.ip(), to.ip(), Protocol::UDP, hop_limit)
        };
        self.send_ip(now, &meta, &header, payload)
            .map_err(|reason| match reason {
                Discard::NoRoute => DatagramError::NoRoute,
                Discard::OutputQueueFull => DatagramError::WouldBlock,
                _ => DatagramError::TooLarge,
            })?;
        self.observer.counters.datagrams_out += 1;
        Ok(())
    }
}

/// The data of the datagrams in a frame. The device may leave those of one sending together, and says
/// then how long each is; only the last may be shorter.
// RFC 768: a datagram is what its sender made of it, never a part of a stream.
fn datagrams(mut data: Bytes, size: u16) -> impl Iterator<Item = Bytes> {
    let size = match usize::from(size) {
        0 => data.len(),
        size => size,
    };
    // Also an empty datagram is one.
    let first = data.split_to(size.min(data.len()));
    core::iter::once(first).chain(core::iter::from_fn(move || {
        let part = data.split_to(size.min(data.len()));
        (!part.is_empty()).then_some(part)
    }))
}
