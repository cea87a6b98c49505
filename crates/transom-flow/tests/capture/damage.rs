//! Any bytes: no panic, no hang, bounded memory; the break is where it is said to be.

use crate::build::{Blocks, client, ethernet, fragments4, ip, pcap, segment, server, tcp4, udp};
use crate::formats::{every_block, records};
use proptest::prelude::*;
use std::collections::HashMap;
use std::io::{self, Read};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, Error, LinkType, Reader, Record, copy};
use transom_flow::{Limits, Tracker};

/// Reads everything in every way; what is read must be within the file.
fn read_all(bytes: &[u8]) {
    let mut tracker = Tracker::new(Limits::default());
    let mut decapsulator = Decapsulator::new().with_checksums();
    let mut numbers = 0;
    if let Ok(mut reader) = Reader::new(bytes) {
        loop {
            match reader.next() {
                Ok(Some(record)) => {
                    assert!(record.number > numbers, "numbers rise");
                    numbers = record.number;
                    assert!(record.orig_len as usize >= record.data.len());
                    let comments = record
                        .comments()
                        .map(|comment| comment.len())
                        .sum::<usize>();
                    assert!(record.data.len() + comments <= bytes.len() * 3);
                    if let Ok(frame) = decapsulator.frame(&record) {
                        let _ignored = tracker.frame(&frame);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(
                        error
                            .offset()
                            .is_none_or(|offset| offset <= bytes.len() as u64)
                    );
                    assert!(
                        reader.next().unwrap().is_none(),
                        "nothing comes after a break"
                    );
                    break;
                }
            }
        }
        let (names, secrets) = (reader.names().count(), reader.secrets().count());
        assert!(names + secrets <= bytes.len());
        assert!(reader.offset() <= bytes.len() as u64 + u64::from(u32::MAX));
    }
    tracker.finish();
    let comments = HashMap::from([(1, vec!["one".to_owned()]), (3, vec!["three".to_owned()])]);
    let mut copied = Vec::new();
    let result = copy(bytes, &mut copied, &comments);
    // What can be read of the original can be read of the copy.
    if result.is_ok() {
        let (original, copied) = (records(bytes), records(&copied));
        assert_eq!(original.1.is_ok(), copied.1.is_ok());
        assert_eq!(original.0, copied.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_behind_a_magic_number(start in 0_usize..8, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let starts: [&[u8]; 8] = [
            b"",
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
            b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x65",
            b"\x34\xcd\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x71\0\0\0",
            b"\x0a\x0d\x0d\x0a",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
            b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        ];
        read_all(&[starts[start], &bytes].concat());
    }

    #[test]
    fn flipped_bits_and_overwritten_words(
        is_pcap in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..6),
        words in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..3),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = if is_pcap {
            pcap(1, &[&ethernet(0x0800, &tcp4()), &ethernet(0x8100, &tcp4()), &ethernet(0x0800, &tcp4())])
        } else {
            every_block()
        };
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
        }
        for (at, word) in words {
            let at = at.index(file.len() / 4) * 4;
            if let Some(bytes) = file.get_mut(at..at + 4) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        if is_cut {
            file.truncate(end.index(file.len()));
        }
        read_all(&file);
    }

    /// Any frame on any link, and any change to frames with tunnels and fragments.
    #[test]
    fn any_frame_is_decapsulated_or_ignored(
        link in prop::sample::select(vec![0_u16, 1, 9, 12, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 192, 204, 239, 276]),
        frames in prop::collection::vec((0_usize..6, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>(), any::<u32>()), 1..20),
        random in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let inner = tcp4();
        let long = ip(client(), server(), 6, &segment(client(), server(), &[3; 400]));
        let vxlan = udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, &inner)].concat());
        let mut seeds = fragments4(&long, 7, 120);
        seeds.truncate(4);
        seeds.push(ip(client(), server(), 17, &vxlan));
        seeds.push(ip(client(), server(), 47, &[&[0, 0, 8, 0][..], &ip(client(), server(), 4, &inner)].concat()));
        let mut decapsulator = Decapsulator::new().with_checksums();
        let mut tracker = Tracker::new(Limits::default());
        let random = Record::new(1, Duration::ZERO, LinkType(link), &random);
        if let Ok(frame) = decapsulator.frame(&random) {
            let _ignored = tracker.frame(&frame);
        }
        for (seed, changes, end, orig_len) in frames {
            let mut bytes = seeds[seed].clone();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let mut record = Record::new(2, Duration::ZERO, LinkType::RAW, &bytes);
            if orig_len % 3 == 0 {
                record.data = &bytes[..end.index(bytes.len())];
                record.orig_len = orig_len;
            }
            if let Ok(frame) = decapsulator.frame(&record) {
                prop_assert!(frame.data.len() <= 65_535);
                let _ignored = tracker.frame(&frame);
            }
        }
        tracker.finish();
        let counters = decapsulator.counters();
        prop_assert!(counters.reassembled + counters.fragment_copies + counters.fragments_refused <= counters.fragments);
    }
}

