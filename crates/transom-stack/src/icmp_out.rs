//! ICMP messages that go out: errors about packets that could not be processed, and echo replies.

use core::net::IpAddr;

use bytes::Bytes;
use transom_tcp::Instant;
use transom_wire::checksum::{self, Sum};
use transom_wire::icmpv6::Report;
use transom_wire::ip::{Packet, ipv6};
use transom_wire::{Malformed, Protocol, icmpv4, icmpv6};

use crate::discard::Discard;
use crate::egress::IpMeta;
use crate::error::DatagramError;
use crate::event::{EchoRequest, Unreachable};
use crate::ingress::Ingress;
use crate::quote::on_the_wire;
use crate::stack::Stack;

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcmpError {
    Unreachable(Unreachable),
    ProtocolUnreachable,
    ReassemblyTimeout,
    /// IPv6 only.
    ParameterProblem(Report),
}

impl IcmpError {
    fn v4(self) -> Option<(u8, u8)> {
        use icmpv4::{kind, unreachable};
        let code = match self {
            Self::Unreachable(Unreachable::Network) => unreachable::NET,
            Self::Unreachable(Unreachable::Host) => unreachable::HOST,
            Self::Unreachable(Unreachable::Port) => unreachable::PORT,
            Self::Unreachable(Unreachable::Prohibited) => unreachable::PROHIBITED,
            Self::ProtocolUnreachable => unreachable::PROTOCOL,
            Self::ReassemblyTimeout => return Some((kind::TIME_EXCEEDED, 1)),
            Self::ParameterProblem(_) => return None,
        };
        Some((kind::DESTINATION_UNREACHABLE, code))
    }

    fn v6(self) -> Option<(u8, u8, u32)> {
        use icmpv6::{kind, unreachable};
        let code = match self {
            Self::Unreachable(Unreachable::Network) => unreachable::NO_ROUTE,
            Self::Unreachable(Unreachable::Host) => unreachable::ADDRESS,
            Self::Unreachable(Unreachable::Port) => unreachable::PORT,
            Self::Unreachable(Unreachable::Prohibited) => unreachable::PROHIBITED,
            Self::ProtocolUnreachable => return None,
            Self::ReassemblyTimeout => return Some((kind::TIME_EXCEEDED, 1, 0)),
            Self::ParameterProblem(report) => {
                return Some((kind::PARAMETER_PROBLEM, report.code, report.pointer));
            }
        };
        Some((kind::DESTINATION_UNREACHABLE, code, 0))
    }
}

impl Stack {
    /// An error that the application orders: it decides how many there are.
    pub(crate) fn send_unreachable(
        &mut self,
        now: Instant,
        from: IpAddr,
        to: IpAddr,
        reason: Unreachable,
        quote: &Bytes,
    ) {
        let quote = on_the_wire(quote.clone());
        self.send_error(now, from, to, IcmpError::Unreachable(reason), quote);
    }

    /// An error about a packet, unless the rules forbid it or there were too many.
    pub(crate) fn report(&mut self, now: Instant, ingress: &Ingress, error: IcmpError) {
        // RFC 1122 §3.2.2, RFC 4443 §2.4 e (IC4-3, IC6-3): none about what went to many. Errors about errors do not
        // come here, nor packets from bad sources, nor fragments but the first.
        if ingress.to_many || ingress.src.is_unspecified() {
            return;
        }
        let (from, to, quote) = (ingress.dst, ingress.src, on_the_wire(ingress.quote()));
        self.send_limited_error(now, from, to, error, quote);
    }

    /// Sends an error within the limits.
    // RFC 1812 §4.3.2.8, RFC 4443 §2.4 f (IC4-6, IC6-3).
    fn send_limited_error(
        &mut self,
        now: Instant,
        from: IpAddr,
        to: IpAddr,
        error: IcmpError,
        quote: Bytes,
    ) {
        let host = &mut self.host;
        if host.icmp_limit.allow(to, now, &mut host.random) {
            self.send_error(now, from, to, error, quote);
        } else {
            self.observer.discard(now, Discard::IcmpRateLimited);
        }
    }

