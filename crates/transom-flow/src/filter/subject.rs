//! What a filter sees of a frame.

use super::field::Id;
use super::value::{Datum, Simple};
use crate::step::{Cause, Meaning};
use core::time::Duration;
use std::net::IpAddr;
use transom_wire::ip::{Packet, Protocol};
use transom_wire::tcp::{Flags, Options, TcpView};

/// A frame, as a filter sees it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// Number of the frame, from 1.
    pub number: u64,
    /// When it passed.
    pub time: Duration,
    /// When the first frame of the capture passed.
    pub origin: Duration,
    /// When the frame before it passed; for the first, the same as `time`.
    pub previous: Duration,
    /// Length on the wire.
    pub len: u32,
    /// All bytes that were captured.
    pub frame: &'a [u8],
    /// The IP packet that is looked at: the innermost, where there are tunnels.
    pub packet: &'a [u8],
    /// What the connection that it belongs to makes of it.
    pub place: Option<Place>,
}

/// A segment's place in its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Number of the connection, from 0, as Wireshark counts `tcp.stream`.
    pub stream: u64,
    /// What the segment is for; `None` for an ICMP error.
    pub meaning: Option<Meaning>,
    /// SEG.SEQ counted from the first of its sender.
    pub relative_seq: Option<u32>,
    /// SEG.ACK counted from the first of the other end.
    pub relative_ack: Option<u32>,
    /// The window in bytes.
    pub window: Option<u32>,
    /// Whether its data fills the other end's window.
    pub fills_window: bool,
}

impl Place {
    /// In the connection of this number, counted from 0; nothing else is known.
    #[must_use]
    pub const fn new(stream: u64) -> Self {
        Self {
            stream,
            meaning: None,
            relative_seq: None,
            relative_ack: None,
            window: None,
            fills_window: false,
        }
    }
}

/// An IP packet with what it carries.
struct Layer<'a> {
    ip: Packet<'a>,
    tcp: Option<TcpView<'a>>,
    /// Ports where the header is cut short, as an ICMP error may quote it.
    ports: Option<(u16, u16)>,
}

impl<'a> Layer<'a> {
    fn read(packet: &'a [u8]) -> Option<Self> {
        let ip = Packet::lax(packet).ok()?;
        let is_tcp = ip.protocol() == Protocol::TCP
            && ip.fragment().is_none_or(|fragment| fragment.is_first());
        let tcp = is_tcp.then(|| TcpView::lax(ip.payload()).ok()).flatten();
        let ports = match ip.payload() {
            [s0, s1, d0, d1, ..] if is_tcp => Some((
                u16::from_be_bytes([*s0, *s1]),
                u16::from_be_bytes([*d0, *d1]),
            )),
            _ => None,
        };
        Some(Self { ip, tcp, ports })
    }

    /// The packet that an ICMP error quotes.
    fn quoted(&self) -> Option<Self> {
        let is_error = match (self.ip.protocol(), self.ip.payload().first()?) {
            (Protocol::ICMP, kind) => matches!(kind, 3 | 4 | 5 | 11 | 12),
            (Protocol::ICMPV6, kind) => matches!(kind, 1..=4),
            _ => false,
        };
        let quoted = self.ip.payload().get(8..)?;
        is_error.then(|| Self::read(quoted)).flatten()
    }
}

/// A frame taken apart, once for all fields.
pub(super) struct Parsed<'a> {
    subject: Subject<'a>,
    layers: [Option<Layer<'a>>; 2],
    options: Option<Options>,
}

fn nanos(later: Duration, earlier: Duration) -> Simple {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Simple::Nanos(nanos(later).saturating_sub(nanos(earlier)))
}

impl<'a> Parsed<'a> {
    pub(super) fn new(subject: Subject<'a>) -> Self {
        let outer = Layer::read(subject.packet);
        let quoted = outer.as_ref().and_then(Layer::quoted);
        let mut parsed = Self {
            subject,
            layers: [outer, quoted],
            options: None,
        };
        parsed.options = parsed
            .tcp()
            .filter(|tcp| !tcp.options_bytes().is_empty())
            .map(|tcp| tcp.options().0);
        parsed
    }

