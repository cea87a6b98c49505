//! Whether live packets are what the script expects.

use transom_stack::wire::Protocol;
use transom_stack::wire::ip::Packet as IpPacket;
use transom_stack::wire::tcp::Flags;

use super::live::{self, Live};
use super::{Conversation, Difference, Unreadable, Way, build, names, notation};
use crate::script::{Body, EcnMark, Icmp, IpFields, Packet, Tcp, TcpOption, TcpOptions};

/// One packet that the script expects, and how much of it has come.
#[derive(Clone, Debug)]
pub struct Expectation<'a> {
    packet: &'a Packet,
    /// Octets of data of the live packets taken.
    taken: u16,
    /// Octets of data of the first live packet, if several make up the expected one.
    piece: Option<u16>,
}

/// A live packet that fits the expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the next part: more must come.
    More,
    /// Everything that was expected has come.
    Done {
        /// What of a live burst goes beyond the expected packet, as a packet of its own.
        rest: Option<Vec<u8>>,
    },
}

/// How a live segment stands to the one expected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// All of it.
    Whole,
    /// The last part.
    Last,
    /// A part before the last.
    Part,
    /// The beginning of a longer burst.
    Head,
}

impl<'a> Expectation<'a> {
    /// Of a packet that the script has with `>`.
    #[must_use]
    pub const fn new(packet: &'a Packet) -> Self {
        Self {
            packet,
            taken: 0,
            piece: None,
        }
    }

    /// Takes the next live packet of the conversation. From what fits, the conversation learns the stack's sequence
    /// number and timestamps.
    ///
    /// A script may write several segments of one size as one packet, and one burst as several packets; then PSH is
    /// not compared, because what the bit stands on depends on where a burst is cut. The window is compared where the
    /// script gives one, as are the fields of the IP header; timestamps where the conversation checks them.
    ///
    /// # Errors
    /// When the live packet differs.
    pub fn take(
        &mut self,
        conversation: &mut Conversation,
        live: &[u8],
    ) -> Result<Taken, Box<Difference>> {
        if !self.packet.encapsulation.is_empty() {
            let reason = build::Unbuildable::Encapsulated.to_string();
            return Err(self.differs(conversation.print(live), vec![reason]));
        }
        let unreadable =
            |reason: Unreadable| self.differs(format!("({reason})"), vec![reason.to_string()]);
        if let Body::Tcp(expected) = &self.packet.body {
            learn(conversation, expected, live).map_err(unreadable)?;
        }
        let (way, mut actual) = conversation.read(live).map_err(unreadable)?;
        actual.ip = only_asked(&self.packet.ip, live::ip_fields(live).map_err(unreadable)?);
        let mut fields = compare_ip(&self.packet.ip, &actual.ip);
        if way == Way::In {
            fields.push("this packet goes to the stack".into());
        }
        let mut fit = Fit::Whole;
        match (&self.packet.body, &mut actual.body) {
            (Body::Tcp(expected), Body::Tcp(actual)) => {
                actual.ace = expected.ace;
                fit = self.fit(conversation, expected, actual);
                self.compare(conversation, expected, actual, fit, &mut fields);
            }
            (Body::Udp(expected), Body::Udp(actual)) => {
                if expected.len != actual.len {
                    fields.push(differ("octets of data", expected.len, actual.len));
                }
            }
            (Body::Icmp(expected), Body::Icmp(actual)) => {
                let is_v6 = conversation.local.is_ipv6();
                compare_icmp(is_v6, expected, actual, &mut fields);
            }
            (expected, actual) => {
                fields.push(differ("protocol", protocol(expected), protocol(actual)));
            }
        }
        if !fields.is_empty() {
            return Err(self.differs(actual.notation(way).to_string(), fields));
        }
        Ok(self.advance(fit, &actual, live))
    }

    fn advance(&mut self, fit: Fit, actual: &Packet, live: &[u8]) -> Taken {
        let len = match &actual.body {
            Body::Tcp(tcp) => tcp.len,
            _ => 0,
        };
        match (fit, &self.packet.body) {
            (Fit::Part, _) => {
                self.taken += len;
                self.piece.get_or_insert(len);
                Taken::More
            }
            (Fit::Head, Body::Tcp(expected)) => Taken::Done {
                rest: rest_of(live, expected.len - self.taken),
            },
            _ => Taken::Done { rest: None },
        }
    }

    fn differs(&self, actual: String, mut fields: Vec<String>) -> Box<Difference> {
        if let Some(piece) = self.piece {
            fields.push(format!(
                "{} octets of the expected packet came before, in segments of {piece}",
                self.taken
            ));
        }
        Box::new(Difference {
            place: self.packet.place,
            expected: self.packet.notation(Way::Out).to_string(),
            actual,
            fields,
        })
    }

