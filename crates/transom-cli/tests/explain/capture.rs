//! Captures made of a few words: who sends what, when.

use std::net::Ipv4Addr;
use std::time::Duration;

use transom_flow::pcapng::{Interface, Packet, Writer};
use transom_flow::wire::ip::{Protocol, ipv4};
use transom_flow::wire::tcp::{Flags, Header, Options};
use transom_flow::wire::{Medium, Seq};

/// When the first frame passes, since 1970: 2023-11-14 22:13:20 UTC.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_700_000_000);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

/// Frames in the order of their making.
#[derive(Default)]
pub(crate) struct Capture {
    frames: Vec<(Duration, Vec<u8>)>,
}

/// A connection to be made: what both ends have sent so far.
pub(crate) struct Talk {
    client: (Ipv4Addr, u16),
    port: u16,
    next: [u32; 2],
}

/// Client to server.
pub(crate) const UP: usize = 0;
/// Server to client.
pub(crate) const DOWN: usize = 1;

impl Talk {
    pub(crate) fn new(client_port: u16, port: u16) -> Self {
        Self {
            client: (Ipv4Addr::new(10, 0, 0, 1), client_port),
            port,
            next: [1000, 70_000],
        }
    }
}

impl Capture {
    /// A segment, at so many milliseconds.
    pub(crate) fn segment(
        &mut self,
        ms: u64,
        talk: &mut Talk,
        way: usize,
        flags: &str,
        data: &[u8],
    ) {
        let ends = [talk.client, (SERVER, talk.port)];
        let [(src, src_port), (dst, dst_port)] = [ends[way], ends[1 - way]];
        let mut bits = Flags::EMPTY;
        for flag in flags.chars() {
            bits |= match flag {
                'S' => Flags::SYN,
                'A' => Flags::ACK,
                'P' => Flags::PSH,
                'F' => Flags::FIN,
                'R' => Flags::RST,
                _ => panic!("{flag}"),
            };
        }
        let is_syn = bits.contains(Flags::SYN);
        let header = Header {
            src_port,
            dst_port,
            seq: Seq::new(talk.next[way]),
            ack: Seq::new(talk.next[1 - way]),
            flags: bits,
            window: 64_000,
            urgent: 0,
            options: Options {
                mss: is_syn.then_some(1460),
                ..Options::EMPTY
            },
        };
        let mut tcp = vec![0; header.header_len()];
        header.emit_with_checksum(&mut tcp, src.into(), dst.into(), data);
        tcp.extend(data);
        let mut frame = vec![0; ipv4::Header::LEN];
        ipv4::Header::new(src, dst, Protocol::TCP).emit(&mut frame, tcp.len());
        frame.extend(tcp);
        self.frames.push((EPOCH + Duration::from_millis(ms), frame));
        talk.next[way] += u32::try_from(data.len()).unwrap()
            + u32::from(is_syn)
            + u32::from(bits.contains(Flags::FIN));
    }

    /// The same segment as the last one of this direction, once more.
    pub(crate) fn again(&mut self, ms: u64, frame: usize) {
        let copy = self.frames[frame].1.clone();
        self.frames.push((EPOCH + Duration::from_millis(ms), copy));
    }

    /// A request and its answer, closed by the server: ten frames in 40 ms.
    pub(crate) fn normal(&mut self, ms: u64, client_port: u16, port: u16) {
        let mut talk = Talk::new(client_port, port);
        let mut segment = |at, way, flags, data: &[u8]| {
            self.segment(ms + at, &mut talk, way, flags, data);
        };
        segment(0, UP, "S", b"");
        segment(10, DOWN, "SA", b"");
        segment(11, UP, "A", b"");
        segment(
            12,
            UP,
            "PA",
            b"GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n",
        );
        segment(
            22,
            DOWN,
            "PA",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        segment(23, UP, "A", b"");
        segment(24, DOWN, "FA", b"");
        segment(25, UP, "A", b"");
        segment(30, UP, "FA", b"");
        segment(40, DOWN, "A", b"");
    }

    /// Forty segments from the server, each acknowledged.
    pub(crate) fn bulk(&mut self, ms: u64, client_port: u16, port: u16) {
        let mut talk = Talk::new(client_port, port);
        self.segment(ms, &mut talk, UP, "S", b"");
        self.segment(ms + 10, &mut talk, DOWN, "SA", b"");
        self.segment(ms + 11, &mut talk, UP, "A", b"");
        for n in 0..40 {
            self.segment(ms + 20 + 10 * n, &mut talk, DOWN, "A", &[b'z'; 1000]);
            self.segment(ms + 21 + 10 * n, &mut talk, UP, "A", b"");
        }
    }

    /// A SYN and the reset that refuses it.
    pub(crate) fn refused(&mut self, ms: u64, client_port: u16, port: u16) {
        let mut talk = Talk::new(client_port, port);
        self.segment(ms, &mut talk, UP, "S", b"");
        talk.next[DOWN] = 0;
        self.segment(ms + 1, &mut talk, DOWN, "RA", b"");
    }

    /// A SYN that is never answered, sent three times.
    pub(crate) fn unanswered(&mut self, ms: u64, client_port: u16, port: u16) {
        let mut talk = Talk::new(client_port, port);
        let at = self.frames.len();
        self.segment(ms, &mut talk, UP, "S", b"");
        self.again(ms + 1000, at);
        self.again(ms + 3000, at);
    }

    /// As a pcapng file, in the order of time.
    pub(crate) fn pcapng(mut self) -> Vec<u8> {
        self.frames.sort_by_key(|(time, _)| *time);
        let mut writer = Writer::new(Vec::new(), "test").unwrap();
        let interface = Interface {
            name: "test0",
            description: "",
            medium: Medium::Ip,
            snaplen: 0,
            comment: "",
        };
        let interface = writer.interface(&interface).unwrap();
        for (time, frame) in &self.frames {
            writer
                .packet(&Packet::new(interface, *time, frame))
                .unwrap();
        }
        writer.finish().unwrap()
    }

    /// As a classic pcap file with microseconds.
    pub(crate) fn pcap(mut self) -> Vec<u8> {
        self.frames.sort_by_key(|(time, _)| *time);
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101] {
            file.extend(word.to_le_bytes());
        }
        for (time, frame) in &self.frames {
            let len = u32::try_from(frame.len()).unwrap();
            let seconds = u32::try_from(time.as_secs()).unwrap();
            for word in [seconds, time.subsec_micros(), len, len] {
                file.extend(word.to_le_bytes());
            }
            file.extend(frame);
        }
        file
    }

    /// Every second frame here, the others there.
    pub(crate) fn split(self) -> [Self; 2] {
        let mut halves = [Self::default(), Self::default()];
        for (at, frame) in self.frames.into_iter().enumerate() {
            halves[at % 2].frames.push(frame);
        }
        halves
    }
}

/// Three connections: a normal one, one refused, and one never answered.
pub(crate) fn mixed() -> Capture {
    let mut capture = Capture::default();
    capture.normal(0, 40_000, 80);
    capture.refused(100, 40_001, 8080);
    capture.unanswered(200, 11_699, 443);
    capture
}