    fn send_error(
        &mut self,
        now: Instant,
        from: IpAddr,
        to: IpAddr,
        error: IcmpError,
        quote: Bytes,
    ) {
        let header = match (from, to) {
            (IpAddr::V4(_), IpAddr::V4(_)) => error
                .v4()
                .map(|(kind, code)| [kind, code, 0, 0, 0, 0, 0, 0]),
            (IpAddr::V6(_), IpAddr::V6(_)) => error.v6().map(|(kind, code, word)| {
                let [a, b, c, d] = word.to_be_bytes();
                [kind, code, 0, 0, a, b, c, d]
            }),
            _ => None,
        };
        let Some(header) = header else {
            return;
        };
        if let Err(reason) = self.send_icmp(now, from, to, header, quote) {
            self.observer.discard(now, reason);
        }
    }

    /// Sends an ICMP message: eight bytes of header with a checksum of 0, and the body.
    pub(crate) fn send_icmp(
        &mut self,
        now: Instant,
        from: IpAddr,
        to: IpAddr,
        mut header: [u8; 8],
        body: Bytes,
    ) -> Result<(), Discard> {
        let protocol = if from.is_ipv4() {
            Protocol::ICMP
        } else {
            Protocol::ICMPV6
        };
        let mut sum = match protocol {
            Protocol::ICMPV6 => {
                let len = u32::try_from(header.len() + body.len()).unwrap_or(u32::MAX);
                checksum::pseudo_header(from, to, protocol.raw(), len)
            }
            _ => Sum::ZERO,
        };
        sum.add_bytes(&header);
        sum.add_bytes(&body);
        let [high, low] = sum.finish().to_be_bytes();
        let [_, _, check_high, check_low, ..] = &mut header;
        (*check_high, *check_low) = (high, low);
        let id = self
            .host
            .ids
            .next(from, to, protocol.raw(), &mut self.host.random);
        let meta = IpMeta {
            id: Some(id as u16),
            ..IpMeta::new(from, to, protocol, self.host.hop_limit(to))
        };
        self.send_ip(now, &meta, &header, body)?;
        self.observer.counters.icmp_out += 1;
        Ok(())
    }

    /// Answers an echo request that came as [`StackEvent::EchoRequest`](crate::StackEvent::EchoRequest).
    ///
    /// # Errors
    /// See [`DatagramError`].
    pub fn echo_reply(&mut self, now: Instant, request: &EchoRequest) -> Result<(), DatagramError> {
        self.answer_echo(now, request)
            .map_err(|reason| match reason {
                Discard::NoRoute => DatagramError::NoRoute,
                Discard::OutputQueueFull => DatagramError::WouldBlock,
                _ => DatagramError::TooLarge,
            })
    }

    /// Answers an echo request with an ICMP error.
    pub fn echo_unreachable(&mut self, now: Instant, request: &EchoRequest, reason: Unreachable) {
        self.send_unreachable(now, request.local, request.peer, reason, &request.quote);
    }

    // RFC 1122 §3.2.2.6, RFC 4443 §4.2 (IC4-1, IC6-2): same identifier, number and data, from the address asked.
    pub(crate) fn answer_echo(
        &mut self,
        now: Instant,
        request: &EchoRequest,
    ) -> Result<(), Discard> {
        let kind = if request.local.is_ipv4() {
            icmpv4::kind::ECHO_REPLY
        } else {
            icmpv6::kind::ECHO_REPLY
        };
        let ([i0, i1], [s0, s1]) = (request.ident.to_be_bytes(), request.sequence.to_be_bytes());
        let header = [kind, 0, 0, 0, i0, i1, s0, s1];
        self.send_icmp(
            now,
            request.local,
            request.peer,
            header,
            request.payload.clone(),
        )
    }

