//! The filter chooses the frames that tshark chooses with the same words.
//!
//! All filters are asked in one run of tshark: the frames are a second apart, and `io,stat` counts per
//! second which filter a frame fits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use transom_flow::filter::{Filter, Subject};
use transom_flow::pcapng::{Interface, Packet, Writer};
use transom_flow::wire::ip::{Ecn, Protocol, ipv4, ipv6};
use transom_flow::wire::tcp::{Flags, Header, Options, SackBlocks, Timestamps};
use transom_flow::wire::{Medium, Seq, SeqRange};
use transom_flow::{ClosedBy, Frame, Tracker};

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// A segment in an IP packet; what is not said is usual.
struct Segment {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    ecn: Ecn,
    header: Header,
    data: Vec<u8>,
}

fn segment(src: &str, dst: &str, ports: (u16, u16), flags: Flags, numbers: (u32, u32)) -> Segment {
    Segment {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        ttl: 64,
        ecn: Ecn::NotEct,
        header: Header {
            src_port: ports.0,
            dst_port: ports.1,
            seq: Seq::new(numbers.0),
            ack: Seq::new(numbers.1),
            flags,
            window: 500,
            urgent: 0,
            options: Options::EMPTY,
        },
        data: Vec::new(),
    }
}

impl Segment {
    fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    fn options(mut self, options: Options) -> Self {
        self.header.options = options;
        self
    }

    fn packet(&self) -> Vec<u8> {
        let mut tcp = vec![0; self.header.header_len()];
        tcp.extend(&self.data);
        self.header
            .emit_with_checksum(&mut tcp, self.src, self.dst, &self.data);
        let mut packet = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut out = vec![0; ipv4::Header::LEN];
                let mut header = ipv4::Header::new(src, dst, Protocol::TCP);
                header.ttl = self.ttl;
                header.ecn = self.ecn;
                header.id = 7;
                header.emit(&mut out, tcp.len());
                out
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let mut out = vec![0; ipv6::Header::LEN];
                let mut header = ipv6::Header::new(src, dst, Protocol::TCP);
                header.hop_limit = self.ttl;
                header.emit(&mut out, tcp.len());
                out
            }
            _ => panic!("two versions of IP"),
        };
        packet.extend(tcp);
        packet
    }
}

/// An ICMP error about a packet, which says that its port is not reachable.
fn unreachable(reporter: Ipv4Addr, to: Ipv4Addr, about: &[u8]) -> Vec<u8> {
    let mut icmp = vec![3, 3, 0, 0, 0, 0, 0, 0];
    icmp.extend(&about[..28]);
    let mut packet = vec![0; ipv4::Header::LEN];
    ipv4::Header::new(reporter, to, Protocol::ICMP).emit(&mut packet, icmp.len());
    packet.extend(icmp);
    packet
}

fn frames() -> Vec<Vec<u8>> {
    let syn_options = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 1000, ecr: 0 }),
        ..Options::EMPTY
    };
    let mut sack = SackBlocks::EMPTY;
    sack.push(SeqRange::from_len(Seq::new(5_000_200), 100));
    let sacked = Options {
        sack,
        ..Options::EMPTY
    };
    let (c4, s4) = ("10.0.0.1", "192.0.2.80");
    let (c6, s6) = ("2001:db8::1", "2001:db8:1::2");
    let sa = Flags::SYN | Flags::ACK;
    let pa = Flags::PSH | Flags::ACK;
    let mut low = segment(c4, s4, (40_000, 80), Flags::ACK, (1001, 5_000_001));
    low.ttl = 3;
    low.ecn = Ecn::Ect0;
    let syn = segment(c4, s4, (40_000, 80), Flags::SYN, (1000, 0)).options(syn_options);
    let refused = segment(c4, "192.0.2.81", (40_001, 8080), Flags::SYN, (1, 0));
    let all = [
        syn.packet(),
        segment(s4, c4, (80, 40_000), sa, (5_000_000, 1001))
            .options(syn_options)
            .packet(),
        low.packet(),
        segment(c4, s4, (40_000, 80), pa, (1001, 5_000_001))
            .data(b"GET /index.html HTTP/1.1\r\n")
            .packet(),
        segment(s4, c4, (80, 40_000), pa | Flags::ECE, (5_000_001, 1027))
            .data(&[b'x'; 600])
            .packet(),
        segment(
            c4,
            s4,
            (40_000, 80),
            Flags::ACK | Flags::CWR,
            (1027, 5_000_101),
        )
        .options(sacked)
        .packet(),
        segment(c6, s6, (50_000, 443), Flags::SYN, (9, 0))
            .options(syn_options)
            .packet(),
        segment(s6, c6, (443, 50_000), Flags::RST | Flags::ACK, (0, 10)).packet(),
        refused.packet(),
        unreachable(
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv4Addr::new(10, 0, 0, 1),
            &refused.packet(),
        ),
        segment(
            c4,
            s4,
            (40_000, 80),
            Flags::FIN | Flags::ACK,
            (1027, 5_000_601),
        )
        .packet(),
        segment(s4, c4, (80, 40_000), Flags::RST, (5_000_601, 0)).packet(),
    ];
    all.to_vec()
}

