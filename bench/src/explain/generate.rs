//! Captures made from templates: quickly, and the same bytes each time.
//!
//! - [`short`]: many short conversations as of HTTP/1.1, some with a lost segment, some reset, some refused
//! - [`bulk`]: one transfer in full-size segments, with a loss now and then
//!
//! Classic pcap, microseconds, Ethernet, IPv4; all checksums are right.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use transom_flow::wire::ip::{Protocol, ipv4};
use transom_flow::wire::tcp::{Flags, Header, Options, Timestamps};
use transom_flow::wire::{Seq, SeqRange};

use super::template::{Data, Line, MSS, REQUEST, RESPONSE_LEN, conversation, refused, reset};

/// 2024-01-01, in microseconds.
const EPOCH: u64 = 1_704_067_200_000_000;
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\n\
Content-Length: 3100\r\nConnection: keep-alive\r\n\r\n<!doctype html>";

/// What a capture holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// A generator of small numbers (SplitMix64); the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A capture file that is being written.
struct Capture {
    out: BufWriter<File>,
    made: Made,
    frame: Vec<u8>,
}

impl Capture {
    fn create(path: &Path) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        // Magic, version 2.4, zone, accuracy, snap length, link type Ethernet.
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            out,
            made: Made {
                packets: 0,
                bytes: 24,
            },
            frame: Vec::new(),
        })
    }

    fn packet(
        &mut self,
        micros: u64,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        tcp: &Header,
        data: &[u8],
    ) -> io::Result<()> {
        let at = 14 + ipv4::Header::LEN;
        let header_len = tcp.header_len();
        self.frame.clear();
        self.frame.resize(at + header_len, 0);
        self.frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        let ip = ipv4::Header::new(src, dst, Protocol::TCP);
        ip.emit(&mut self.frame[14..], header_len + data.len());
        tcp.emit_with_checksum(
            &mut self.frame[at..],
            IpAddr::V4(src),
            IpAddr::V4(dst),
            data,
        );
        let len = (self.frame.len() + data.len()) as u32;
        let time = EPOCH + micros;
        for word in [
            (time / 1_000_000) as u32,
            (time % 1_000_000) as u32,
            len,
            len,
        ] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&self.frame)?;
        self.out.write_all(data)?;
        self.made.packets += 1;
        self.made.bytes += u64::from(len) + 16;
        Ok(())
    }

    fn end(mut self) -> io::Result<Made> {
        self.out.flush()?;
        Ok(self.made)
    }
}

/// A conversation under way.
struct Talk {
    lines: usize,
    next: usize,
    client: (Ipv4Addr, u16),
    server: Ipv4Addr,
    iss: (u32, u32),
    round_trip: u64,
}

/// `connections` short conversations, a new one every 100 µs on average.
pub(crate) fn short(path: &Path, connections: u64) -> io::Result<Made> {
    let mut chance = Chance(1);
    let mut capture = Capture::create(path)?;
    let body: Vec<u8> = RESPONSE
        .iter()
        .copied()
        .chain((0..RESPONSE_LEN as usize).map(|n| b"<p>some words of text</p>\n"[n % 26]))
        .take(RESPONSE_LEN as usize)
        .collect();
    let templates = [conversation(false), conversation(true), reset(), refused()];
    let mut due = BinaryHeap::new();
    let mut talks: Vec<Talk> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut begun = 0;
    let mut start = 0;
    loop {
        let next_due = due
            .peek()
            .map(|Reverse((time, _)): &Reverse<(u64, usize)>| *time);
        if begun < connections && next_due.is_none_or(|time| start <= time) {
            let lines = match chance.below(100) {
                0..5 => 1,
                5..8 => 2,
                8..10 => 3,
                _ => 0,
            };
            let talk = Talk {
                lines,
                next: 0,
                client: (
                    // A port is used again by the same client only after 50,000 of its connections.
                    Ipv4Addr::from_bits(0x0a00_0000 + (begun % 251) as u32),
                    (10_000 + (begun / 251) % 50_000) as u16,
                ),
                server: Ipv4Addr::from_bits(0xc0a8_0000 + chance.below(16) as u32),
                iss: (chance.next() as u32, chance.next() as u32),
                round_trip: 1_000 + chance.below(80_000),
            };
            let at = free.pop().unwrap_or(talks.len());
            if at == talks.len() {
                talks.push(talk);
            } else {
                talks[at] = talk;
            }
            due.push(Reverse((start, at)));
            begun += 1;
            start += chance.below(200);
            continue;
        }
        let Some(Reverse((time, at))) = due.pop() else {
            break;
        };
        let talk = &mut talks[at];
        let lines = &templates[talk.lines];
        short_packet(&mut capture, time, talk, &lines[talk.next], &body)?;
        talk.next += 1;
        match lines.get(talk.next) {
            Some(line) => {
                let after = u64::from(line.after) * talk.round_trip / 100;
                due.push(Reverse((time + after.max(1), at)));
            }
            None => free.push(at),
        }
    }
    capture.end()
}

