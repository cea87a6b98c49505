//! What is wrong with bytes that could not be read.

use core::fmt;

/// The protocol whose bytes were being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Ethernet II header.
    Ethernet,
    /// ARP for IPv4 over Ethernet.
    Arp,
    /// The version nibble: neither IPv4 nor IPv6 yet.
    Ip,
    /// IPv4 header and its options.
    Ipv4,
    /// IPv6 fixed header.
    Ipv6,
    /// IPv6 extension headers and their options.
    Ipv6Extension,
    /// ICMP for IPv4.
    Icmpv4,
    /// ICMP for IPv6.
    Icmpv6,
    /// Neighbour Discovery.
    Ndp,
    /// TCP header.
    Tcp,
    /// UDP header.
    Udp,
}

impl Layer {
    /// The name as the protocol is usually written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::Arp => "ARP",
            Self::Ip => "IP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Extension => "IPv6 extension header",
            Self::Icmpv4 => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Ndp => "NDP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes end before the header does.
    Truncated,
    /// The version field is not the one of this protocol.
    Version,
    /// The header-length field is below the minimum or beyond the packet.
    HeaderLength,
    /// The total- or payload-length field does not fit the bytes or the header.
    TotalLength,
    /// A checksum does not match.
    Checksum,
    /// An option's length is zero, one, or runs past its area.
    OptionLength,
    /// A source-route option (LSRR, SSRR), which hosts no longer honour.
    SourceRoute,
    /// A fragment that is not the last has a length that is no multiple of 8.
    FragmentLength,
    /// A fragment would end beyond the largest possible datagram.
    FragmentOverflow,
    /// A fragment that splits the TCP header.
    TinyFragment,
    /// The first fragment does not hold the whole chain of headers.
    HeaderChainSplit,
    /// A Hop-by-Hop header that is not the first extension header.
    HopByHopNotFirst,
    /// More extension headers, or longer ones, than the bound allows.
    TooManyHeaders,
    /// An option whose action bits ask to discard the packet.
    OptionDiscard,
    /// An option whose action bits ask for discard and a report.
    OptionReport,
    /// An option whose action bits ask for discard and a report unless the destination is multicast.
    OptionReportUnicast,
    /// A routing header that still has segments left.
    Routing,
    /// A hardware or protocol type that is not handled.
    Unsupported,
    /// A field has a value that the protocol forbids.
    Value,
}

impl Reason {
    /// A few words for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version => "wrong version",
            Self::HeaderLength => "bad header length",
            Self::TotalLength => "bad total length",
            Self::Checksum => "bad checksum",
            Self::OptionLength => "bad option length",
            Self::SourceRoute => "source route",
            Self::FragmentLength => "fragment length not a multiple of 8",
            Self::FragmentOverflow => "fragment beyond 65535 bytes",
            Self::TinyFragment => "fragment splits the TCP header",
            Self::HeaderChainSplit => "header chain split over fragments",
            Self::HopByHopNotFirst => "hop-by-hop header not first",
            Self::TooManyHeaders => "too many extension headers",
            Self::OptionDiscard | Self::OptionReport | Self::OptionReportUnicast => {
                "unknown option that forbids processing"
            }
            Self::Routing => "routing header with segments left",
            Self::Unsupported => "unsupported type",
            Self::Value => "forbidden value",
        }
    }
}

/// Names what could not be read, why, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Malformed {
    /// The protocol being read.
    pub layer: Layer,
    /// What is wrong.
    pub reason: Reason,
    /// Offset in bytes of the field at fault, from the first byte of this layer
    /// (for IPv6 extension headers: from the first byte of the IPv6 header).
    pub at: usize,
}

impl Malformed {
    /// Names a fault.
    #[must_use]
    pub const fn new(layer: Layer, reason: Reason, at: usize) -> Self {
        Self { layer, reason, at }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} at byte {}",
            self.layer.name(),
            self.reason.name(),
            self.at
        )
    }
}

impl core::error::Error for Malformed {}