/// Filters that mean the same here and there. Commas would end them in `io,stat`.
const FILTERS: &[&str] = &[
    "frame.number == 3",
    "frame.number > 3 and frame.number <= 6",
    "frame.time_relative >= 4",
    "frame.time_relative < 0.5",
    "frame.time_epoch > 1700000007.5",
    "frame.time_delta > 0.5",
    "frame.len > 100",
    "frame.cap_len == 40",
    "frame contains \"index\"",
    "ip",
    "ipv6",
    "icmp",
    "tcp",
    "not tcp",
    "ip.addr == 10.0.0.1",
    "ip.addr == 192.0.2.1",
    "ip.addr != 10.0.0.1",
    "ip.addr !== 10.0.0.1",
    "!(ip.addr == 10.0.0.1)",
    "ip.src == 192.0.2.0/24",
    "ip.dst eq 192.0.2.80",
    "ip.ttl < 10",
    "ip.len == 52",
    "ip.id == 7",
    "ip.flags.df == 1",
    "ip.dsfield.ecn == 2",
    "ip.proto == 1",
    "ipv6.addr == 2001:db8::/32",
    "ipv6.src == 2001:db8:1::2",
    "ipv6.hlim == 64",
    "ipv6.plen > 20",
    "tcp.port == 80",
    "tcp.port != 80",
    "tcp.port !== 80",
    "tcp.port === 80",
    "any tcp.port > 8000",
    "all tcp.port > 8000",
    "tcp.srcport == 0x50",
    "tcp.dstport ge 8080",
    "tcp.port in {443..8080}",
    "not tcp.port in {80}",
    "tcp.stream == 1",
    "tcp.len > 0",
    "tcp.len == 600",
    // A reset by an end that sent nothing else has a relative number of 1 there, and 0 here.
    "tcp.seq == 1 and not icmp and not tcp.flags.reset == 1",
    "tcp.seq_raw == 1000",
    "tcp.ack == 1",
    "tcp.ack_raw > 5000000",
    "tcp.hdr_len > 20",
    "tcp.flags == 0x012",
    "tcp.flags & 0x02",
    "tcp.flags & 0x12 == 2",
    "tcp.flags.syn",
    "tcp.flags.syn == 1",
    "tcp.flags.syn == 1 && tcp.flags.ack == 0",
    "tcp.flags.reset == 1",
    "tcp.flags.fin == 1 || tcp.flags.push == 1",
    "tcp.flags.ece == 1 or tcp.flags.cwr == 1",
    "tcp.window_size_value == 500",
    "tcp.window_size == 64000",
    "tcp.options.mss_val == 1460",
    "tcp.options.wscale.shift == 7",
    "tcp.options.sack_perm",
    "tcp.options.sack.count == 1",
    "tcp.options.timestamp.tsval == 1000",
    "tcp.options.timestamp.tsecr > 0",
    "tcp contains \"GET\"",
    "tcp.payload contains \"HTTP\"",
    "tcp.payload matches \"get /[a-z]+\"",
    "tcp.flags.syn == 1 or tcp.len > 0 and ip.ttl == 64",
    "(tcp.flags.syn == 1 or tcp.len > 0) and ip.ttl == 64",
    "not tcp.flags.syn == 1 and tcp.len == 0",
];

/// The numbers of the frames that each filter chooses in tshark.
fn tshark(frames: &[Vec<u8>]) -> Vec<BTreeSet<usize>> {
    let mut writer = Writer::new(Vec::new(), "test").unwrap();
    let interface = Interface {
        name: "test0",
        description: "",
        medium: Medium::Ip,
        snaplen: 0,
        comment: "",
    };
    let interface = writer.interface(&interface).unwrap();
    // The second of the last frame is not counted: so one more follows that no filter is asked about.
    for (at, frame) in frames.iter().chain(frames.last()).enumerate() {
        let time = EPOCH + Duration::from_secs(at as u64);
        writer.packet(&Packet::new(interface, time, frame)).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("filter-{}.pcapng", std::process::id()));
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-q", "-r"])
        .arg(&path)
        .arg("-z")
        .arg(format!("io,stat,1,{}", FILTERS.join(",")))
        .output()
        .unwrap_or_else(|error| panic!("this test needs tshark (package tshark): {error}"));
    std::fs::remove_file(&path).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut chosen = vec![BTreeSet::new(); FILTERS.len()];
    let rows = text.lines().filter(|line| line.contains("<>"));
    for (second, row) in rows.enumerate() {
        // | 0 <> 1 | frames | bytes | frames | bytes | …
        let counts: Vec<&str> = row.split('|').map(str::trim).skip(2).step_by(2).collect();
        for (filter, chosen) in chosen.iter_mut().enumerate() {
            if counts[filter].parse::<u32>().unwrap() > 0 {
                chosen.insert(second + 1);
            }
        }
    }
    chosen
}

