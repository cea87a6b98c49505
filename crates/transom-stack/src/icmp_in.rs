//! ICMP messages that come in (RFC 792, RFC 4443), and what they mean for connections (RFC 5927).

use core::net::{IpAddr, SocketAddr};

use transom_tcp::{Instant, PathError};
use transom_wire::quote::Quoted;
use transom_wire::{Protocol, Seq, icmpv4, icmpv6, ndp};

use crate::config::EchoMode;
use crate::demux::Entry;
use crate::discard::Discard;
use crate::event::{EchoRequest, StackEvent};
use crate::groups;
use crate::ingress::Ingress;
use crate::observer::Dropped;
use crate::pmtu;
use crate::stack::Stack;
use crate::tuple::Tuple;
use crate::udp::UdpError;

/// Echo requests that wait for the application.
const MAX_ECHOES: usize = 256;

/// What an error message says about the packet that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Error(PathError),
    TooBig(usize),
}

impl Stack {
    pub(crate) fn icmpv4_arrives(
        &mut self,
        now: Instant,
        ingress: &Ingress,
    ) -> Result<(), Dropped> {
        use icmpv4::Message;
        let view = icmpv4::View::new(ingress.l4()).map_err(|_| Discard::IcmpMalformed)?;
        // IC4-9.
        if !view.verify_checksum() {
            return Err(Discard::IcmpChecksum.into());
        }
        match view.message() {
            Message::EchoRequest { id, seq, .. } => {
                let at = ingress.l4_at + icmpv4::HEADER_LEN;
                self.echo_arrives(now, ingress, (id, seq), at)
            }
            Message::DestinationUnreachable {
                code,
                next_hop_mtu,
                quote,
            } => {
                let report = match code {
                    icmpv4::unreachable::FRAGMENTATION_NEEDED => {
                        Report::TooBig(usize::from(next_hop_mtu))
                    }
                    code => Report::Error(unreachable_v4(code)),
                };
                self.error_arrives(now, report, quote)
            }
            Message::TimeExceeded { quote, .. } => {
                self.error_arrives(now, Report::Error(PathError::TimeExceeded), quote)
            }
            Message::ParameterProblem { quote, .. } => {
                self.error_arrives(now, Report::Error(PathError::ParameterProblem), quote)
            }
            // RFC 6633 §4, RFC 9293 §3.9.2.2 MUST-55 (ICMPA-6): ignored, and never sent.
            Message::SourceQuench { .. } => Err(Discard::IcmpSourceQuench.into()),
            // IC4-8.
            Message::Redirect { .. } => Err(Discard::IcmpRedirect.into()),
            _ => Err(Discard::IcmpIgnored.into()),
        }
    }

    pub(crate) fn icmpv6_arrives(
        &mut self,
        now: Instant,
        ingress: &Ingress,
    ) -> Result<(), Dropped> {
        use icmpv6::Message;
        let view = icmpv6::View::new(ingress.l4()).map_err(|_| Discard::IcmpMalformed)?;
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (ingress.src, ingress.dst) else {
            return Err(Discard::IcmpMalformed.into());
        };
        // IC6-1.
        if !view.verify_checksum(src, dst) {
            return Err(Discard::IcmpChecksum.into());
        }
        if ndp::Message::is_kind(view.kind()) {
            return self.ndp_arrives(now, ingress, &view);
        }
        if src.is_unspecified() {
            return Err(Discard::IpBadSource.into());
        }
        if view.kind() == groups::QUERY {
            return self.group_query(now, ingress, &view);
        }
        match view.message() {
            Message::EchoRequest { id, seq, .. } => {
                let at = ingress.l4_at + icmpv6::HEADER_LEN;
                self.echo_arrives(now, ingress, (id, seq), at)
            }
            Message::DestinationUnreachable { code, quote } => {
                self.error_arrives(now, Report::Error(unreachable_v6(code)), quote)
            }
            Message::PacketTooBig { mtu, quote } => {
                let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
                self.error_arrives(now, Report::TooBig(mtu), quote)
            }
            Message::TimeExceeded { quote, .. } => {
                self.error_arrives(now, Report::Error(PathError::TimeExceeded), quote)
            }
            Message::ParameterProblem { quote, .. } => {
                self.error_arrives(now, Report::Error(PathError::ParameterProblem), quote)
            }
            _ => Err(Discard::IcmpIgnored.into()),
        }
    }

