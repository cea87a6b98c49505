//! What each format says is read, as Wireshark reads it.

use crate::build::{Blocks, ethernet, pcap, tcp4, tcp6};
use crate::scene::{self, addr, play};
use crate::tools::{Temporary, run, tshark_fields};
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Read, Write};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, Error, Format, LinkType, Reader};
use transom_flow::pcapng::{Direction, Interface, Packet, Writer};
use transom_flow::wire::Medium;
use transom_flow::{ClosedBy, End, Limits, Tracker};

const EPOCH: Duration = Duration::from_secs(1_700_000_000);
const CONVERSATION: &str = "
    0     > S
    11.2  < SA
    11.3  > A
    11.4  > PA 'GET / HTTP/1.1'
    20    < A
    21    < PA len=1200
    21.1  > A
    30    < FA
    31    > FA
    31.1  < A
";

/// The conversation in our own pcapng, with times, directions, a name and comments.
pub(crate) fn capture() -> Vec<u8> {
    let scene = play(CONVERSATION);
    let mut writer = Writer::new(Vec::new(), "Transom 0.1.0").unwrap();
    let interface = writer
        .interface(&Interface {
            name: "transom0",
            description: "a test",
            medium: Medium::Ip,
            snaplen: 0,
            comment: "",
        })
        .unwrap();
    writer
        .names(&[(addr(End::Server).ip(), "example.com")])
        .unwrap();
    writer.tls_secrets(b"CLIENT_RANDOM 00 11\n").unwrap();
    for (at, (time, frame)) in scene.frames.iter().enumerate() {
        let is_out = frame[12..16] == scene::SERVER.0.octets();
        let packet = Packet {
            direction: if is_out {
                Direction::Out
            } else {
                Direction::In
            },
            comments: if at == 7 {
                &["one", "zwei – 二"]
            } else {
                &[]
            },
            ..Packet::new(interface, EPOCH + *time + Duration::from_nanos(7), frame)
        };
        writer.packet(&packet).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn our_own_pcapng_is_read_back_whole() {
    let file = capture();
    let mut reader = Reader::new(&file[..]).unwrap();
    let mut decapsulator = Decapsulator::new();
    let mut tracker = Tracker::new(Limits::default());
    let scene = play(CONVERSATION);
    let mut numbers = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let (time, frame) = &scene.frames[numbers.len()];
        numbers.push(record.number);
        assert_eq!(record.data, frame);
        assert_eq!(record.time, EPOCH + *time + Duration::from_nanos(7));
        assert_eq!(record.link, LinkType::RAW);
        assert_eq!(record.orig_len as usize, frame.len());
        let is_out = frame[12..16] == scene::SERVER.0.octets();
        assert_eq!(record.direction == Direction::Out, is_out);
        let comments: Vec<_> = record.comments().collect();
        assert_eq!(comments.len(), if record.number == 8 { 2 } else { 0 });
        if record.number == 8 {
            assert_eq!(comments, ["one", "zwei – 二"]);
        }
        tracker
            .frame(&decapsulator.frame(&record).unwrap())
            .unwrap();
    }
    reader.finish().unwrap();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    assert_eq!(reader.format(), Some(Format::Pcapng));
    assert_eq!(reader.offset(), file.len() as u64);
    assert_eq!(reader.interface(0).unwrap().name, "transom0");
    let names: Vec<_> = reader.names().collect();
    assert_eq!(names, [(addr(End::Server).ip(), "example.com".to_owned())]);
    assert_eq!(reader.names().count(), 0, "each name is told once");
    let secrets: Vec<_> = reader.secrets().collect();
    assert_eq!(secrets[0].data, b"CLIENT_RANDOM 00 11\n");
    tracker.finish();
    let connection = tracker.connections().next().unwrap();
    assert_eq!(connection.closed_by(), ClosedBy::Fin(End::Server));
}

/// Number, time, length on the wire and bytes of a record.
pub(crate) type Given = (u64, Duration, u32, Vec<u8>);

/// All records of a capture, and how it ended.
pub(crate) fn records(file: &[u8]) -> (Vec<Given>, Result<(), Error>) {
    let mut records = Vec::new();
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (records, Err(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((
                record.number,
                record.time,
                record.orig_len,
                record.data.to_vec(),
            )),
            Ok(None) => return (records, reader.finish()),
            Err(error) => return (records, Err(error)),
        }
    }
}

/// What editcap makes of a capture in each format that we read.
#[test]
fn conversions_by_editcap_hold_the_same_packets() {
    let original = Temporary::new("original.pcapng", &capture());
    let (expected, end) = records(&original.bytes());
    end.unwrap();
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        let converted = Temporary::new(&format!("converted.{format}"), b"");
        run(
            "editcap",
            &["-F", format, original.path(), converted.path()],
        );
        let (read, end) = records(&converted.bytes());
        end.unwrap();
        assert_eq!(read.len(), expected.len(), "{format}");
        let is_coarse = matches!(format, "pcap" | "modpcap");
        for (read, expected) in read.iter().zip(&expected) {
            let time = if is_coarse {
                Duration::from_micros(u64::try_from(expected.1.as_micros()).unwrap())
            } else {
                expected.1
            };
            assert_eq!(
                *read,
                (expected.0, time, expected.2, expected.3.clone()),
                "{format}"
            );
        }
    }
    let fields = tshark_fields(&original.0, &["frame.number", "frame.time_epoch"]);
    let ours: Vec<_> = expected
        .iter()
        .map(|(number, time, ..)| {
            vec![
                number.to_string(),
                format!("{}.{:09}", time.as_secs(), time.subsec_nanos()),
            ]
        })
        .collect();
    assert_eq!(fields, ours);
}

