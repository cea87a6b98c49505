use std::net::IpAddr;

use transom_stack::wire::tcp::Flags;

use super::Place;

/// A packet of a script, in the script's own numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where the packet begins (its `<` or `>`).
    pub place: Place,
    /// Outer headers as written, outermost first.
    pub encapsulation: Vec<Encapsulation>,
    /// Fields of the IP header that the script gives.
    pub ip: IpFields,
    /// `src > dst` in front of the flags: the ports, where the script gives them.
    pub ports: Option<Ports>,
    /// What the IP packet carries.
    pub body: Body,
}

/// A header in front of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// `ipv4 a > b:` or `ipv6 a > b:`.
    Ip {
        /// The source.
        source: IpAddr,
        /// The destination.
        destination: IpAddr,
    },
    /// `gre …:`, whose text is kept as it stands.
    Gre(String),
    /// `mpls (label …) …:`.
    Mpls(Vec<Mpls>),
    /// `encap psp spi N`.
    Psp {
        /// The security parameters index.
        spi: u32,
    },
}

/// One entry of an MPLS label stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls {
    /// The label.
    pub label: u32,
    /// The traffic class.
    pub class: u8,
    /// Whether it is the last of the stack.
    pub bottom: bool,
    /// Time to live.
    pub ttl: u8,
}

/// Fields of the IP header that a script sets in a packet that goes in, and checks in one that comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IpFields {
    /// The ECN field.
    pub ecn: Option<EcnMark>,
    /// The whole type-of-service byte or traffic class.
    pub tos: Option<u8>,
    /// The flow label (IPv6).
    pub flow_label: Option<u32>,
    /// Time to live or hop limit.
    pub ttl: Option<u8>,
}

/// The ECN field of an IP header as a script names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnMark {
    /// `noecn`: 00.
    NotEct,
    /// `ect1`: 01.
    Ect1,
    /// `ect0`: 10.
    Ect0,
    /// `ce`: 11.
    Ce,
    /// `ect01`: 10 or 01; outbound packets only.
    Ect01,
}

/// The ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where it comes from.
    pub source: u16,
    /// Where it goes.
    pub destination: u16,
}

/// What an IP packet of a script carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram.
    Udp(Udp),
    /// An ICMP or ICMPv6 message.
    Icmp(Icmp),
}

/// A TCP segment in the script's number spaces; see [`crate::packets`] for how they map to live ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Control bits. A digit for ACE sets AE, CWR and ECE.
    pub flags: Flags,
    /// Whether the script writes AE, CWR and ECE as one number, as AccECN has them.
    pub ace: bool,
    /// The first sequence number: absolute with SYN, otherwise counted from the sender's SYN.
    pub start: u32,
    /// The number after the last octet of data.
    pub end: u32,
    /// Octets of data: `end - start`.
    pub len: u16,
    /// The acknowledgement, where the script gives one.
    pub ack: Option<u32>,
    /// The window field, as it stands in the header.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options.
    pub options: TcpOptions,
}

/// Options of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOptions {
    /// `<...>`: not looked at; outbound packets only.
    Any,
    /// Exactly these, in this order.
    Exact(ExactOptions),
}

/// Options as they stand in the header, in order.
pub type ExactOptions = Vec<TcpOption>;

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `eol`.
    EndOfList,
    /// `nop`.
    Nop,
    /// `mss N`.
    Mss(u16),
    /// `wscale N`.
    WindowScale(u8),
    /// `sackOK`.
    SackPermitted,
    /// `sack a:b c:d`.
    Sack(Vec<(u32, u32)>),
    /// `TS val N ecr N`.
    Timestamps {
        /// The sender's clock.
        val: u32,
        /// The value echoed.
        ecr: u32,
    },
    /// `md5 HEX` (RFC 2385): 16 octets.
    Md5(Vec<u8>),
    /// `FO [HEX]`: TCP Fast Open (RFC 7413), without a cookie a request for one.
    FastOpen(Vec<u8>),
    /// `FOEXP [HEX]`: the experimental kind 254 with the identifier F989.
    FastOpenExperiment(Vec<u8>),
    /// `ECN e0b N ceb N e1b N` or `ECN e1b N ceb N e0b N` (RFC 9768), up to three counters of 24 bits.
    AccEcn {
        /// Whether the first counter is that of ECT(1): kind 174 instead of 172.
        e1_first: bool,
        /// The counters in the order of the header.
        counters: Vec<u32>,
    },
    /// `kind N [HEX]`: any other option, also one of a known kind with a wrong length. Not in the original
    /// language.
    Other {
        /// Its kind.
        kind: u8,
        /// The octets after kind and length.
        data: Vec<u8>,
    },
    /// `bytes HEX`: octets as they stand, for options that are broken. Not in the original language.
    Bytes(Vec<u8>),
}

impl TcpOption {
    /// Octets that it takes in the header.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        match self {
            Self::EndOfList | Self::Nop => 1,
            Self::Mss(_) => 4,
            Self::WindowScale(_) => 3,
            Self::SackPermitted => 2,
            Self::Sack(blocks) => 2 + 8 * blocks.len(),
            Self::Timestamps { .. } => 10,
            Self::Md5(digest) => 2 + digest.len(),
            Self::FastOpen(cookie) => 2 + cookie.len(),
            Self::FastOpenExperiment(cookie) => 4 + cookie.len(),
            Self::AccEcn { counters, .. } => 2 + 3 * counters.len(),
            Self::Other { data, .. } => 2 + data.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// A UDP datagram: `udp (len)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Octets of data.
    pub len: u16,
}

/// An ICMP message: `icmp TYPE [CODE] [mtu N] [id N] [quote]`.
///
/// Names stay names, because the number of one depends on the version of IP, which a command line may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Its type: a name such as `unreachable` or `type_N`.
    pub kind: String,
    /// Its code: a name such as `frag_needed` or `code_N`; none is 0.
    pub code: Option<String>,
    /// The MTU of a frag_needed or packet_too_big.
    pub mtu: Option<u32>,
    /// The identifier of an echo message.
    pub id: Option<u16>,
    /// What of the original packet is quoted; none quotes a segment at the first sequence number.
    pub quote: Option<IcmpQuote>,
}

/// The packet that an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpQuote {
    /// `[start:end(len)]`: a TCP segment of the stack.
    Tcp {
        /// Its first sequence number.
        start: u32,
        /// The number after its last octet.
        end: u32,
        /// Octets of data.
        len: u16,
    },
    /// `[udp (len)]`: a datagram with so many octets of data.
    Udp(u16),
    /// `[raw (len)]`: a packet of no protocol with so many octets.
    Raw(u16),
}