    /// Which part of the expected segment a live one is.
    fn fit(&self, conversation: &Conversation, expected: &Tcp, actual: &Tcp) -> Fit {
        let left = expected.len - self.taken;
        let whole = if self.piece.is_some() {
            Fit::Last
        } else {
            Fit::Whole
        };
        if conversation.strict_segments || actual.len == 0 || left == 0 || actual.len == left {
            whole
        } else if actual.len < left {
            Fit::Part
        } else if actual.len > conversation.mss {
            Fit::Head
        } else {
            whole
        }
    }

    fn compare(
        &self,
        conversation: &Conversation,
        expected: &Tcp,
        actual: &Tcp,
        fit: Fit,
        fields: &mut Vec<String>,
    ) {
        // PSH, FIN and CWR stand on one segment of several.
        let ignored = match fit {
            Fit::Whole => Flags::EMPTY,
            Fit::Last => Flags::PSH.union(Flags::CWR),
            Fit::Part | Fit::Head => Flags::PSH.union(Flags::FIN).union(Flags::CWR),
        };
        if expected.flags.without(ignored) != actual.flags.without(ignored) {
            fields.push(differ(
                "control bits",
                notation::flags(expected.flags, expected.ace),
                notation::flags(actual.flags, expected.ace),
            ));
        }
        let start = expected.start.wrapping_add(self.taken.into());
        if start != actual.start {
            fields.push(differ("sequence number", start, actual.start));
        }
        let left = expected.len - self.taken;
        if matches!(fit, Fit::Whole | Fit::Last) && left != actual.len {
            fields.push(differ("octets of data", left, actual.len));
        }
        if fit == Fit::Part && self.piece.is_some_and(|piece| piece != actual.len) {
            fields.push("only the last of several segments may have another size".into());
        }
        if expected.ack.is_some() || actual.flags.contains(Flags::ACK) {
            let (expected, actual) = (expected.ack.unwrap_or(0), actual.ack.unwrap_or(0));
            if expected != actual {
                fields.push(differ("acknowledgement", expected, actual));
            }
        }
        if expected.window.is_some() && expected.window != actual.window {
            fields.push(differ(
                "window",
                expected.window.unwrap_or(0),
                actual.window.unwrap_or(0),
            ));
        }
        if expected.urgent.unwrap_or(0) != actual.urgent.unwrap_or(0) {
            fields.push(differ(
                "urgent pointer",
                expected.urgent.unwrap_or(0),
                actual.urgent.unwrap_or(0),
            ));
        }
        if let (TcpOptions::Exact(expected), TcpOptions::Exact(actual)) =
            (&expected.options, &actual.options)
            && !same_options(conversation, expected, actual)
        {
            let text = |list: &[TcpOption]| format!("<{}>", notation::options(list));
            fields.push(differ("options", text(expected), text(actual)));
        }
    }
}

fn differ(what: &str, expected: impl std::fmt::Display, actual: impl std::fmt::Display) -> String {
    format!("{what}: expected {expected}, got {actual}")
}

const fn protocol(body: &Body) -> &'static str {
    match body {
        Body::Tcp(_) => "tcp",
        Body::Udp(_) => "udp",
        Body::Icmp(_) => "icmp",
    }
}

/// Takes from a live segment what maps the script's numbers.
fn learn(conversation: &mut Conversation, expected: &Tcp, packet: &[u8]) -> Result<(), Unreadable> {
    let Some(Live { view, .. }) = Live::new(packet)? else {
        return Ok(());
    };
    let flags = view.flags();
    let is_syn = flags.contains(Flags::SYN);
    if flags.contains(Flags::ACK) && !flags.contains(Flags::RST) {
        conversation.numbers.outbound_ack(is_syn, view.ack().raw());
    }
    if is_syn && expected.flags.contains(Flags::SYN) {
        conversation
            .numbers
            .outbound_syn(expected.start, view.seq().raw());
    }
    if let TcpOptions::Exact(list) = &expected.options
        && let Some(script) = list.iter().find_map(timestamp)
        && let Some(live) = super::options::decode(view.options_bytes())
            .iter()
            .find_map(timestamp)
    {
        conversation.numbers.timestamps_mut().note(script, live);
    }
    Ok(())
}

const fn timestamp(option: &TcpOption) -> Option<u32> {
    match option {
        TcpOption::Timestamps { val, .. } => Some(*val),
        _ => None,
    }
}

