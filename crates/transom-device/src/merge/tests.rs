use super::*;
use bytes::Bytes;
use transom_wire::Seq;
use transom_wire::ip::{Ecn, Packet};
use transom_wire::tcp::{Header, Options, TcpView, Timestamps};

/// What makes a segment.
#[derive(Clone)]
struct Wire {
    v6: bool,
    header: Header,
    ecn: Ecn,
    data: Vec<u8>,
}

impl Wire {
    fn new(v6: bool) -> Self {
        Self {
            v6,
            header: Header {
                src_port: 1,
                dst_port: 2,
                seq: Seq::new(u32::MAX - 100),
                ack: Seq::new(77),
                flags: Flags::ACK,
                window: 500,
                urgent: 0,
                options: Options {
                    timestamps: Some(Timestamps { val: 3, ecr: 4 }),
                    ..Options::EMPTY
                },
            },
            ecn: Ecn::NotEct,
            data: (0..1000_u32).map(|n| (n % 251) as u8).collect(),
        }
    }

    /// The next segment of the flow.
    fn next(&self, len: usize) -> Self {
        let mut next = self.clone();
        next.header.seq += octets(self.data.len());
        next.data = (0..octets(len)).map(|n| (n % 241) as u8).collect();
        next
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn packet(&self) -> Vec<u8> {
        let tcp_len = self.header.header_len() + self.data.len();
        let mut packet;
        let (src, dst);
        if self.v6 {
            let ip = ipv6::Header {
                ecn: self.ecn,
                ..ipv6::Header::new([1; 16].into(), [2; 16].into(), Protocol::TCP)
            };
            packet = vec![0; 40 + tcp_len];
            ip.emit(&mut packet, tcp_len);
            (src, dst) = (ip.src.into(), ip.dst.into());
        } else {
            let ip = ipv4::Header {
                ecn: self.ecn,
                id: self.header.seq.raw() as u16,
                ..ipv4::Header::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Protocol::TCP)
            };
            packet = vec![0; 20 + tcp_len];
            ip.emit(&mut packet, tcp_len);
            (src, dst) = (ip.src.into(), ip.dst.into());
        }
        let at = packet.len() - tcp_len;
        packet[at + self.header.header_len()..].copy_from_slice(&self.data);
        self.header
            .emit_with_checksum(&mut packet[at..], src, dst, &self.data);
        packet
    }
}

/// What comes of packets, handed over and read into place.
fn merged(packets: &[Vec<u8>]) -> Vec<RxFrame> {
    let (mut pushed, mut placed) = (Vec::new(), Vec::new());
    let (mut merger, mut buffers) = (Merger::new(1500), Buffers::new());
    for packet in packets {
        merger.push(&mut buffers, packet, &mut pushed);
    }
    merger.flush(&mut buffers, &mut pushed);
    let (mut merger, mut buffers) = (Merger::new(1500), Buffers::new());
    for packet in packets {
        let read = merger.read(&mut buffers, &mut placed, |place| {
            place[..packet.len()].copy_from_slice(packet);
            Ok::<_, ()>(packet.len())
        });
        assert_eq!(read, Ok(packet.len()));
        // Nothing more for now.
        assert_eq!(merger.read(&mut buffers, &mut placed, |_| Err(())), Err(()));
    }
    merger.flush(&mut buffers, &mut placed);
    let all = |frames: &[RxFrame]| -> Vec<(Bytes, u16, RxChecksum)> {
        let tell = |frame: &RxFrame| (frame.data.clone(), frame.gso_size, frame.checksum);
        frames.iter().map(tell).collect()
    };
    assert_eq!(all(&pushed), all(&placed));
    pushed
}

#[test]
fn segments_in_order_become_one_frame_that_ends_with_the_short_one_or_the_push() {
    for v6 in [false, true] {
        let first = Wire::new(v6);
        let second = first.next(1000);
        let third = second.next(999);
        let pushed = second
            .clone()
            .with(|wire| wire.header.flags = Flags::ACK | Flags::PSH);
        let fourth = third.next(1000);
        for (last, flags) in [(&third, Flags::ACK), (&pushed, pushed.header.flags)] {
            let row = if last.data.len() == 999 {
                vec![&first, &second, last, &fourth]
            } else {
                vec![&first, last]
            };
            let packets: Vec<_> = row.iter().map(|wire| wire.packet()).collect();
            let frames = merged(&packets);
            assert_eq!(frames.len(), if row.len() > 2 { 2 } else { 1 });
            assert_eq!(frames[0].gso_size, 1000);
            assert_eq!(frames[0].checksum, RxChecksum::Valid);
            let packet = Packet::new(&frames[0].data).unwrap();
            let tcp = TcpView::new(packet.payload()).unwrap();
            let data: Vec<u8> = row
                .iter()
                .take(3)
                .flat_map(|wire| wire.data.clone())
                .collect();
            assert_eq!(tcp.payload(), data);
            assert_eq!(tcp.seq(), first.header.seq);
            assert_eq!(tcp.flags(), flags);
            // A frame of its own stays as it came.
            if let Some(single) = frames.get(1) {
                assert_eq!(single.data, packets[3]);
                assert_eq!((single.gso_size, single.checksum), (0, RxChecksum::Valid));
            }
        }
    }
}

