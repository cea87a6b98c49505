//! Captures are read back: by a reader of the block structure in here, and by tshark.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod scene;

use scene::{addr, play};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use transom_flow::pcapng::{ChecksumField, Direction, Error, Interface, Packet, Writer};
use transom_flow::wire::tcp::{Flags, Header, Options};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{End, wire};

const EPOCH: Duration = Duration::from_secs(1_700_000_000);
const TUN: Interface<'_> = Interface {
    name: "transom0",
    description: "program to Transom",
    medium: Medium::Ip,
    snaplen: 0,
    comment: "leg A",
};

/// Type and body of each block; asserts that the structure is sound.
fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let len = word(file, 4) as usize;
        assert_eq!(len % 4, 0);
        assert_eq!(word(file, len - 4) as usize, len, "both lengths agree");
        blocks.push((word(file, 0), file[8..len - 4].to_vec()));
        file = &file[len..];
    }
    blocks
}

const CONVERSATION: &str = "
    0     > S
    11.2  < SA
    11.3  > A
    11.4  > PA 'GET / HTTP/1.1'
    20    < A
    21    < PA len=30000 gso=1448
    21.1  > A
    30    < FA
    31    > FA
    31.1  < A
";

/// The conversation as a file, with checksums as a device with offload leaves them.
fn capture() -> Vec<u8> {
    let scene = play(CONVERSATION);
    let mut writer = Writer::new(Vec::new(), "Transom 0.1.0").unwrap();
    let interface = writer.interface(&TUN).unwrap();
    writer
        .names(&[(addr(End::Server).ip(), "example.com")])
        .unwrap();
    writer.tls_secrets(b"CLIENT_RANDOM 00 11\n").unwrap();
    for (at, (time, frame)) in scene.frames.iter().enumerate() {
        let mut frame = frame.clone();
        frame[20 + 16..20 + 18].copy_from_slice(&[0xde, 0xad]);
        let comments = ["FIN-WAIT-1 → FIN-WAIT-2", "second comment"];
        let is_out = frame[12..16] == scene::SERVER.0.octets();
        let packet = Packet {
            checksum: ChecksumField::Partial,
            direction: if is_out {
                Direction::Out
            } else {
                Direction::In
            },
            comments: if at == 7 { &comments } else { &[] },
            ..Packet::new(interface, EPOCH + *time + Duration::from_nanos(7), &frame)
        };
        writer.packet(&packet).unwrap();
    }
    assert_eq!(writer.packets(), 10);
    writer.finish().unwrap()
}

#[test]
fn blocks_are_sound_and_times_are_nanoseconds() {
    let file = capture();
    let blocks = blocks(&file);
    let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..4], [0x0a0d_0d0a, 1, 4, 10]);
    assert!(kinds[4..].iter().all(|kind| *kind == 6) && kinds.len() == 14);
    let first = &blocks[4].1;
    let half = |at: usize| u64::from(u32::from_le_bytes(first[at..at + 4].try_into().unwrap()));
    assert_eq!(half(4) << 32 | half(8), 1_700_000_000_000_000_007);
    assert_eq!(blocks[1].1[0], 101, "raw IP");
}

