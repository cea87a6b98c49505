//! Fragments, lengths of cut frames, and checksums.

use crate::build::{client, ethernet, fragments4, ip, prefixed, segment, server, tcp4, udp};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, LinkType, Record};
use transom_flow::{Checksum, Ignored, Limits, Tracker};

/// Gives frames one by one, and returns the packets that come out, with their lengths on the wire.
fn innermost(
    decapsulator: &mut Decapsulator,
    link: LinkType,
    frames: &[Vec<u8>],
) -> Vec<(Vec<u8>, u32)> {
    let mut packets = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let time = Duration::from_millis(at as u64);
        let record = Record::new(at as u64 + 1, time, link, frame);
        match decapsulator.frame(&record) {
            Ok(inner) => packets.push((inner.data.to_vec(), inner.wire_len)),
            Err(Ignored::Fragment) => {}
            Err(other) => panic!("{other}"),
        }
    }
    packets
}

#[test]
fn fragments_are_put_together_in_any_order_and_through_tunnels() {
    let data = vec![7; 3000];
    let packet = ip(client(), server(), 6, &segment(client(), server(), &data));
    let mut fragments = fragments4(&packet, 77, 1480);
    assert_eq!(fragments.len(), 3);
    // As a mirror of both directions of a switch sees them.
    fragments.push(fragments[1].clone());
    for order in [[0, 1, 2, 3], [2, 1, 3, 0], [1, 0, 3, 2]] {
        let frames: Vec<_> = order.map(|at| fragments[at].clone()).into();
        let mut decapsulator = Decapsulator::new();
        let packets = innermost(&mut decapsulator, LinkType::RAW, &frames);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].0[20..], packet[20..]);
        assert_eq!(packets[0].0[2..4], packet[2..4]);
        assert_eq!(packets[0].1 as usize, packet.len());
        let counters = decapsulator.counters();
        assert_eq!((counters.fragments, counters.reassembled), (4, 1));
        assert_eq!(
            (counters.fragment_copies, counters.fragments_refused),
            (1, 0)
        );
    }
    // Fragments of a VXLAN packet whose inner packet came in fragments itself.
    let mut frames = Vec::new();
    for (at, inner) in fragments4(&packet, 5, 1600).iter().enumerate() {
        let tunnelled = prefixed(&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet(0x0800, inner));
        let outer = ip(client(), server(), 17, &udp(4789, &tunnelled));
        frames.extend(fragments4(&outer, 900 + at as u16, 1000));
    }
    let mut decapsulator = Decapsulator::new();
    let packets = innermost(&mut decapsulator, LinkType::RAW, &frames);
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].0[20..], packet[20..]);
}

#[test]
fn fragments_of_ipv6_lose_their_header() {
    let (src, dst) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let whole = segment(src, dst, &[9; 100]);
    let fragment = |start: usize, end: usize, more: u8| {
        let field = [(start >> 8) as u8, start as u8 | more];
        let header = [&[6, 0][..], &field, &[0, 0, 0, 9]].concat();
        let options = [44, 0, 1, 4, 0, 0, 0, 0];
        ip(
            src,
            dst,
            60,
            &[&options[..], &header, &whole[start..end]].concat(),
        )
    };
    let frames = [fragment(64, whole.len(), 0), fragment(0, 64, 1)];
    let mut decapsulator = Decapsulator::new();
    let packets = innermost(&mut decapsulator, LinkType::IPV6, &frames);
    let expected = ip(
        src,
        dst,
        60,
        &[&[6, 0, 1, 4, 0, 0, 0, 0][..], &whole].concat(),
    );
    assert_eq!(packets, [(expected, 40 + 8 + 120)]);
}

#[test]
fn a_cut_fragment_still_counts_with_its_length() {
    let data = vec![7; 2000];
    let packet = ip(client(), server(), 6, &segment(client(), server(), &data));
    let fragments = fragments4(&packet, 77, 1480);
    let cut: Vec<_> = fragments.iter().map(|f| f[..60].to_vec()).collect();
    let mut decapsulator = Decapsulator::new();
    let packets = innermost(&mut decapsulator, LinkType::RAW, &cut);
    assert_eq!(packets[0].1 as usize, packet.len());
    assert_eq!(packets[0].0.len(), 60, "up to the first gap");
    let (mut tracker, time) = (Tracker::new(Limits::default()), Duration::ZERO);
    let medium = transom_flow::wire::Medium::Ip;
    tracker
        .frame(&transom_flow::Frame::new(time, medium, &packets[0].0))
        .unwrap();
    assert_eq!(sent(&tracker), 2000);
}