#[test]
fn req_lnk_9_what_differs_in_anything_stays_apart_and_in_order() {
    for v6 in [false, true] {
        let first = Wire::new(v6);
        let next = first.next(1000);
        type Change = fn(&mut Wire);
        let changes: &[(&str, Change)] = &[
            ("a gap", |wire| wire.header.seq += 1),
            ("another port", |wire| wire.header.src_port = 9),
            ("another acknowledgement", |wire| wire.header.ack += 1),
            ("another window", |wire| wire.header.window += 1),
            ("another time", |wire| {
                wire.header.options.timestamps = Some(Timestamps { val: 4, ecr: 4 });
            }),
            ("no options", |wire| wire.header.options = Options::EMPTY),
            ("a mark", |wire| wire.ecn = Ecn::Ce),
            ("an echo", |wire| wire.header.flags |= Flags::ECE),
            ("the end", |wire| wire.header.flags |= Flags::FIN),
            ("a reset", |wire| wire.header.flags |= Flags::RST),
            ("urgent data", |wire| {
                wire.header.flags |= Flags::URG;
                wire.header.urgent = 1;
            }),
            ("more data", |wire| wire.data.push(1)),
            ("no data", |wire| wire.data.clear()),
            ("the other family", |wire| wire.v6 = !wire.v6),
        ];
        for (what, change) in changes {
            let other = next.clone().with(change);
            let packets = [first.packet(), other.packet()];
            let frames = merged(&packets);
            let data: Vec<_> = frames.iter().map(|frame| frame.data.clone()).collect();
            assert_eq!(data, packets, "{what}");
            assert!(frames.iter().all(|frame| frame.gso_size == 0));
        }
    }
}

#[test]
fn what_is_damaged_is_left_for_the_stack_to_judge() {
    for v6 in [false, true] {
        let first = Wire::new(v6);
        let (good, next) = (first.packet(), first.next(1000).packet());
        let fixed = if v6 { 40 } else { 20 };
        // Any octet of the second segment but, in IPv6, the flow label and the like, which only the comparison sees.
        for at in 0..next.len() {
            let mut bad = next.clone();
            bad[at] ^= 0x10;
            let frames = merged(&[good.clone(), bad.clone()]);
            let data: Vec<_> = frames.iter().map(|frame| frame.data.clone()).collect();
            assert_eq!(data, [good.clone(), bad], "{at} of {fixed}");
            assert_eq!(frames[0].checksum, RxChecksum::Valid);
            let vouched = frames[1].checksum == RxChecksum::Valid;
            // What no checksum covers makes another flow of it, not a damaged one.
            assert!(!vouched || v6 && (at < 4 || at == 7), "{at}");
        }
    }
}

#[test]
fn a_large_segment_and_one_to_be_handed_on_are_verified_alone() {
    for v6 in [false, true] {
        let first = Wire::new(v6);
        let large = first
            .clone()
            .with(|wire| wire.data = vec![7; BUFFER_SIZE / 2]);
        let pushed = first.clone().with(|wire| wire.header.flags |= Flags::PSH);
        for alone in [large, pushed] {
            let next = alone.next(1000).packet();
            let packet = alone.packet();
            let frames = merged(&[packet.clone(), next.clone()]);
            let data: Vec<_> = frames.iter().map(|frame| frame.data.clone()).collect();
            assert_eq!(data, [packet.clone(), next]);
            assert!(
                frames
                    .iter()
                    .all(|frame| (frame.gso_size, frame.checksum) == (0, RxChecksum::Valid))
            );
            for at in [packet.len() - 1, packet.len() / 2] {
                let mut bad = packet.clone();
                bad[at] ^= 1;
                let frames = merged(std::slice::from_ref(&bad));
                assert_eq!(frames[0].data, bad);
                assert_eq!(frames[0].checksum, RxChecksum::Unverified);
            }
        }
    }
}

#[test]
fn a_frame_never_outgrows_its_buffer() {
    let mut wire = Wire::new(false);
    let mut packets = Vec::new();
    for _ in 0..200 {
        packets.push(wire.packet());
        wire = wire.next(1000);
    }
    let frames = merged(&packets);
    assert!(frames.len() >= 4 && frames.len() <= 5);
    assert!(frames.iter().all(|frame| frame.data.len() <= MAX_PACKET));
    assert!(frames.iter().all(|frame| Packet::new(&frame.data).is_ok()));
    let data: usize = frames.iter().map(|frame| frame.data.len() - 52).sum();
    assert_eq!(data, 200 * 1000);
}
