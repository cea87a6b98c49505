//! Packets of the raw peer, and those that come back, in the peer's numbers.

use std::fmt;
use std::net::Ipv4Addr;

use transom::stack_engine::wire::ip::{Packet, ipv4};
use transom::stack_engine::wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom::stack_engine::wire::{Protocol, Seq, SeqRange, icmpv4};

/// The host under test, and the peer made of bytes.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// A segment of the peer, relative to both initial numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seg {
    pub(crate) flags: Flags,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) len: usize,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// TSval, where timestamps are in use.
    pub(crate) ts: Option<u32>,
}

/// A segment of the host, relative to both initial numbers. PSH and the window are the host's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) flags: Flags,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) len: usize,
    pub(crate) sack: Vec<(u32, u32)>,
    /// TSecr.
    pub(crate) ecr: Option<u32>,
}

impl Out {
    /// What kind of segment it is, without its numbers.
    pub(crate) fn shape(&self) -> String {
        let data = if self.len > 0 { " data" } else { "" };
        let sack = if self.sack.is_empty() { "" } else { " sack" };
        format!("{}{data}{sack}", self.flags)
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.seq.wrapping_add(self.len as u32);
        write!(
            f,
            "{} {}:{end} ack {}",
            self.flags, self.seq as i32, self.ack as i32
        )?;
        if !self.sack.is_empty() {
            write!(f, " sack {:?}", self.sack)?;
        }
        match self.ecr {
            Some(ecr) => write!(f, " ecr {ecr}"),
            None => Ok(()),
        }
    }
}

/// Who the two are on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    /// The peer's port and initial number.
    pub(crate) port: u16,
    pub(crate) irs: Seq,
    /// The host's port and initial number, once they are known.
    pub(crate) host_port: u16,
    pub(crate) iss: Seq,
    /// The host's clock, as last seen.
    pub(crate) ts: u32,
}

fn packet(protocol: Protocol, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 20];
    ipv4::Header::new(PEER, HOST, protocol).emit(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// The segment as the wire has it. `syn_options` are those of a SYN.
pub(crate) fn build(numbers: &Numbers, seg: &Seg, syn_options: &Options) -> Vec<u8> {
    let syn = seg.flags.contains(Flags::SYN);
    let acks = seg.flags.contains(Flags::ACK);
    let timestamps = seg.ts.map(|val| Timestamps {
        val,
        ecr: if acks { numbers.ts } else { 0 },
    });
    let options = if syn { *syn_options } else { Options::EMPTY };
    let header = Header {
        src_port: numbers.port,
        dst_port: numbers.host_port,
        seq: numbers.irs + seg.seq,
        ack: numbers.iss + seg.ack,
        flags: seg.flags,
        window: seg.window,
        urgent: seg.urgent,
        options: Options {
            timestamps,
            ..options
        },
    };
    let data = vec![b'p'; seg.len];
    let mut bytes = vec![0; header.header_len()];
    header.emit_with_checksum(&mut bytes, PEER.into(), HOST.into(), &data);
    bytes.extend_from_slice(&data);
    packet(Protocol::TCP, &bytes)
}

/// A ping.
pub(crate) fn ping(seq: u16) -> Vec<u8> {
    let message = icmpv4::Message::EchoRequest {
        id: 7,
        seq,
        data: &[],
    };
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes);
    packet(Protocol::ICMP, &bytes)
}

/// What a packet of the host is.
pub(crate) enum Read {
    /// A segment for the peer.
    Segment(Out),
    /// The answer to the ping.
    Pong(u16),
    /// Something else.
    Other,
}

/// Reads a packet of the host; learns its port, its initial number and its clock.
pub(crate) fn read(numbers: &mut Numbers, bytes: &[u8]) -> Read {
    let Ok(packet) = Packet::new(bytes) else {
        return Read::Other;
    };
    if packet.protocol() == Protocol::ICMP {
        let view = icmpv4::View::new(packet.payload()).unwrap();
        return match view.message() {
            icmpv4::Message::EchoReply { seq, .. } => Read::Pong(seq),
            _ => Read::Other,
        };
    }
    if packet.protocol() != Protocol::TCP {
        return Read::Other;
    }
    let view = TcpView::new(packet.payload()).unwrap();
    let header = Header::from_view(&view);
    if header.dst_port != numbers.port {
        return Read::Other;
    }
    if header.flags.contains(Flags::SYN) {
        (numbers.host_port, numbers.iss) = (header.src_port, header.seq);
    }
    if let Some(ts) = header.options.timestamps {
        numbers.ts = ts.val;
    }
    let relative = |seq: Seq, base: Seq| seq.raw().wrapping_sub(base.raw());
    let acks = header.flags.contains(Flags::ACK);
    let block = |range: SeqRange| {
        (
            relative(range.start, numbers.irs),
            relative(range.end, numbers.irs),
        )
    };
    let rst = header.flags.contains(Flags::RST);
    Read::Segment(Out {
        flags: header.flags.without(Flags::PSH),
        // The reset for a segment without ACK says 0, whatever the connection was.
        seq: match header.seq {
            zero if rst && zero == Seq::new(0) => 0,
            seq => relative(seq, numbers.iss),
        },
        ack: if acks {
            relative(header.ack, numbers.irs)
        } else {
            0
        },
        len: view.payload().len(),
        sack: header.options.sack.iter().map(block).collect(),
        ecr: header
            .options
            .timestamps
            .filter(|_| !rst && acks)
            .map(|ts| ts.ecr),
    })
}
