//! Packets in script notation.

use std::fmt;

use transom_stack::wire::tcp::Flags;

use crate::script::{
    Body, EcnMark, Encapsulation, Icmp, IcmpQuote, IpFields, Packet, Tcp, TcpOption, TcpOptions,
};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `<`: to the stack.
    In,
    /// `>`: from the stack.
    Out,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "<",
            Self::Out => ">",
        })
    }
}

impl Packet {
    /// The packet as a script writes it, with `<` or `>` in front.
    #[must_use]
    pub fn notation(&self, way: Way) -> impl fmt::Display + '_ {
        Notation { packet: self, way }
    }
}

struct Notation<'a> {
    packet: &'a Packet,
    way: Way,
}

impl fmt::Display for Notation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet = self.packet;
        self.way.fmt(f)?;
        for layer in &packet.encapsulation {
            encapsulation(f, layer)?;
        }
        ip_fields(f, &packet.ip)?;
        if let Some(ports) = packet.ports {
            write!(f, " {} > {}", ports.source, ports.destination)?;
        }
        match &packet.body {
            Body::Tcp(tcp) => segment(f, tcp),
            Body::Udp(udp) => write!(f, " udp ({})", udp.len),
            Body::Icmp(icmp) => message(f, icmp),
        }
    }
}

fn encapsulation(f: &mut fmt::Formatter<'_>, layer: &Encapsulation) -> fmt::Result {
    match layer {
        Encapsulation::Ip {
            source,
            destination,
        } => {
            let version = if source.is_ipv4() { 4 } else { 6 };
            write!(f, " ipv{version} {source} > {destination}:")
        }
        Encapsulation::Gre(text) => write!(f, " gre {text}:"),
        Encapsulation::Mpls(stack) => {
            f.write_str(" mpls")?;
            for entry in stack {
                let bottom = if entry.bottom { " [S]," } else { "" };
                write!(
                    f,
                    " (label {}, tc {},{bottom} ttl {})",
                    entry.label, entry.class, entry.ttl
                )?;
            }
            f.write_str(":")
        }
        Encapsulation::Psp { spi } => write!(f, " encap psp spi {spi}"),
    }
}

fn ip_fields(f: &mut fmt::Formatter<'_>, ip: &IpFields) -> fmt::Result {
    let ecn = ip.ecn.map(|mark| match mark {
        EcnMark::NotEct => "noecn".to_owned(),
        EcnMark::Ect0 => "ect0".to_owned(),
        EcnMark::Ect1 => "ect1".to_owned(),
        EcnMark::Ce => "ce".to_owned(),
        EcnMark::Ect01 => "ect01".to_owned(),
    });
    let fields: Vec<String> = [
        ecn,
        ip.tos.map(|tos| format!("tos {tos:#04x}")),
        ip.flow_label.map(|label| format!("flowlabel {label:#07x}")),
        ip.ttl.map(|ttl| format!("ttl {ttl}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if fields.is_empty() {
        return Ok(());
    }
    write!(f, " [{}]", fields.join(", "))
}

/// Control bits as a script writes them.
pub(super) fn flags(flags: Flags, ace: bool) -> String {
    const LETTERS: [(Flags, char); 6] = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
    ];
    const MORE: [(Flags, char); 2] = [(Flags::CWR, 'W'), (Flags::AE, 'A')];
    let in_ace = |flag: Flags| matches!(flag, Flags::ECE | Flags::CWR | Flags::AE);
    let mut text: String = LETTERS
        .iter()
        .chain(&MORE)
        .filter(|(flag, _)| flags.contains(*flag) && !(ace && in_ace(*flag)))
        .map(|(_, letter)| *letter)
        .collect();
    if ace {
        let bits = [(Flags::AE, 4), (Flags::CWR, 2), (Flags::ECE, 1)];
        let number: u32 = bits
            .iter()
            .filter(|(flag, _)| flags.contains(*flag))
            .map(|(_, bit)| bit)
            .sum();
        text.push_str(&number.to_string());
    }
    if flags.contains(Flags::ACK) {
        text.push('.');
    }
    if text.is_empty() {
        text.push('-');
    }
    text
}

fn segment(f: &mut fmt::Formatter<'_>, tcp: &Tcp) -> fmt::Result {
    let bits = flags(tcp.flags, tcp.ace);
    write!(f, " {bits} {}:{}({})", tcp.start, tcp.end, tcp.len)?;
    if let Some(ack) = tcp.ack {
        write!(f, " ack {ack}")?;
    }
    if let Some(window) = tcp.window {
        write!(f, " win {window}")?;
    }
    if let Some(urgent) = tcp.urgent {
        write!(f, " urg {urgent}")?;
    }
    match &tcp.options {
        TcpOptions::Any => f.write_str(" <...>"),
        TcpOptions::Exact(list) if list.is_empty() => Ok(()),
        TcpOptions::Exact(list) => write!(f, " <{}>", options(list)),
    }
}

/// Options as a script writes them, without the angle brackets.
pub(super) fn options(list: &[TcpOption]) -> String {
    let texts: Vec<String> = list.iter().map(option).collect();
    texts.join(",")
}

fn option(option: &TcpOption) -> String {
    match option {
        TcpOption::EndOfList => "eol".into(),
        TcpOption::Nop => "nop".into(),
        TcpOption::Mss(mss) => format!("mss {mss}"),
        TcpOption::WindowScale(shift) => format!("wscale {shift}"),
        TcpOption::SackPermitted => "sackOK".into(),
        TcpOption::Sack(blocks) => {
            let blocks: Vec<String> = blocks
                .iter()
                .map(|(start, end)| format!(" {start}:{end}"))
                .collect();
            format!("sack{}", blocks.concat())
        }
        TcpOption::Timestamps { val, ecr } => format!("TS val {val} ecr {ecr}"),
        TcpOption::Md5(digest) => format!("md5 {}", hex(digest)),
        TcpOption::FastOpen(cookie) => with_hex("FO", cookie),
        TcpOption::FastOpenExperiment(cookie) => with_hex("FOEXP", cookie),
        TcpOption::AccEcn { e1_first, counters } => {
            let names = if *e1_first {
                ["e1b", "ceb", "e0b"]
            } else {
                ["e0b", "ceb", "e1b"]
            };
            let counters: Vec<String> = names
                .iter()
                .zip(counters)
                .map(|(name, counter)| format!(" {name} {counter}"))
                .collect();
            format!("ECN{}", counters.concat())
        }
        TcpOption::Other { kind, data } => with_hex(&format!("kind {kind}"), data),
        TcpOption::Bytes(bytes) => with_hex("bytes", bytes),
    }
}

fn with_hex(name: &str, octets: &[u8]) -> String {
    if octets.is_empty() {
        name.into()
    } else {
        format!("{name} {}", hex(octets))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn message(f: &mut fmt::Formatter<'_>, icmp: &Icmp) -> fmt::Result {
    write!(f, " icmp {}", icmp.kind)?;
    if let Some(code) = &icmp.code {
        write!(f, " {code}")?;
    }
    if let Some(mtu) = icmp.mtu {
        write!(f, " mtu {mtu}")?;
    }
    if let Some(id) = icmp.id {
        write!(f, " id {id}")?;
    }
    match icmp.quote {
        None => Ok(()),
        Some(IcmpQuote::Tcp { start, end, len }) => write!(f, " [{start}:{end}({len})]"),
        Some(IcmpQuote::Udp(len)) => write!(f, " [udp ({len})]"),
        Some(IcmpQuote::Raw(len)) => write!(f, " [raw ({len})]"),
    }
}