fn short_packet(
    capture: &mut Capture,
    time: u64,
    talk: &Talk,
    line: &Line,
    body: &[u8],
) -> io::Result<()> {
    let (own, peer) = if line.from_client {
        (talk.iss.0, talk.iss.1)
    } else {
        (talk.iss.1, talk.iss.0)
    };
    let (src, dst, src_port, dst_port) = if line.from_client {
        (talk.client.0, talk.server, talk.client.1, 80)
    } else {
        (talk.server, talk.client.0, 80, talk.client.1)
    };
    let is_reset = line.flags.contains(Flags::RST);
    let is_syn = line.flags.contains(Flags::SYN);
    let mut options = Options::EMPTY;
    if !is_reset {
        let millis = |from_client: bool| (time / 1000) as u32 + if from_client { 77 } else { 990 };
        let ecr = if line.flags.contains(Flags::ACK) {
            millis(!line.from_client)
        } else {
            0
        };
        options.timestamps = Some(Timestamps {
            val: millis(line.from_client),
            ecr,
        });
    }
    if is_syn {
        options.mss = Some(1460);
        options.window_scale = Some(7);
        options.sack_permitted = true;
    }
    if let Some((start, end)) = line.sack {
        let at = |n: u32| Seq::new(peer) + n;
        let _ = options.sack.push(SeqRange {
            start: at(start),
            end: at(end),
        });
    }
    let refuses = is_reset && line.seq == 0;
    let header = Header {
        src_port,
        dst_port,
        seq: if refuses {
            Seq::new(0)
        } else {
            Seq::new(own) + line.seq
        },
        ack: if line.flags.contains(Flags::ACK) {
            Seq::new(peer) + line.ack
        } else {
            Seq::new(0)
        },
        flags: line.flags,
        window: if is_reset {
            0
        } else if is_syn {
            64_240
        } else {
            502
        },
        urgent: 0,
        options,
    };
    let data = match line.data {
        Data::None => &[],
        Data::Request => REQUEST,
        Data::Response(at, len) => &body[at as usize..(at + len) as usize],
    };
    capture.packet(time, src, dst, &header, data)
}

/// One transfer of about `bytes` bytes of capture file: two full-size segments, an acknowledgement, and so on;
/// one segment in 20,000 is lost before the capture point and sent again.
pub(crate) fn bulk(path: &Path, bytes: u64) -> io::Result<Made> {
    let mut capture = Capture::create(path)?;
    let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 168, 0, 1));
    let data = vec![b'x'; MSS as usize];
    let (client_iss, server_iss) = (Seq::new(0x1000), Seq::new(0xffff_0000));
    let header = |from_client: bool, flags: Flags, time: u64, seq: u64, ack: u64| {
        let (own, peer) = if from_client {
            (client_iss, server_iss)
        } else {
            (server_iss, client_iss)
        };
        let (src_port, dst_port) = if from_client {
            (40_000, 443)
        } else {
            (443, 40_000)
        };
        let is_syn = flags.contains(Flags::SYN);
        let has_ack = flags.contains(Flags::ACK);
        let clock = (time / 1000) as u32;
        Header {
            src_port,
            dst_port,
            seq: own + seq as u32,
            ack: if has_ack {
                peer + ack as u32
            } else {
                Seq::new(0)
            },
            flags,
            window: if is_syn { 65_535 } else { 8_192 },
            urgent: 0,
            options: Options {
                mss: is_syn.then_some(1460),
                window_scale: is_syn.then_some(9),
                sack_permitted: is_syn,
                timestamps: Some(Timestamps {
                    val: clock + 7,
                    ecr: if has_ack { clock + 7 } else { 0 },
                }),
                ..Options::EMPTY
            },
        }
    };
    let send = |capture: &mut Capture,
                time: u64,
                from_client: bool,
                flags: Flags,
                seq: u64,
                ack: u64,
                data: &[u8]| {
        let (src, dst) = if from_client {
            (client, server)
        } else {
            (server, client)
        };
        capture.packet(
            time,
            src,
            dst,
            &header(from_client, flags, time, seq, ack),
            data,
        )
    };
    send(&mut capture, 0, true, Flags::SYN, 0, 0, &[])?;
    send(
        &mut capture,
        10_000,
        false,
        Flags::SYN | Flags::ACK,
        0,
        1,
        &[],
    )?;
    send(&mut capture, 20_000, true, Flags::ACK, 1, 1, &[])?;
    let mss = u64::from(MSS);
    let (mut time, mut sent, mut acked) = (20_010, 1, 1);
    let mut count = 0u64;
    while capture.made.bytes < bytes {
        for _ in 0..2 {
            count += 1;
            if !count.is_multiple_of(20_000) {
                send(&mut capture, time, false, Flags::ACK, sent, 1, &data)?;
                time += 3;
                sent += mss;
                continue;
            }
            // Lost: three duplicates, then it is sent again.
            let lost = sent;
            sent += mss;
            for _ in 0..4 {
                send(&mut capture, time, false, Flags::ACK, sent, 1, &data)?;
                sent += mss;
                let mut duplicate = header(true, Flags::ACK, time, 1, lost);
                let end = server_iss + sent as u32;
                let _ = duplicate.options.sack.push(SeqRange {
                    start: server_iss + (lost + mss) as u32,
                    end,
                });
                capture.packet(time + 2, client, server, &duplicate, &[])?;
                time += 4;
            }
            time += 10_000;
            send(&mut capture, time, false, Flags::ACK, lost, 1, &data)?;
        }
        // The acknowledgement comes when more is under way already.
        if sent - acked > 40 * mss {
            acked += 2 * mss;
            send(&mut capture, time + 1, true, Flags::ACK, 1, acked, &[])?;
        }
    }
    time += 20_000;
    send(&mut capture, time, true, Flags::ACK, 1, sent, &[])?;
    send(
        &mut capture,
        time + 100,
        false,
        Flags::ACK | Flags::FIN,
        sent,
        1,
        &[],
    )?;
    send(
        &mut capture,
        time + 20_000,
        true,
        Flags::ACK | Flags::FIN,
        1,
        sent + 1,
        &[],
    )?;
    send(
        &mut capture,
        time + 40_000,
        false,
        Flags::ACK,
        sent + 1,
        2,
        &[],
    )?;
    capture.end()
}