    /// A protocol that nobody here speaks.
    // IC4-5; IP6-4: the pointer is at the field that names the protocol.
    pub(crate) fn report_unknown_protocol(&mut self, now: Instant, ingress: &Ingress) {
        let error = if ingress.src.is_ipv4() {
            IcmpError::ProtocolUnreachable
        } else {
            let chain = ipv6::View::new(ingress.packet())
                .ok()
                .and_then(|view| ipv6::walk(view.next_header(), view.payload()).ok());
            match chain.and_then(|chain| Report::for_unknown_protocol(&chain)) {
                Some(report) => IcmpError::ParameterProblem(report),
                None => return,
            }
        };
        self.report(now, ingress, error);
    }

    /// A first IPv6 fragment that does not hold all headers (IP6-7).
    pub(crate) fn report_split_headers(&mut self, now: Instant, ingress: &Ingress) {
        let report = Report {
            code: icmpv6::parameter_problem::INCOMPLETE_CHAIN,
            pointer: 0,
            even_if_multicast: false,
        };
        self.report(now, ingress, IcmpError::ParameterProblem(report));
    }

    /// A packet that is malformed in a way that IPv6 wants reported.
    pub(crate) fn report_fault(
        &mut self,
        now: Instant,
        packet: &[u8],
        fault: Malformed,
        link_to_many: bool,
    ) {
        let Some(report) = Report::for_fault(fault) else {
            return;
        };
        let Ok(view) = ipv6::View::new(packet) else {
            return;
        };
        let (src, dst) = (IpAddr::V6(view.src()), IpAddr::V6(view.dst()));
        let to_many = link_to_many || dst.is_multicast();
        let allowed = self.host.is_plain_unicast(src)
            && !self.host.routes.is_local(src)
            && (!to_many || report.even_if_multicast)
            && (dst.is_multicast() || self.host.is_ours(dst))
            && !is_icmp_error(packet);
        let hop = self.host.next_hop(src).unwrap_or(src);
        let from = if dst.is_multicast() {
            self.host.routes.source_for(src, hop)
        } else {
            Some(dst)
        };
        if let (true, Some(from)) = (allowed, from) {
            let quote = Bytes::copy_from_slice(icmpv6::quote(packet));
            self.send_limited_error(now, from, src, IcmpError::ParameterProblem(report), quote);
        }
    }

    /// Datagrams whose fragments did not all come in time.
    // IP4-11, IP6-7: reported only when the first fragment came.
    pub(crate) fn fragment_timeouts(&mut self, now: Instant) {
        if self.reassembler.next_timeout().is_none_or(|at| at > now) {
            return;
        }
        for expired in self.reassembler.expire(now) {
            self.observer.discard(now, Discard::FragmentTimeout);
            let (from, to) = (expired.key.dst, expired.key.src);
            let Some(first) = expired.first else {
                continue;
            };
            if from.is_multicast() || self.host.routes.is_broadcast(from) || is_icmp_error(&first) {
                continue;
            }
            let len = if from.is_ipv4() {
                icmpv4::quote(&first).len()
            } else {
                icmpv6::quote(&first).len()
            };
            let quote = first.slice(..len.min(first.len()));
            self.send_limited_error(now, from, to, IcmpError::ReassemblyTimeout, quote);
        }
    }
}

/// Whether a packet is itself an ICMP error, about which none is sent.
fn is_icmp_error(packet: &[u8]) -> bool {
    let Ok(packet) = Packet::lax(packet) else {
        return false;
    };
    match packet.protocol() {
        Protocol::ICMP => icmpv4::View::new(packet.payload()).is_ok_and(|view| view.is_error()),
        Protocol::ICMPV6 => icmpv6::View::new(packet.payload()).is_ok_and(|view| view.is_error()),
        _ => false,
    }
}