/// The numbers of the frames that a filter chooses here.
fn ours(frames: &[Vec<u8>], filter: &Filter) -> BTreeSet<usize> {
    let mut tracker = Tracker::default();
    let mut chosen = BTreeSet::new();
    for (at, packet) in frames.iter().enumerate() {
        let time = EPOCH + Duration::from_secs(at as u64);
        let tracked = tracker
            .frame(&Frame::new(time, Medium::Ip, packet))
            .unwrap();
        let mut subject = Subject::default();
        subject.number = at as u64 + 1;
        subject.time = time;
        subject.origin = EPOCH;
        subject.previous = time.saturating_sub(Duration::from_secs(1)).max(EPOCH);
        subject.len = u32::try_from(packet.len()).unwrap();
        subject.frame = packet;
        subject.packet = packet;
        subject.place = tracker.place(&tracked);
        if !filter.frame(&subject).is_never() {
            chosen.insert(at + 1);
        }
    }
    chosen
}

#[test]
fn the_frames_chosen_are_those_that_tshark_chooses() {
    let frames = frames();
    let theirs = tshark(&frames);
    let mut differences = Vec::new();
    for (source, theirs) in FILTERS.iter().zip(theirs) {
        let filter =
            Filter::parse(source).unwrap_or_else(|error| panic!("{}", error.explain(source)));
        let ours = ours(&frames, &filter);
        if ours != theirs {
            differences.push(format!("{source}: {ours:?}, tshark {theirs:?}"));
        }
        let again: Filter = filter.to_string().parse().unwrap();
        assert_eq!(again, filter, "{source}");
    }
    assert_eq!(differences, Vec::<String>::new());
}

/// Whether the filter chooses each of the connections.
fn connections(filter: &str) -> Vec<bool> {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{}", error.explain(filter)));
    let mut tracker = Tracker::default();
    let mut hits = [transom_flow::filter::Hits::default(); 3];
    for (at, packet) in frames().iter().enumerate() {
        let time = EPOCH + Duration::from_secs(at as u64);
        let tracked = tracker
            .frame(&Frame::new(time, Medium::Ip, packet))
            .unwrap();
        let place = tracker.place(&tracked).unwrap();
        let mut subject = Subject::default();
        subject.time = time;
        subject.origin = EPOCH;
        subject.packet = packet;
        subject.place = Some(place);
        hits[usize::try_from(place.stream).unwrap()].add(filter.frame(&subject));
    }
    tracker.finish();
    let connections: Vec<_> = tracker.take_all().collect();
    assert_eq!(
        connections[0].closed_by(),
        ClosedBy::Reset(transom_flow::End::Server)
    );
    let all = hits.iter().zip(&connections);
    all.map(|(hits, connection)| filter.connection(*hits, connection))
        .collect()
}

#[test]
fn connections_are_chosen_by_frames_and_by_their_own_terms() {
    let cases: &[(&str, [bool; 3])] = &[
        ("tcp.port == 80", [true, false, false]),
        ("closed_by == reset", [true, false, false]),
        ("closed_by == server", [true, false, false]),
        ("closed_by != server", [false, true, true]),
        ("closed_by in {refused unreachable}", [false, true, true]),
        ("finding == refused", [false, true, false]),
        ("severity >= fine", [true, true, true]),
        ("bytes > 0", [true, false, false]),
        (
            "client.bytes == 26 and server.bytes == 600",
            [true, false, false],
        ),
        ("duration >= 11s", [true, false, false]),
        ("server.port == 443", [false, true, false]),
        ("client.addr == 10.0.0.0/8", [true, false, true]),
        ("icmp", [false, false, true]),
        // Both have to be true of one frame, the terms of a connection are true of all its frames.
        ("tcp.flags.syn == 1 and tcp.len > 0", [false, false, false]),
        ("tcp.flags.syn == 1 and bytes > 0", [true, false, false]),
        (
            "tcp.flags.reset == 1 and not closed_by == refused",
            [true, false, false],
        ),
        (
            "tcp.flags.reset == 1 xor closed_by == reset",
            [true, true, false],
        ),
        ("conn_state in {RSTR RSTO REJ}", [true, true, false]),
        ("tcp", [true, true, true]),
        ("not tcp", [false, false, false]),
    ];
    for (filter, chosen) in cases {
        assert_eq!(connections(filter), chosen, "{filter}");
    }
}

#[test]
fn an_address_of_the_other_version_is_no_value() {
    let frames = frames();
    let filter = Filter::parse("ipv6.addr != ::1").unwrap();
    // Only the two frames that have such addresses at all.
    assert_eq!(ours(&frames, &filter), BTreeSet::from([7, 8]));
}