    fn tcp(&self) -> Option<&TcpView<'a>> {
        self.layers
            .iter()
            .flatten()
            .find_map(|layer| layer.tcp.as_ref())
    }

    /// Shows each value of a field to `visit`.
    pub(super) fn each(&self, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let subject = &self.subject;
        match id {
            Id::Frame => visit(Datum::Octets(subject.frame)),
            Id::FrameNumber => visit(subject.number.into()),
            Id::FrameTimeRelative => visit(Datum::Simple(nanos(subject.time, subject.origin))),
            Id::FrameTimeEpoch => visit(Datum::Simple(nanos(subject.time, Duration::ZERO))),
            Id::FrameTimeDelta => visit(Datum::Simple(nanos(subject.time, subject.previous))),
            Id::FrameLen => visit(u64::from(subject.len).into()),
            Id::FrameCapLen => visit((subject.frame.len() as u64).into()),
            _ => {
                for layer in self.layers.iter().flatten() {
                    ip(layer, id, visit);
                    ports(layer, id, visit);
                }
                if let Some(tcp) = self.tcp() {
                    header(tcp, id, visit);
                    self.counted(tcp, id, visit);
                }
                if let Some(options) = &self.options {
                    self::options(options, id, visit);
                }
                if let Some(place) = &subject.place {
                    in_stream(place, id, visit);
                }
            }
        }
    }

    /// Fields that need the packet's length, or the connection, besides the header.
    fn counted(&self, tcp: &TcpView<'_>, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let place = self.subject.place;
        let number = |relative: Option<u32>, raw: u32| u64::from(relative.unwrap_or(raw)).into();
        match id {
            Id::TcpLen => {
                let layer = self.layers.iter().flatten().find(|l| l.tcp.is_some());
                let payload = layer.map_or(0, |layer| claimed_payload_len(&layer.ip));
                visit((payload.saturating_sub(tcp.header_len()) as u64).into());
            }
            Id::TcpSeq => visit(number(
                place.and_then(|place| place.relative_seq),
                tcp.seq().raw(),
            )),
            Id::TcpAck => visit(number(
                place.and_then(|place| place.relative_ack),
                tcp.ack().raw(),
            )),
            Id::TcpWindowSize => {
                let scaled = place.and_then(|place| place.window);
                visit(u64::from(scaled.unwrap_or_else(|| u32::from(tcp.window()))).into());
            }
            _ => {}
        }
    }
}

/// Length of the IP payload by the headers, which may be more than was captured; a super-packet's
/// length may be missing from its header.
fn claimed_payload_len(ip: &Packet<'_>) -> usize {
    let claimed = match ip {
        Packet::V4(view) => usize::from(view.total_len()).saturating_sub(view.header_len()),
        Packet::V6(view, chain) => usize::from(view.payload_len()).saturating_sub(chain.len),
    };
    claimed.max(ip.payload().len())
}

fn ip(layer: &Layer<'_>, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
    let mut address = |addr: IpAddr| visit(Datum::Simple(addr.into()));
    let (src, dst) = (layer.ip.src(), layer.ip.dst());
    match (&layer.ip, id) {
        (Packet::V4(_), Id::IpAddr) | (Packet::V6(..), Id::Ipv6Addr) => {
            address(src);
            address(dst);
        }
        (Packet::V4(_), Id::IpSrc) | (Packet::V6(..), Id::Ipv6Src) => address(src),
        (Packet::V4(_), Id::IpDst) | (Packet::V6(..), Id::Ipv6Dst) => address(dst),
        (Packet::V4(_), Id::Ip) | (Packet::V6(..), Id::Ipv6) => visit(Datum::Mark),
        (Packet::V4(view), Id::IpTtl) => visit(u64::from(view.ttl()).into()),
        (Packet::V4(view), Id::IpLen) => visit(u64::from(view.total_len()).into()),
        (Packet::V4(view), Id::IpIdentification) => visit(u64::from(view.id()).into()),
        (Packet::V4(view), Id::IpDf) => visit(view.dont_fragment().into()),
        (Packet::V4(view), Id::IpDscp) => visit(u64::from(view.dscp()).into()),
        (Packet::V4(view), Id::IpEcn) => visit(u64::from(view.ecn().bits()).into()),
        (Packet::V4(view), Id::IpProto) => visit(u64::from(view.protocol().raw()).into()),
        (Packet::V6(..), Id::Ipv6Hlim) => visit(u64::from(layer.ip.ttl()).into()),
        (Packet::V6(view, _), Id::Ipv6Plen) => visit(u64::from(view.payload_len()).into()),
        (_, Id::Icmp) if layer.ip.protocol() == Protocol::ICMP => visit(Datum::Mark),
        (_, Id::Icmpv6) if layer.ip.protocol() == Protocol::ICMPV6 => visit(Datum::Mark),
        _ => {}
    }
}

fn ports(layer: &Layer<'_>, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
    let Some((src, dst)) = layer.ports else {
        return;
    };
    let (src, dst) = (u64::from(src), u64::from(dst));
    match id {
        Id::Tcp => visit(Datum::Octets(layer.ip.payload())),
        Id::TcpPort => {
            visit(src.into());
            visit(dst.into());
        }
        Id::TcpSrcPort => visit(src.into()),
        Id::TcpDstPort => visit(dst.into()),
        _ => {}
    }
}