/// Wherever a file is cut, all whole records are given, and the cut is where it is said to be.
#[test]
fn a_cut_file_gives_all_that_is_whole_and_names_the_rest() {
    for file in [every_block(), pcap(101, &[&tcp4(), &tcp4()])] {
        let mut reader = Reader::new(&file[..]).unwrap();
        let mut ends = Vec::new();
        while let Some(_record) = reader.next().unwrap() {
            ends.push(reader.offset());
        }
        // Bounds of all records or blocks.
        let bounds: Vec<u64> = if file.starts_with(&[0x0a, 0x0d]) {
            block_bounds(&file)
        } else {
            std::iter::once(24).chain(ends.iter().copied()).collect()
        };
        for cut in 0..file.len() {
            let (read, end) = records(&file[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut as u64).count();
            assert_eq!(read.len(), whole, "cut at {cut}");
            let start = bounds.iter().copied().filter(|at| *at <= cut as u64).max();
            match (end, start) {
                (Ok(()), Some(start)) => assert_eq!(start, cut as u64),
                (
                    Err(Error::Truncated {
                        offset, present, ..
                    }),
                    Some(start),
                ) => {
                    assert_eq!((offset, present), (start, cut as u64 - start));
                }
                (Err(Error::NotACapture { .. }), None) => assert!(cut < 24),
                (Err(Error::NotACapture { .. }), Some(0)) => assert!(cut < 4),
                (end, start) => panic!("cut at {cut}: {end:?} {start:?}"),
            }
        }
    }
}

fn block_bounds(file: &[u8]) -> Vec<u64> {
    let mut bounds = vec![0];
    let mut at = 0;
    let mut is_big = false;
    while at < file.len() {
        if file[at..at + 4] == [0x0a, 0x0d, 0x0d, 0x0a] {
            is_big = file[at + 8] == 0x1a;
        }
        let len: [u8; 4] = file[at + 4..at + 8].try_into().unwrap();
        at += if is_big {
            u32::from_be_bytes(len)
        } else {
            u32::from_le_bytes(len)
        } as usize;
        bounds.push(at as u64);
    }
    bounds
}

#[test]
fn breaks_are_named_with_their_offset() {
    let eth = ethernet(0x0800, &tcp4());
    let mut sound = Blocks::new(false);
    sound.interface(1, 0, &[]).packet(0, 1, &eth, 60, &[]);
    let at = sound.bytes.len() as u64;
    let broken = |change: &dyn Fn(&mut Blocks)| {
        let mut blocks = sound.clone();
        change(&mut blocks);
        records(&blocks.bytes)
    };
    let overwritten = |place: usize, value: u32| {
        broken(&|blocks| {
            blocks.packet(0, 2, &eth, 60, &[]);
            let place = at as usize + place;
            blocks.bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
        })
    };
    let cases = [
        ("claims 0 bytes", overwritten(4, 0)),
        ("claims 13 bytes", overwritten(4, 13)),
        ("claims 4294967292 bytes", overwritten(4, u32::MAX - 3)),
        (
            "a packet that claims 4294967295 bytes",
            overwritten(20, u32::MAX),
        ),
        ("a packet of interface 7", overwritten(8, 7)),
        ("in front and 5 behind", overwritten(88, 5)),
        (
            "without the byte-order magic",
            broken(&|b| {
                b.bytes
                    .extend([0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0, 0, 0, 0, 0])
            }),
        ),
        (
            "without its header",
            broken(&|b| {
                b.block(6, &[0; 8]);
            }),
        ),
    ];
    for (what, (read, end)) in cases {
        assert_eq!(
            read.len(),
            1,
            "{what}: what is in front of the break is given"
        );
        match end {
            Err(Error::Broken {
                offset, what: told, ..
            }) => {
                assert_eq!(offset, at, "{what}");
                assert!(told.contains(what), "{told}, not {what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    let mut file = pcap(1, &[&eth, &eth]);
    let second = 24 + 16 + eth.len();
    file[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    match records(&file) {
        (read, Err(Error::Broken { offset, .. })) => {
            assert_eq!((read.len(), offset), (1, second as u64));
        }
        other => panic!("{other:?}"),
    }
}

/// A file with a block of nearly 4 GiB of a kind that is passed over.
struct Vast {
    head: Vec<u8>,
    zeros: u64,
    tail: Vec<u8>,
}

impl Read for Vast {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.head.is_empty() {
            let len = self.head.len().min(buffer.len());
            buffer[..len].copy_from_slice(&self.head[..len]);
            self.head.drain(..len);
            return Ok(len);
        }
        if self.zeros > 0 {
            let len = self.zeros.min(buffer.len() as u64);
            self.zeros -= len;
            // The bytes are of no interest; what the buffer holds is given.
            return Ok(len as usize);
        }
        let len = self.tail.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.tail[..len]);
        self.tail.drain(..len);
        Ok(len)
    }
}

#[test]
fn a_vast_block_is_passed_over_without_memory_for_it() {
    let eth = ethernet(0x0800, &tcp4());
    let mut blocks = Blocks::new(false);
    blocks.interface(1, 0, &[]).packet(0, 1, &eth, 60, &[]);
    let mut head = blocks.bytes.clone();
    let start = head.len() as u64;
    head.extend(10_u32.to_le_bytes());
    head.extend(0xffff_fff0_u32.to_le_bytes());
    let mut rest = blocks.clone();
    rest.bytes.clear();
    rest.packet(0, 2, &eth, 60, &[]);
    let zeros = 0xffff_fff0 - 8;
    let vast = |zeros| Vast {
        head: head.clone(),
        zeros,
        tail: rest.bytes.clone(),
    };
    let mut reader = Reader::new(vast(zeros)).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().number, 1);
    assert_eq!(reader.next().unwrap().unwrap().number, 2);
    assert!(reader.next().unwrap().is_none());
    reader.finish().unwrap();
    assert_eq!(reader.passed_over(), 1);
    // And one that is not all there.
    let mut reader = Reader::new(Vast {
        tail: Vec::new(),
        ..vast(1000)
    })
    .unwrap();
    assert_eq!(reader.next().unwrap().unwrap().number, 1);
    assert!(reader.next().unwrap().is_none());
    match reader.finish() {
        Err(Error::Truncated {
            offset, present, ..
        }) => {
            assert_eq!((offset, present), (start, 1008));
        }
        other => panic!("{other:?}"),
    }
}