fn same_options(conversation: &Conversation, expected: &[TcpOption], actual: &[TcpOption]) -> bool {
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|pair| match pair {
            (
                TcpOption::Timestamps { val, ecr },
                TcpOption::Timestamps {
                    val: actual_val,
                    ecr: actual_ecr,
                },
            ) => {
                conversation.tick.is_zero()
                    || (ecr == actual_ecr && is_near(conversation, *val, *actual_val))
            }
            (expected, actual) => expected == actual,
        })
}

/// Timestamps may be off by as much as packets may be late, and by the tick that both are rounded to.
fn is_near(conversation: &Conversation, expected: u32, actual: u32) -> bool {
    const TOLERANCE_MICROS: u128 = 4000;
    let off = actual.wrapping_sub(expected).cast_signed().unsigned_abs();
    let ticks = TOLERANCE_MICROS / conversation.tick.as_micros().max(1);
    u128::from(off) <= ticks.max(1)
}

/// The fields that the script gives, out of those of a live packet.
fn only_asked(expected: &IpFields, actual: IpFields) -> IpFields {
    IpFields {
        ecn: expected.ecn.and(actual.ecn),
        tos: expected.tos.and(actual.tos),
        flow_label: expected.flow_label.and(actual.flow_label),
        ttl: expected.ttl.and(actual.ttl),
    }
}

fn compare_ip(expected: &IpFields, actual: &IpFields) -> Vec<String> {
    let mut fields = Vec::new();
    let same_mark = match (expected.ecn, actual.ecn) {
        (Some(EcnMark::Ect01), Some(mark)) => matches!(mark, EcnMark::Ect0 | EcnMark::Ect1),
        (expected, actual) => expected == actual,
    };
    if !same_mark {
        fields.push("the ECN field differs".into());
    }
    let numbers = [
        (
            "type of service",
            expected.tos.map(u32::from),
            actual.tos.map(u32::from),
        ),
        ("flow label", expected.flow_label, actual.flow_label),
        (
            "time to live",
            expected.ttl.map(u32::from),
            actual.ttl.map(u32::from),
        ),
    ];
    for (what, expected, actual) in numbers {
        if let Some(expected) = expected
            && actual != Some(expected)
        {
            let actual = actual.map_or_else(|| "none".into(), |actual| actual.to_string());
            fields.push(differ(what, expected, actual));
        }
    }
    fields
}

fn compare_icmp(is_v6: bool, expected: &Icmp, actual: &Icmp, fields: &mut Vec<String>) {
    let kind = |icmp: &Icmp| names::kind_number(is_v6, &icmp.kind);
    let code = |icmp: &Icmp| match (&icmp.code, kind(icmp)) {
        (Some(name), Some(kind)) => names::code_number(is_v6, kind, name),
        _ => Some(0),
    };
    if kind(expected).is_none() || kind(expected) != kind(actual) {
        fields.push(differ("ICMP type", &expected.kind, &actual.kind));
    } else if code(expected).is_none() || code(expected) != code(actual) {
        let text = |icmp: &Icmp| icmp.code.clone().unwrap_or_else(|| "0".into());
        fields.push(differ("ICMP code", text(expected), text(actual)));
    }
    if expected.mtu.is_some() && expected.mtu != actual.mtu {
        let text = |icmp: &Icmp| icmp.mtu.unwrap_or(0);
        fields.push(differ("MTU", text(expected), text(actual)));
    }
    if expected.id.is_some() && expected.id != actual.id {
        let text = |icmp: &Icmp| icmp.id.unwrap_or(0);
        fields.push(differ("identifier", text(expected), text(actual)));
    }
    if expected.quote.is_some() && expected.quote != actual.quote {
        fields.push("the quoted packet differs".into());
    }
}

/// The packet that is left of a burst when its first `len` octets of data are taken away.
fn rest_of(packet: &[u8], len: u16) -> Option<Vec<u8>> {
    let Live { view, header_len } = Live::new(packet).ok()??;
    let ip = IpPacket::new(packet).ok()?;
    let mut segment = packet.get(ip.header_len()..header_len)?.to_vec();
    let seq = view.seq().raw().wrapping_add(len.into());
    segment.get_mut(4..8)?.copy_from_slice(&seq.to_be_bytes());
    segment.extend_from_slice(view.payload().get(len.into()..)?);
    let addresses = (ip.src(), ip.dst());
    build::fill(&mut segment, 16, addresses, Protocol::TCP);
    let fields = live::ip_fields(packet).ok()?;
    build::ip_packet(addresses, Protocol::TCP, &fields, &segment)
}
