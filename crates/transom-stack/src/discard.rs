//! Why a frame was not processed to its end. Nothing is dropped silently.

use core::fmt;

macro_rules! discards {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The reason for which a frame, in either direction, went no further.
        ///
        /// Every early return of the stack has a variant of its own; those of the TCP engine come in
        /// through [`Discard::Tcp`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Discard {
            $($(#[doc = $doc])+ $variant,)+
            /// The connection, or the rules for a segment without one, discarded the segment.
            Tcp(transom_tcp::Discard),
        }

        impl Discard {
            const OWN: &'static [Self] = &[$(Self::$variant,)+];

            /// A short stable name in snake case, for counters and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Tcp(discard) => discard.name(),
                }
            }

            /// Position in the order of [`Discard::all`].
            pub(crate) fn index(self) -> usize {
                match self {
                    Self::Tcp(discard) => Self::OWN.len() + discard as usize,
                    own => Self::OWN.iter().position(|known| *known == own).unwrap_or_default(),
                }
            }
        }
    };
}

discards! {
    /// Ethernet: the frame is cut short.
    LinkMalformed => "link_malformed",
    /// Ethernet: addressed to somebody else.
    LinkNotOurs => "link_not_ours",
    /// Ethernet: neither IP nor ARP.
    EtherTypeUnknown => "ether_type_unknown",
    /// IP: the header, an option or an extension header is malformed, or its checksum wrong.
    IpMalformed => "ip_malformed",
    /// IP: a source address that no packet from a link can have (MUST-63, IP4-2, IP6-2).
    IpBadSource => "ip_bad_source",
    /// IP: a destination that is not ours.
    IpNotOurs => "ip_not_ours",
    /// IP: a protocol that nobody here speaks; ICMP tells the sender.
    IpProtocolUnknown => "ip_protocol_unknown",
    /// IPv6: next header 59, nothing follows.
    IpNothingFollows => "ip_nothing_follows",
    /// Reassembly: the fragment overlaps another; the whole datagram goes (RFC 5722).
    FragmentOverlap => "fragment_overlap",
    /// Reassembly: two fragments disagree about the length of the datagram.
    FragmentLength => "fragment_length",
    /// Reassembly: exact copy of a fragment that is held.
    FragmentDuplicate => "fragment_duplicate",
    /// Reassembly: too many fragments, or too many bytes of them, are held.
    FragmentLimit => "fragment_limit",
    /// Reassembly: the first fragment does not hold all headers (RFC 7112).
    FragmentHeaders => "fragment_headers",
    /// Reassembly: the rest did not come in time.
    FragmentTimeout => "fragment_timeout",
    /// Reassembly: fragments disagree about ECN in a way that may hide congestion (RFC 3168 §5.3).
    FragmentEcn => "fragment_ecn",
    /// TCP: header malformed.
    TcpMalformed => "tcp_malformed",
    /// TCP: wrong checksum (MUST-3).
    TcpChecksum => "tcp_checksum",
    /// TCP: sent to a broadcast or multicast address, of IP or of the link (MUST-57).
    TcpBroadcast => "tcp_broadcast",
    /// TCP: source and destination are the same (LAND).
    TcpLand => "tcp_land",
    /// TCP: port 0.
    TcpPortZero => "tcp_port_zero",
    /// TCP: no connection and no listener; a reset answers it.
    TcpNoConnection => "tcp_no_connection",
    /// TCP: the reset that was owed is not sent, because too many were.
    ResetRateLimited => "reset_rate_limited",
    /// TCP: a SYN again, while the application decides about the first one.
    IncomingPending => "incoming_pending",
    /// TCP: too many SYNs wait for the application.
    IncomingLimit => "incoming_limit",
    /// TCP: the application did not decide about a SYN in time.
    IncomingExpired => "incoming_expired",
    /// TCP: the listener's queue of handshakes or of connections is full.
    BacklogFull => "backlog_full",
    /// TCP: an acknowledgement of no SYN cookie of ours; a reset answers it.
    SynCookieInvalid => "syn_cookie_invalid",
    /// TCP: the handshake is complete but nobody takes connections; the peer will send again.
    AcceptQueueFull => "accept_queue_full",
    /// TCP: no room for another connection.
    ConnectionLimit => "connection_limit",
    /// UDP: header malformed.
    UdpMalformed => "udp_malformed",
    /// UDP: wrong checksum, or none over IPv6.
    UdpChecksum => "udp_checksum",
    /// UDP: no socket; ICMP tells the sender.
    UdpNoSocket => "udp_no_socket",
    /// UDP: the socket's queue is full.
    UdpQueueFull => "udp_queue_full",
    /// ICMP: malformed.
    IcmpMalformed => "icmp_malformed",
    /// ICMP: wrong checksum.
    IcmpChecksum => "icmp_checksum",
    /// ICMP: a type that a host ignores.
    IcmpIgnored => "icmp_ignored",
    /// ICMP: source quench (RFC 6633).
    IcmpSourceQuench => "icmp_source_quench",
    /// ICMP: a redirect.
    IcmpRedirect => "icmp_redirect",
    /// ICMP: an error about a packet that nobody here sent.
    IcmpErrorUnmatched => "icmp_error_unmatched",
    /// ICMP: an error that quotes too little to be matched.
    IcmpErrorTruncated => "icmp_error_truncated",
    /// ICMP: packet too big, with an MTU that makes no sense.
    IcmpMtuImplausible => "icmp_mtu_implausible",
    /// ICMP: an echo request to a broadcast or multicast address.
    EchoBroadcast => "echo_broadcast",
    /// ICMP: an echo request, and the application has too many unanswered.
    EchoQueueFull => "echo_queue_full",
    /// ICMP: an echo request, and the stack is told to stay silent.
    EchoIgnored => "echo_ignored",
    /// ICMP: the error that was owed is not sent, because too many were.
    IcmpRateLimited => "icmp_rate_limited",
    /// TCP: the connection, if there is one, is that of another stack of this host.
    OtherShard => "other_shard",
    /// ARP: malformed, or not for IPv4 over Ethernet.
    ArpMalformed => "arp_malformed",
    /// ARP: a sender that cannot be.
    ArpBadSender => "arp_bad_sender",
    /// ARP or neighbour discovery: somebody else has, or tries, an address of ours (RFC 5227, RFC 4862 §5.4).
    AddressConflict => "address_conflict",
    /// ARP: about somebody else.
    ArpNotOurs => "arp_not_ours",
    /// Neighbour discovery: malformed, or not from the link itself.
    NdpInvalid => "ndp_invalid",
    /// Neighbour discovery: about somebody else, or not for hosts.
    NdpNotOurs => "ndp_not_ours",
    /// Out: no route to the destination.
    NoRoute => "no_route",
    /// Out: the neighbour does not answer.
    NeighbourUnreachable => "neighbour_unreachable",
    /// Out: too many frames wait for a neighbour to answer; the oldest goes.
    NeighbourQueueFull => "neighbour_queue_full",
    /// Out: too many answers wait for the device.
    OutputQueueFull => "output_queue_full",
    /// Out: larger than can be sent.
    TooLarge => "too_large",
}

impl Discard {
    /// Every reason, those of the engine last.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OWN.iter().copied().chain(
            transom_tcp::Discard::ALL
                .iter()
                .map(|discard| Self::Tcp(*discard)),
        )
    }

    /// Number of reasons.
    pub(crate) fn count() -> usize {
        Self::OWN.len() + transom_tcp::Discard::ALL.len()
    }
}

impl From<transom_tcp::Discard> for Discard {
    fn from(discard: transom_tcp::Discard) -> Self {
        Self::Tcp(discard)
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl core::error::Error for Discard {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_place() {
        let names: std::collections::HashSet<_> = Discard::all().map(Discard::name).collect();
        assert_eq!(names.len(), Discard::count());
        for (place, discard) in Discard::all().enumerate() {
            assert_eq!(discard.index(), place);
        }
    }
}