/// A file with every kind of block, two sections, both byte orders, and times of all sorts.
pub(crate) fn every_block() -> Vec<u8> {
    let eth4 = ethernet(0x0800, &tcp4());
    let eth6 = ethernet(0x86dd, &tcp6());
    let mut blocks = Blocks::new(false);
    let offset = 1_700_000_000_i64;
    blocks
        .interface(1, 0, &[(2, b"eth0"), (1, b"a comment")])
        .interface(101, 96, &[(9, &[9]), (14, &offset.to_le_bytes())])
        .interface(1, 0, &[(9, &[0x80 | 20])])
        .packet(0, 1_700_000_000_123_456, &eth4, 60, &[])
        .packet(
            1,
            1_500_000_000,
            &tcp6(),
            1500,
            &[(1, b"first"), (2, &[2, 0, 0, 0])],
        )
        .packet(
            2,
            (1_700_000_001 << 20) + (1 << 19),
            &eth6,
            90,
            &[(1, "zwei".as_bytes()), (1, b"drei")],
        )
        .block(5, &[0; 12])
        .block(0xbad, b"\0\0\x7e\xd9custom data!")
        .block(0x4000_0bad, b"\0\0\x7e\xd9custom data!")
        .block(9, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=hi\n\n")
        .block(0x0999, b"who knows what")
        .block(10, b"KSLT\x04\0\0\0abcd")
        .simple(&eth4, eth4.len() as u32)
        .obsolete(1, 2_000_000_000, &tcp4(), &[(1, b"obsolete")])
        .section(true, u64::MAX)
        .interface(1, 64, &[(9, &[3]), (14, &(-10_i64).to_be_bytes())])
        .simple(&[&eth6[..], &[5; 200]].concat()[..64], 274)
        .packet(
            0,
            1_700_000_012_500,
            &eth6,
            90,
            &[(1, b"big"), (2, &[0, 0, 0, 1])],
        );
    let mut name = blocks.u16(1);
    name.extend(blocks.u16(15));
    name.extend([10, 0, 0, 2]);
    name.extend(b"server.org\0\0");
    name.extend([0; 4]);
    blocks.block(4, &name);
    blocks.bytes
}

#[test]
fn every_block_is_read_as_wireshark_reads_it() {
    let file = Temporary::new("every.pcapng", &every_block());
    let fields = tshark_fields(
        &file.0,
        &[
            "frame.number",
            "frame.time_epoch",
            "frame.len",
            "frame.cap_len",
            "tcp.srcport",
            "frame.comment",
        ],
    );
    let bytes = file.bytes();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let mut ours = Vec::new();
    let mut decapsulator = Decapsulator::new();
    let mut sections = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let time = match record.time {
            Duration::ZERO => String::new(),
            time => format!("{}.{:09}", time.as_secs(), time.subsec_nanos()),
        };
        let comments: Vec<_> = record.comments().collect();
        ours.push(vec![
            record.number.to_string(),
            time,
            record.orig_len.to_string(),
            record.data.len().to_string(),
            "43210".to_owned(),
            comments.join(","),
        ]);
        sections.push((record.section, record.interface, record.direction));
        if record.data.len() > 70 {
            decapsulator.frame(&record).unwrap();
        }
    }
    reader.finish().unwrap();
    // The frames that hold no packets have numbers, too.
    let packets: Vec<_> = fields
        .into_iter()
        .filter(|line| line[4] == "43210")
        .collect();
    assert_eq!(ours.len(), 7);
    assert_eq!(ours, packets);
    assert_eq!(ours[3][0], "7", "three frames without packets come before");
    let expected = [(0, 0), (0, 1), (0, 2), (0, 0), (0, 1), (1, 0), (1, 0)];
    assert_eq!(
        sections
            .iter()
            .map(|(section, interface, _)| (*section, *interface))
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(sections[1].2, Direction::Out);
    assert_eq!(sections[6].2, Direction::In);
    let names: Vec<_> = reader.names().collect();
    assert_eq!(names, [([10, 0, 0, 2].into(), "server.org".to_owned())]);
    assert_eq!(reader.passed_over(), 5);
    assert_eq!(reader.interface(0).unwrap().snaplen, 64);
}

#[test]
fn pcap_of_either_byte_order_and_every_magic() {
    let little = pcap(1, &[&ethernet(0x0800, &tcp4())]);
    let swapped = |words: &[u8]| -> Vec<u8> {
        words
            .chunks(4)
            .flat_map(|word| word.iter().rev().copied())
            .collect()
    };
    let mut big = swapped(&little[..24]);
    // The two halves of the version are fields of their own.
    big[4..8].copy_from_slice(&[0, 2, 0, 4]);
    big.extend(swapped(&little[24..40]));
    big.extend(&little[40..]);
    assert_eq!(records(&big).0, records(&little).0);
    let mut nanos = little.clone();
    nanos[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    nanos[28..32].copy_from_slice(&5_u32.to_le_bytes());
    let (read, end) = records(&nanos);
    end.unwrap();
    assert_eq!(read[0].1, Duration::new(1, 5));
    // Lengths the other way round, as before version 2.3.
    let mut old = little.clone();
    old[6] = 2;
    old[36..40].copy_from_slice(&little[32..36]);
    old[32..36].copy_from_slice(&100_u32.to_le_bytes());
    assert_eq!(records(&old).0[0].2, 100);
    // A check sequence of four bytes at the end of each frame.
    let mut with_fcs = little;
    with_fcs[23] = 0x24;
    let reader = Reader::new(&with_fcs[..]).unwrap();
    assert_eq!(reader.interface(0).unwrap().fcs_len, Some(4));
    assert_eq!(reader.interface(0).unwrap().link, LinkType::ETHERNET);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzipped_captures_are_unpacked_also_in_several_members() {
    let file = every_block();
    let expected = records(&file).0;
    let whole = gzip(&file);
    assert_eq!(records(&whole).0, expected);
    let (first, second) = file.split_at(file.len() / 2);
    let members = [gzip(first), gzip(second)].concat();
    let (read, end) = records(&members);
    end.unwrap();
    assert_eq!(read, expected);
    assert!(Reader::new(&whole[..]).unwrap().is_gzip());
    // Without its trailer every packet is there, and what is missing is told.
    let (read, end) = records(&whole[..whole.len() - 4]);
    assert_eq!(read, expected);
    assert!(matches!(end, Err(Error::Truncated { .. })), "{end:?}");
    let (_, end) = records(&gzip(&whole));
    assert!(end.unwrap_err().to_string().contains("gzipped twice"));
    let (_, end) = records(&gzip(b""));
    assert!(matches!(end, Err(Error::NotACapture { .. })));
    let mut damaged = gzip(&vec![0; 1 << 20]);
    damaged.splice(..0, gzip(&file));
    let at = damaged.len() - 6;
    damaged[at] ^= 0xff;
    assert!(records(&damaged).1.is_err());
}

/// An input that gives some bytes at a time, and ends now and then.
struct Growing<'a> {
    pieces: Vec<&'a [u8]>,
}

impl Read for Growing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.first_mut() else {
            return Ok(0);
        };
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        *piece = &piece[len..];
        if len == 0 {
            self.pieces.remove(0);
        }
        Ok(len)
    }
}