    fn echo_arrives(
        &mut self,
        now: Instant,
        ingress: &Ingress,
        (ident, sequence): (u16, u16),
        payload_at: usize,
    ) -> Result<(), Dropped> {
        if self.config.echo == EchoMode::Ignore {
            return Err(Discard::EchoIgnored.into());
        }
        // IC4-2, RFC 1122 §3.2.2.6: an echo to many is not answered; IC6-2 would allow it for IPv6.
        if ingress.to_many {
            return Err(Discard::EchoBroadcast.into());
        }
        let request = EchoRequest {
            local: ingress.dst,
            peer: ingress.src,
            ident,
            sequence,
            payload: ingress.slice(payload_at, ingress.end),
            quote: ingress.quote(),
        };
        if self.config.echo == EchoMode::Reply {
            return Ok(self.answer_echo(now, &request)?);
        }
        if self.queued_echoes >= MAX_ECHOES {
            return Err(Discard::EchoQueueFull.into());
        }
        self.queued_echoes += 1;
        self.events.push_back(StackEvent::EchoRequest(request));
        Ok(())
    }

    /// An error about a packet that we are said to have sent.
    // RFC 9293 §3.9.2.2 MUST-54: it goes to the connection that the quoted packet belongs to, and to no other.
    fn error_arrives(&mut self, now: Instant, report: Report, quote: &[u8]) -> Result<(), Dropped> {
        let quoted = Quoted::new(quote).map_err(|_| Discard::IcmpErrorTruncated)?;
        if !self.host.may_send_from(quoted.src()) {
            return Err(Discard::IcmpErrorUnmatched.into());
        }
        match quoted.protocol() {
            Protocol::TCP => self.error_about_tcp(now, report, &quoted),
            Protocol::UDP => self.error_about_udp(now, report, &quoted),
            _ => Err(Discard::IcmpErrorUnmatched.into()),
        }
    }

