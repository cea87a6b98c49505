//! A capture file, the whole way: reader, decapsulator, tracker, verdicts in words, and the copy with comments.

use std::collections::HashMap;

use transom_flow::capture::{Decapsulator, Reader, copy};
use transom_flow::{Limits, Tracker};

/// Reads the file in every way.
pub fn run(bytes: &[u8]) {
    // A gzip file of a few bytes may hold megabytes: compressed input is left to the reader's own tests.
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    // The reader sets aside a buffer each time, which is most of the work: one way for each input.
    match bytes.len() % 4 {
        0 => compare_copy(bytes),
        1 => read(bytes, true),
        _ => read(bytes, false),
    }
}

/// A copy with comments has the same frames.
fn compare_copy(bytes: &[u8]) {
    let comments = HashMap::from([(1, vec!["one".to_owned()]), (3, vec!["three".to_owned()])]);
    let mut copied = Vec::new();
    if copy(bytes, &mut copied, &comments).is_ok() {
        assert_eq!(count(bytes), count(&copied), "a copy has the same frames");
    }
}

/// How many records there are, and whether the file is whole.
fn count(bytes: &[u8]) -> (u64, bool) {
    let mut records = 0;
    let Ok(mut reader) = Reader::new(bytes) else {
        return (0, false);
    };
    loop {
        match reader.next() {
            Ok(Some(_)) => records += 1,
            Ok(None) => return (records, true),
            Err(_) => return (records, false),
        }
    }
}

fn read(bytes: &[u8], checksums: bool) {
    let mut tracker = Tracker::new(Limits::default());
    let mut decapsulator = Decapsulator::new();
    if checksums {
        decapsulator = decapsulator.with_checksums();
    }
    let Ok(mut reader) = Reader::new(bytes) else {
        return;
    };
    let mut number = 0;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                assert!(record.number > number, "numbers rise");
                number = record.number;
                assert!(record.orig_len as usize >= record.data.len());
                if let Ok(frame) = decapsulator.frame(&record) {
                    let tracked = tracker.frame(&frame);
                    if let Ok(tracked) = tracked {
                        let _ = tracker.followed(&tracked).is_some();
                    }
                }
            }
            Ok(None) => break,
            Err(error) => {
                let offset = error.offset().unwrap_or(0);
                assert!(offset <= bytes.len() as u64, "the break is in the file");
                assert!(matches!(reader.next(), Ok(None)), "nothing follows a break");
                break;
            }
        }
    }
    assert!(reader.names().count() + reader.secrets().count() <= bytes.len());
    tracker.finish();
    for connection in tracker.take_all() {
        let verdict = connection.verdict();
        assert!(!verdict.text().is_empty());
        assert!(
            verdict
                .findings
                .iter()
                .all(|finding| !finding.text.is_empty())
        );
        let _ = (connection.states(), connection.summary_state());
        let _ = (connection.closed_by(), connection.is_one_sided());
        assert!(connection.entries().count() <= bytes.len() * 8 + 64);
    }
}

/// Small files of both formats: a handshake, data, a reset; a fragment; IPv6.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let packets = packets();
    for (magic, nanos) in [
        ([0xd4, 0xc3, 0xb2, 0xa1], false),
        ([0x4d, 0x3c, 0xb2, 0xa1], true),
    ] {
        let mut file = magic.to_vec();
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0]);
        for (index, packet) in packets.iter().enumerate() {
            let time = if nanos { 1_000_000 } else { 1000 } * index as u32;
            file.extend([1, 0, 0, 0]);
            file.extend(time.to_le_bytes());
            file.extend((packet.len() as u32).to_le_bytes());
            file.extend((packet.len() as u32).to_le_bytes());
            file.extend(packet);
        }
        seeds.push(file);
    }
    seeds.push(pcapng(&packets));
    seeds
}

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = (12 + body.len().next_multiple_of(4)) as u32;
        file.extend(kind.to_le_bytes());
        file.extend(len.to_le_bytes());
        file.extend(body);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(len.to_le_bytes());
    };
    let section = [&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat();
    block(0x0a0d_0d0a, &section);
    // An interface with a name and its resolution, for raw IP.
    block(
        1,
        &[
            101, 0, 0, 0, 0, 0, 4, 0, 2, 0, 1, 0, b't', 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        ],
    );
    for (index, packet) in packets.iter().enumerate() {
        let mut body = vec![0, 0, 0, 0, 0, 0, 0, 0];
        body.extend((index as u32 * 1000).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([1, 0, 2, 0, b'h', b'i', 0, 0, 0, 0, 0, 0]);
        block(6, &body);
    }
    // Names, and a block that nobody knows.
    block(
        4,
        &[1, 0, 8, 0, 10, 0, 0, 1, b'a', b'.', b'b', 0, 0, 0, 0, 0],
    );
    block(0x7777, &[1, 2, 3, 4]);
    file
}

/// Raw IP packets of one connection, and some others.
fn packets() -> Vec<Vec<u8>> {
    let segment = |from: u8, seq: u32, ack: u32, flags: u8, options: &[u8], data: &[u8]| {
        let len = 40 + options.len() + data.len();
        let mut packet = vec![0x45, 0, 0, len as u8, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend([10, 0, 0, from, 10, 0, 0, 3 - from]);
        let (source, destination) = if from == 1 {
            (40000_u16, 80)
        } else {
            (80_u16, 40000)
        };
        packet.extend(source.to_be_bytes());
        packet.extend(u16::to_be_bytes(destination));
        packet.extend(seq.to_be_bytes());
        packet.extend(ack.to_be_bytes());
        packet.extend([
            (5 + options.len() as u8 / 4) << 4,
            flags,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ]);
        packet.extend(options);
        packet.extend(data);
        packet
    };
    let syn = [
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
    ];
    let mut six = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
    six.extend([0xfd; 16]);
    six.extend([0xfe; 16]);
    six.extend([
        0, 80, 0x9c, 0x40, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ]);
    vec![
        segment(1, 100, 0, 2, &syn, b""),
        segment(2, 500, 101, 0x12, &syn, b""),
        segment(1, 101, 501, 0x10, b"", b""),
        segment(1, 101, 501, 0x18, b"", b"GET / HTTP/1.0\r\n\r\n"),
        segment(2, 501, 119, 0x18, b"", b"HTTP/1.0 200 OK\r\n"),
        segment(1, 101, 501, 0x18, b"", b"GET / HTTP/1.0\r\n\r\n"),
        segment(1, 119, 518, 0x11, b"", b""),
        segment(2, 518, 120, 0x14, b"", b""),
        six,
    ]
}