#[test]
fn a_file_that_grows_is_read_on() {
    for file in [every_block(), pcap(101, &[&tcp4(), &tcp6(), &tcp4()])] {
        let expected: Vec<u64> = records(&file).0.iter().map(|read| read.0).collect();
        for step in [1, 3, 7, 64, 1000] {
            let pieces: Vec<&[u8]> = file.chunks(step).collect();
            let ends = pieces.len();
            let mut reader = Reader::new(Growing { pieces }).unwrap();
            let mut read = Vec::new();
            let mut empty = 0;
            while empty <= ends + 2 {
                match reader.next().unwrap() {
                    Some(record) => read.push(record.number),
                    None => empty += 1,
                }
            }
            reader.finish().unwrap();
            assert_eq!(read, expected, "in steps of {step}");
            assert_eq!(reader.offset(), file.len() as u64);
        }
    }
}

/// An input that fails once.
struct Failing<'a>(&'a [u8], bool);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.len() < 100 && !core::mem::replace(&mut self.1, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.0.len().min(buffer.len()).min(50);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn an_error_of_the_system_is_told_and_reading_goes_on() {
    let file = every_block();
    let mut reader = Reader::new(Failing(&file, false)).unwrap();
    let (mut read, mut errors) = (0, 0);
    loop {
        match reader.next() {
            Ok(Some(_)) => read += 1,
            Ok(None) => break,
            Err(error) => {
                assert!(matches!(error, Error::Io { .. }), "{error}");
                errors += 1;
            }
        }
    }
    assert_eq!((read, errors), (7, 1));
    reader.finish().unwrap();
}

#[test]
fn what_is_no_capture_is_named() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "the file is empty"),
        (b"abc", "3 bytes are too few"),
        (b"hello, world", "it looks like text"),
        (
            b"\x01\x02\x03\x04\x05",
            "the first bytes are not those of one",
        ),
        (b"\x28\xb5\x2f\xfd....", "compressed with zstd"),
        (b"#!/bin/sh", "a script"),
        (
            b"\xd4\xc3\xb2\xa1\x09\0\x09\0................",
            "pcap version 9.9",
        ),
    ];
    for (bytes, expected) in cases {
        let error = records(bytes).1.unwrap_err();
        assert!(matches!(error, Error::NotACapture { .. }));
        assert!(error.to_string().contains(expected), "{error}");
    }
}
