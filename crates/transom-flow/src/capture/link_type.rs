//! Numbers of link types, as captures name them.

use core::fmt;

/// What the frames of a capture start with: a LINKTYPE number of libpcap.
///
/// Files also hold a few DLT numbers that differ between systems; those that occur are understood.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// Bare IP: DLT_RAW of most systems.
    pub const DLT_RAW: Self = Self(12);
    /// Bare IP: DLT_RAW of OpenBSD.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE session packets.
    pub const PPP_ETHER: Self = Self(51);
    /// Bare IP.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: the address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// IEEE 802.11 behind a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// IEEE 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// IEEE 802.11 behind an AVS header.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// PPP as pppd writes it: a byte of direction in front.
    pub const PPP_PPPD: Self = Self(166);
    /// A per-packet information header with a link type of its own.
    pub const PPI: Self = Self(192);
    /// PPP with a byte of direction in front.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Bare IPv4.
    pub const IPV4: Self = Self(228);
    /// Bare IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log messages.
    pub const NFLOG: Self = Self(239);
    /// IP over InfiniBand.
    pub const IPOIB: Self = Self(242);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// The number as files hold it.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The name as usually written, where it is one that is understood here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NULL => "BSD loopback",
            Self::ETHERNET => "Ethernet",
            Self::PPP | Self::PPP_HDLC | Self::PPP_PPPD | Self::PPP_WITH_DIR => "PPP",
            Self::PPP_ETHER => "PPPoE",
            Self::DLT_RAW | Self::DLT_RAW_OPENBSD | Self::RAW => "raw IP",
            Self::C_HDLC => "Cisco HDLC",
            Self::IEEE802_11 => "802.11",
            Self::LOOP => "OpenBSD loopback",
            Self::LINUX_SLL => "Linux cooked v1",
            Self::LINUX_SLL2 => "Linux cooked v2",
            Self::IEEE802_11_PRISM => "802.11 with Prism header",
            Self::IEEE802_11_RADIOTAP => "802.11 with radiotap header",
            Self::IEEE802_11_AVS => "802.11 with AVS header",
            Self::PPI => "PPI",
            Self::IPV4 => "raw IPv4",
            Self::IPV6 => "raw IPv6",
            Self::NFLOG => "netfilter log",
            Self::IPOIB => "IP over InfiniBand",
            _ => return None,
        })
    }
}

impl From<u16> for LinkType {
    fn from(raw: u16) -> Self {
        Self(raw)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "link type {}", self.0),
        }
    }
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkType({}: {self})", self.0)
    }
}