fn header(tcp: &TcpView<'_>, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
    let flag = |flag: Flags| Datum::from(tcp.flags().contains(flag));
    visit(match id {
        Id::TcpSeqRaw => u64::from(tcp.seq().raw()).into(),
        Id::TcpAckRaw => u64::from(tcp.ack().raw()).into(),
        Id::TcpHdrLen => (tcp.header_len() as u64).into(),
        Id::TcpFlags => u64::from(tcp.flags().bits()).into(),
        Id::TcpFlagsFin => flag(Flags::FIN),
        Id::TcpFlagsSyn => flag(Flags::SYN),
        Id::TcpFlagsReset => flag(Flags::RST),
        Id::TcpFlagsPush => flag(Flags::PSH),
        Id::TcpFlagsAck => flag(Flags::ACK),
        Id::TcpFlagsUrg => flag(Flags::URG),
        Id::TcpFlagsEce => flag(Flags::ECE),
        Id::TcpFlagsCwr => flag(Flags::CWR),
        Id::TcpFlagsAe => flag(Flags::AE),
        Id::TcpWindowValue => u64::from(tcp.window()).into(),
        Id::TcpUrgent => u64::from(tcp.urgent()).into(),
        Id::TcpPayload if !tcp.payload().is_empty() => Datum::Octets(tcp.payload()),
        _ => return,
    });
}

fn options(options: &Options, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
    let datum = match id {
        Id::TcpMss => options.mss.map(|mss| u64::from(mss).into()),
        Id::TcpWscale => options.window_scale.map(|shift| u64::from(shift).into()),
        Id::TcpSackPerm => options.sack_permitted.then_some(Datum::Mark),
        Id::TcpSack => (!options.sack.is_empty()).then_some(Datum::Mark),
        Id::TcpSackCount => (!options.sack.is_empty()).then(|| (options.sack.len() as u64).into()),
        Id::TcpTimestamps => options.timestamps.map(|_| Datum::Mark),
        Id::TcpTsval => options.timestamps.map(|ts| u64::from(ts.val).into()),
        Id::TcpTsecr => options.timestamps.map(|ts| u64::from(ts.ecr).into()),
        _ => None,
    };
    if let Some(datum) = datum {
        visit(datum);
    }
}

fn in_stream(place: &Place, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
    if id == Id::TcpStream {
        return visit(place.stream.into());
    }
    let Some(meaning) = place.meaning else {
        return;
    };
    let is_so = match id {
        Id::AnalysisFlags => is_unusual(meaning) || place.fills_window,
        Id::AnalysisWindowFull => place.fills_window,
        Id::AnalysisRetransmission => matches!(meaning, Meaning::Retransmission { .. }),
        Id::AnalysisFast => has_cause(meaning, Cause::FastRetransmit),
        Id::AnalysisSpurious => has_cause(meaning, Cause::AlreadyAcknowledged),
        Id::AnalysisOutOfOrder => meaning == Meaning::OutOfOrder,
        Id::AnalysisLost => meaning == Meaning::DataAfterGap,
        Id::AnalysisDuplicateAck => matches!(meaning, Meaning::DuplicateAck(_)),
        Id::AnalysisZeroWindow => meaning == Meaning::ZeroWindow,
        Id::AnalysisZeroWindowProbe => meaning == Meaning::WindowProbe,
        Id::AnalysisZeroWindowProbeAck => meaning == Meaning::WindowProbeAck,
        Id::AnalysisWindowUpdate => meaning == Meaning::WindowUpdate,
        Id::AnalysisKeepAlive => meaning == Meaning::KeepAlive,
        Id::AnalysisKeepAliveAck => meaning == Meaning::KeepAliveAck,
        Id::AnalysisDuplicateAckNum => {
            if let Meaning::DuplicateAck(number) = meaning {
                visit(u64::from(number).into());
            }
            false
        }
        Id::Meaning => {
            visit(Datum::Text(meaning.id()));
            false
        }
        Id::Cause => {
            if let Meaning::Retransmission { cause, .. } = meaning {
                visit(Datum::Text(cause.id()));
            }
            false
        }
        _ => false,
    };
    if is_so {
        visit(Datum::Mark);
    }
}

fn has_cause(meaning: Meaning, wanted: Cause) -> bool {
    matches!(meaning, Meaning::Retransmission { cause, .. } if cause == wanted)
}

/// Whether Wireshark, too, would mark it in its list.
const fn is_unusual(meaning: Meaning) -> bool {
    matches!(
        meaning,
        Meaning::Retransmission { .. }
            | Meaning::OutOfOrder
            | Meaning::DataAfterGap
            | Meaning::DuplicateAck(_)
            | Meaning::ZeroWindow
            | Meaning::WindowProbe
            | Meaning::WindowProbeAck
            | Meaning::WindowUpdate
            | Meaning::KeepAlive
            | Meaning::KeepAliveAck
    )
}