/// Bytes of data that the only connection carried.
fn sent(tracker: &Tracker) -> u64 {
    let connection = tracker.connections().next().unwrap();
    let entries = connection.entries();
    let lens = entries.into_iter().filter_map(|entry| match entry {
        transom_flow::Entry::Step(step) => match &step.what {
            transom_flow::What::Segment(segment) => Some(u64::from(segment.len)),
            _ => None,
        },
        _ => None,
    });
    lens.sum()
}

/// What a frame says of its length when it was cut, padded, or left to the card.
#[test]
fn lengths_come_from_the_header_or_else_from_the_capture() {
    let whole = ethernet(
        0x0800,
        &ip(
            client(),
            server(),
            6,
            &segment(client(), server(), &[1; 1000]),
        ),
    );
    let mut offloaded = whole.clone();
    offloaded[16..18].fill(0);
    let short = ethernet(
        0x0800,
        &ip(client(), server(), 6, &segment(client(), server(), b"")),
    );
    let mut padded = short;
    padded.resize(60, 0);
    // 54 is the end of the TCP header: what is cut from it is missing, its lengths are not.
    let cases = [
        ("whole", &whole[..], 1054, 1000),
        ("cut behind the headers", &whole[..96], 1054, 1000),
        ("cut at the header's end", &whole[..54], 1054, 1000),
        ("no total length", &offloaded[..], 1054, 1000),
        ("no total length, and cut", &offloaded[..96], 1054, 1000),
        ("padded", &padded[..], 60, 0),
    ];
    for (name, data, orig_len, expected) in cases {
        let mut record = Record::new(1, Duration::ZERO, LinkType::ETHERNET, data);
        record.orig_len = orig_len;
        let mut decapsulator = Decapsulator::new();
        let mut tracker = Tracker::new(Limits::default());
        tracker
            .frame(&decapsulator.frame(&record).unwrap())
            .unwrap();
        assert_eq!(sent(&tracker), expected, "{name}");
        assert_eq!(
            decapsulator.counters().cut,
            u64::from(data.len() < orig_len as usize),
            "{name}"
        );
    }
}

#[test]
fn a_tcp_header_cut_within_its_options_is_read() {
    let mut segment = segment(client(), server(), b"");
    segment[12] = 0x80;
    segment.extend([2, 4, 5, 180, 1, 1, 4, 2, 1, 1, 1, 1]);
    segment.extend([0; 500]);
    let packet = ip(client(), server(), 6, &segment);
    let mut record = Record::new(1, Duration::ZERO, LinkType::RAW, &packet[..46]);
    record.orig_len = packet.len() as u32;
    let mut decapsulator = Decapsulator::new();
    let mut tracker = Tracker::new(Limits::default());
    tracker
        .frame(&decapsulator.frame(&record).unwrap())
        .unwrap();
    assert_eq!(sent(&tracker), 500);
}

#[test]
fn offloaded_checksums_are_told_from_damage() {
    let right = tcp4();
    let mut damaged = right.clone();
    *damaged.last_mut().unwrap() ^= 4;
    let mut empty = right.clone();
    empty[36..38].fill(0);
    let mut partial = right.clone();
    let pseudo = transom_flow::wire::checksum::pseudo_header(client(), server(), 6, 25);
    partial[36..38].copy_from_slice(&pseudo.partial().to_be_bytes());
    let cases = [
        (&right[..], Checksum::Right),
        (&damaged, Checksum::Wrong),
        (&empty, Checksum::Offloaded),
        (&partial, Checksum::Offloaded),
        (&right[..right.len() - 1], Checksum::Unknown),
    ];
    for (packet, expected) in cases {
        let record = Record::new(1, Duration::ZERO, LinkType::RAW, packet);
        let mut checking = Decapsulator::new().with_checksums();
        assert_eq!(checking.frame(&record).unwrap().checksum, expected);
        assert_eq!(
            Decapsulator::new().frame(&record).unwrap().checksum,
            Checksum::Unknown
        );
    }
    let mut record = Record::new(1, Duration::ZERO, LinkType::RAW, &damaged);
    record.direction = transom_flow::pcapng::Direction::Out;
    let mut checking = Decapsulator::new().with_checksums();
    assert_eq!(
        checking.frame(&record).unwrap().checksum,
        Checksum::Offloaded
    );
}