    fn error_about_tcp(
        &mut self,
        now: Instant,
        report: Report,
        quoted: &Quoted<'_>,
    ) -> Result<(), Dropped> {
        // ICMPA-1: ports and sequence number are within the eight bytes that every error quotes.
        let (Some((local, remote)), Some(seq)) = (quoted.ports(), quoted.tcp_seq()) else {
            return Err(Discard::IcmpErrorTruncated.into());
        };
        let tuple = Tuple {
            local: quoted.src(),
            remote: quoted.dst(),
            local_port: local,
            remote_port: remote,
        };
        let dropped = |reason| Dropped::between(tuple.local(), tuple.remote(), reason);
        let key = match self.endpoints.lookup(&tuple) {
            Some(Entry::Connection(index)) => self.endpoints.tenants.connections.key_at(index),
            Some(Entry::Embryo(index)) => {
                let outcome = self.error_about_embryo(now, index, report, seq);
                return outcome.map_err(dropped);
            }
            _ => None,
        };
        let Some(key) = key else {
            return Err(dropped(Discard::IcmpErrorUnmatched));
        };
        let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
            return Err(dropped(Discard::IcmpErrorUnmatched));
        };
        // Before the connection is unfolded, which somebody must then see to.
        let report = match report {
            Report::Error(_) => report,
            Report::TooBig(claimed) => {
                let v4 = tuple.remote.is_ipv4();
                let believed = pmtu::believed(claimed, quoted.total_len(), v4);
                Report::TooBig(believed.ok_or_else(|| dropped(Discard::IcmpMtuImplausible))?)
            }
        };
        let connection = &mut slot.body.wake().connection;
        let outcome = match report {
            // ICMPA-1..3: the connection checks that `seq` is in flight, and knows what ends it and what does not.
            Report::Error(error) => connection.handle_path_error(now, error, seq),
            Report::TooBig(mtu) => {
                let outcome = connection.handle_packet_too_big(now, mtu, seq);
                // PMTU-6: what one connection believes holds for the others to the same host. It may also keep the
                // report for when something is lost (ICMPA-4).
                let believed = outcome.is_ok() && connection.path_mtu() <= mtu;
                if believed && self.host.path_mtus.lower(tuple.remote, mtu, now) {
                    self.host.path_changed();
                }
                outcome
            }
        };
        self.settle(now, key);
        outcome.map_err(|reason| dropped(reason.into()))
    }

    /// An error about a SYN-ACK.
    fn error_about_embryo(
        &mut self,
        now: Instant,
        index: u32,
        report: Report,
        seq: Seq,
    ) -> Result<(), Discard> {
        let embryos = &self.endpoints.tenants.embryos;
        let is_quoted = embryos.at(index).is_some_and(|it| it.embryo.iss() == seq);
        if !is_quoted {
            return Err(transom_tcp::Discard::PathErrorNotInFlight.into());
        }
        match (report, embryos.key_at(index)) {
            // ICMPA-7, RFC 5927 §5.2: a hard error ends it. A SYN-ACK is never too big, and there is nobody to tell of
            // anything else.
            (Report::Error(error), Some(key)) if error.is_hard() => {
                self.end_embryo(now, key);
                Ok(())
            }
            _ => Err(Discard::IcmpIgnored),
        }
    }

    // UDP-4.
    fn error_about_udp(
        &mut self,
        now: Instant,
        report: Report,
        quoted: &Quoted<'_>,
    ) -> Result<(), Dropped> {
        let Some((local, remote)) = quoted.ports() else {
            return Err(Discard::IcmpErrorTruncated.into());
        };
        let local = SocketAddr::new(quoted.src(), local);
        let peer = SocketAddr::new(quoted.dst(), remote);
        let unmatched = Dropped::between(local, peer, Discard::IcmpErrorUnmatched);
        match report {
            Report::Error(error) => {
                let id = self.udp.find(local, true).ok_or(unmatched)?;
                let error = UdpError { local, peer, error };
                if self.udp.report(id, error) {
                    self.udp_announce(StackEvent::UdpError(id));
                }
            }
            Report::TooBig(claimed) => {
                // A socket for every port proves nothing about who sent what.
                self.udp.find(local, false).ok_or(unmatched)?;
                let mtu = pmtu::believed(claimed, quoted.total_len(), peer.is_ipv4())
                    .ok_or_else(|| Dropped::between(local, peer, Discard::IcmpMtuImplausible))?;
                if self.host.path_mtus.lower(peer.ip(), mtu, now) {
                    self.host.path_changed();
                }
            }
        }
        Ok(())
    }

    /// A frame could not be delivered on the link: as if a router said so.
    pub(crate) fn undeliverable(&mut self, now: Instant, packet: &[u8]) {
        self.observer.discard(now, Discard::NeighbourUnreachable);
        let report = Report::Error(PathError::HostUnreachable);
        if let Err(dropped) = self.error_arrives(now, report, packet) {
            self.observer.discard(now, dropped);
        }
    }
}

fn unreachable_v4(code: u8) -> PathError {
    match code {
        2 => PathError::ProtocolUnreachable,
        3 => PathError::PortUnreachable,
        9 | 10 | 13..=15 => PathError::Prohibited,
        1 | 7 | 8 | 12 => PathError::HostUnreachable,
        _ => PathError::NetworkUnreachable,
    }
}

fn unreachable_v6(code: u8) -> PathError {
    match code {
        1 | 5 | 6 => PathError::Prohibited,
        3 => PathError::HostUnreachable,
        4 => PathError::PortUnreachable,
        _ => PathError::NetworkUnreachable,
    }
}