fn tshark(file: &[u8], name: &str, arguments: &[&str]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}.pcapng", std::process::id()));
    std::fs::write(&path, file).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(&path)
        .args([
            "-o",
            "tcp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
        ])
        .args(["-o", "udp.check_checksum:TRUE"])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs tshark (package tshark) to read what was written: {error}")
        });
    std::fs::remove_file(&path).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_complaint = |line: &&str| !line.contains("Running as user") && !line.trim().is_empty();
    assert!(output.status.success(), "{errors}");
    assert_eq!(
        errors.lines().filter(is_complaint).collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tshark_reads_every_packet_with_comments_and_right_checksums() {
    let file = capture();
    let fields = "frame.time_epoch frame.interface_name frame.packet_flags_direction \
                  frame.comment ip.checksum.status tcp.checksum.status tcp.len _ws.malformed";
    let mut arguments = vec!["-T", "fields", "-E", "separator=|"];
    for field in fields.split_whitespace() {
        arguments.extend(["-e", field]);
    }
    let output = tshark(&file, "fields", &arguments);
    let lines: Vec<Vec<&str>> = output
        .lines()
        .map(|line| line.split('|').collect())
        .collect();
    assert_eq!(lines.len(), 10, "{output}");
    for line in &lines {
        assert_eq!(line[1], "transom0");
        assert_eq!(
            line[4..6],
            ["1", "1"],
            "good IP and TCP checksums: {line:?}"
        );
        assert_eq!(line[7], "", "malformed: {line:?}");
    }
    assert_eq!(lines[0][0], "1700000000.000000007");
    assert!(lines[0][2].ends_with('1'), "inbound: {}", lines[0][2]);
    assert!(lines[1][2].ends_with('2'), "outbound: {}", lines[1][2]);
    assert_eq!(lines[5][6], "30000");
    assert!(
        lines[7][3].contains("FIN-WAIT-1 → FIN-WAIT-2"),
        "{:?}",
        lines[7]
    );
    assert!(lines[7][3].contains("second comment"), "{:?}", lines[7]);
    let text = tshark(&file, "names", &["-N", "n", "-Y", "frame.number==1"]);
    assert!(text.contains("example.com"), "{text}");
    let expert = tshark(&file, "expert", &["-q", "-z", "expert,error"]);
    assert!(
        !expert.contains("Malformed") && !expert.contains("Bad checksum"),
        "{expert}"
    );
}

#[test]
fn tshark_reads_ethernet_and_ipv6_udp_with_completed_checksums() {
    let mut writer = Writer::new(Vec::new(), "Transom").unwrap();
    let interface = writer
        .interface(&Interface {
            medium: Medium::Ethernet,
            name: "veth0",
            ..TUN
        })
        .unwrap();
    let (src, dst) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let data = b"payload of odd length";
    let udp = [&[0x30, 0x39, 0xd4, 0x31, 0, 8 + 21, 0xff, 0xee][..], data].concat();
    let ip = wire::ip::ipv6::Header::new(src, dst, wire::ip::Protocol::UDP);
    let mut frame = vec![0; 14 + wire::ip::ipv6::HEADER_LEN];
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    ip.emit(&mut frame[14..], udp.len());
    frame.extend(&udp);
    let packet = Packet {
        checksum: ChecksumField::Partial,
        ..Packet::new(interface, EPOCH, &frame)
    };
    writer.packet(&packet).unwrap();
    let file = writer.finish().unwrap();
    let output = tshark(
        &file,
        "ipv6",
        &[
            "-T",
            "fields",
            "-e",
            "udp.checksum.status",
            "-e",
            "udp.dstport",
        ],
    );
    assert_eq!(output.trim(), "1\t54321");
}

#[test]
fn only_a_partial_checksum_is_replaced() {
    let header = Header {
        src_port: 1,
        dst_port: 2,
        seq: Seq::new(1),
        ack: Seq::new(1),
        flags: Flags::ACK,
        window: 1,
        urgent: 0,
        options: Options::EMPTY,
    };
    let mut corrupted = scene::packet(End::Client, &header, b"data");
    *corrupted.last_mut().unwrap() ^= 1;
    let mut writer = Writer::new(Vec::new(), "Transom").unwrap();
    let interface = writer.interface(&TUN).unwrap();
    writer
        .packet(&Packet::new(interface, EPOCH, &corrupted))
        .unwrap();
    let file = writer.finish().unwrap();
    assert!(
        file.windows(corrupted.len())
            .any(|window| window == corrupted)
    );
    let output = tshark(
        &file,
        "corrupt",
        &["-T", "fields", "-e", "tcp.checksum.status"],
    );
    assert_eq!(
        output.trim(),
        "0",
        "a packet damaged on the wire is shown as damaged"
    );
}

#[test]
fn a_snap_length_cuts_data_but_not_the_length_on_the_wire() {
    let mut writer = Writer::new(Vec::new(), "Transom").unwrap();
    let interface = writer.interface(&Interface { snaplen: 64, ..TUN }).unwrap();
    let frame = vec![0x45; 101];
    writer
        .packet(&Packet::new(interface, EPOCH, &frame))
        .unwrap();
    let body = &blocks(&writer.finish().unwrap())[2].1;
    assert_eq!(body[12..20], [64, 0, 0, 0, 101, 0, 0, 0]);
}

#[test]
fn long_comments_are_cut_at_a_character() {
    let mut writer = Writer::new(Vec::new(), "Transom").unwrap();
    let interface = writer.interface(&TUN).unwrap();
    let long = "é".repeat(40_000);
    let packet = Packet {
        comments: &[&long],
        ..Packet::new(interface, EPOCH, &[0x45; 20])
    };
    writer.packet(&packet).unwrap();
    let body = &blocks(&writer.finish().unwrap())[2].1;
    let comment = &body[20 + 20..];
    assert_eq!(
        comment[..4],
        [1, 0, 0xfe, 0xff],
        "65,534 bytes: a whole number of characters"
    );
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once_and_nothing_follows_a_broken_block() {
    let mut writer = Writer::new(Full(300), "Transom").unwrap();
    let interface = writer.interface(&TUN).unwrap();
    let packet = Packet::new(interface, EPOCH, &[0x45; 60]);
    writer.packet(&packet).unwrap();
    let error = writer.packet(&packet).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write the capture after 1 packet: no storage space"
    );
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::StorageFull);
    let error = writer.packet(&packet).unwrap_err();
    assert!(matches!(error, Error::Ended { packets: 1 }), "{error}");
    assert!(writer.finish().is_err());
}

#[test]
fn an_interface_of_another_writer_is_refused() {
    let mut one = Writer::new(Vec::new(), "Transom").unwrap();
    let interface = one.interface(&TUN).unwrap();
    let mut other = Writer::new(Vec::new(), "Transom").unwrap();
    let result = other.packet(&Packet::new(interface, EPOCH, &[]));
    assert!(matches!(result, Err(Error::UnknownInterface)));
    let names: Vec<(IpAddr, &str)> = Vec::new();
    other.names(&names).unwrap();
}
