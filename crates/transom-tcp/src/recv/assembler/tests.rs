//! The receive queue: in-order delivery, SACK blocks, limits; and against a map of octets.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const ISNS: [u32; 7] = [
    0,
    1,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX - 2,
    u32::MAX - 1,
    u32::MAX,
];
const LIMIT: usize = 1 << 20;

fn octets(from: usize, len: usize) -> Bytes {
    (from..from + len)
        .map(|i| (i * 31 % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// A queue at `start` whose stream's octet `i` has the value `octets(i, 1)`.
struct Peer {
    start: Seq,
    queue: RecvQueue,
}

impl Peer {
    fn new(isn: u32) -> Self {
        Self {
            start: Seq::new(isn),
            queue: RecvQueue::new(Seq::new(isn), LIMIT),
        }
    }

    fn send(&mut self, from: usize, len: usize) -> Inserted {
        self.queue
            .insert(self.start + from as u32, octets(from, len))
    }

    /// SACK blocks as offsets from the start.
    fn blocks(&self, max: usize) -> Vec<(u32, u32)> {
        let blocks = self.queue.sack_blocks(max);
        blocks
            .iter()
            .map(|b| (b.start.since(self.start), b.end.since(self.start)))
            .collect()
    }

    fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = self.queue.pop(usize::MAX) {
            all.extend_from_slice(&piece);
        }
        all
    }
}

#[test]
fn in_order_data_is_read_in_pieces_of_any_size_without_copying() {
    let frame = octets(0, 5000);
    let mut queue = RecvQueue::new(Seq::new(9), LIMIT);
    assert_eq!(queue.insert(Seq::new(9), frame.clone()).advanced, 5000);
    assert_eq!((queue.rcv_nxt(), queue.readable()), (Seq::new(5009), 5000));
    let piece = queue.pop(1000).unwrap();
    assert_eq!(piece.as_ptr(), frame.as_ptr());
    let mut buffer = [0; 700];
    assert_eq!(queue.peek_into(&mut buffer), 700);
    assert_eq!(queue.pop_into(&mut buffer), 700);
    assert_eq!(buffer[..], frame[1000..1700]);
    assert_eq!(queue.pop(usize::MAX).unwrap(), frame.slice(1700..));
    assert_eq!(queue.pop(usize::MAX), None);
    assert_eq!(queue.pop(0), None);
}

#[test]
fn a_gap_delays_delivery_until_it_closes() {
    for isn in ISNS {
        let mut peer = Peer::new(isn);
        let late = peer.send(100, 50);
        assert!(late.out_of_order && late.advanced == 0 && late.duplicate.is_none());
        assert_eq!(peer.queue.readable(), 0);
        assert_eq!(peer.queue.out_of_order_bytes(), 50);
        assert_eq!(peer.queue.highest(), peer.start + 150);
        let filling = peer.send(0, 100);
        assert!(filling.filled_gap);
        assert_eq!(filling.advanced, 150);
        assert_eq!(peer.read_all(), octets(0, 150));
        assert_eq!(peer.queue.out_of_order_bytes(), 0);
        assert_eq!(peer.queue.highest(), peer.queue.rcv_nxt());
    }
}

#[test]
fn req_sack_4_the_first_block_holds_the_segment_that_arrived_last() {
    let mut peer = Peer::new(1000);
    // Segments of 100 octets numbered from 1; 1 is missing. Arrivals: 2, 4, 6, 3.
    let _ = peer.send(100, 100);
    assert_eq!(peer.blocks(4), [(100, 200)]);
    let _ = peer.send(300, 100);
    assert_eq!(peer.blocks(4), [(300, 400), (100, 200)]);
    let _ = peer.send(500, 100);
    assert_eq!(peer.blocks(4), [(500, 600), (300, 400), (100, 200)]);
    let _ = peer.send(200, 100);
    assert_eq!(
        peer.blocks(4),
        [(100, 400), (500, 600)],
        "3 joins 2 and 4: first, and merged"
    );
}

#[test]
fn req_sack_5_further_blocks_are_the_most_recently_reported_and_no_subsets() {
    let mut peer = Peer::new(0);
    for from in [700, 100, 300, 500, 900] {
        let _ = peer.send(from, 100);
    }
    assert_eq!(
        peer.blocks(4),
        [(900, 1000), (500, 600), (300, 400), (100, 200)]
    );
    // 300 again, grown: to the front, everything else keeps its order.
    let _ = peer.send(400, 50);
    assert_eq!(peer.blocks(3), [(300, 450), (900, 1000), (500, 600)]);
    // A gap closes: what became readable is no longer reported.
    let _ = peer.send(0, 100);
    assert_eq!(
        peer.blocks(4),
        [(300, 450), (900, 1000), (500, 600), (700, 800)]
    );
}

#[test]
fn req_sack_6_as_many_blocks_as_fit_also_old_ones() {
    let mut peer = Peer::new(0);
    for i in 0..20 {
        let _ = peer.send(100 + 200 * i, 100);
    }
    for max in 0..=4 {
        assert_eq!(peer.blocks(max).len(), max);
    }
    assert_eq!(peer.blocks(99).len(), 4);
    // All recently changed ranges merge into one: the option is still filled, from the others.
    let mut peer = Peer::new(0);
    for i in 0..20 {
        let _ = peer.send(100 + 200 * i, 100);
    }
    for i in 10..19 {
        let _ = peer.send(200 + 200 * i, 100);
    }
    let blocks = peer.blocks(4);
    assert_eq!(blocks[0], (2100, 4000));
    assert_eq!(blocks.len(), 4);
}

#[test]
fn req_sack_7_an_out_of_order_segment_asks_for_an_ack_at_once() {
    let mut peer = Peer::new(0);
    assert!(!peer.send(0, 10).out_of_order);
    assert!(peer.send(20, 10).out_of_order);
    let part = peer.send(10, 5);
    assert!(
        part.filled_gap && !part.out_of_order,
        "part of a gap counts as well"
    );
    assert!(peer.send(15, 5).filled_gap);
    assert!(!peer.send(30, 5).filled_gap);
}

#[test]
fn req_sack_8_blocks_lie_beyond_rcv_nxt_also_across_the_wrap() {
    for isn in ISNS {
        let mut peer = Peer::new(isn);
        for from in [3, 7, 1, 5] {
            let _ = peer.send(from, 1);
            for block in &peer.queue.sack_blocks(4) {
                assert!(block.start.lt(block.end));
                assert!(block.start.gt(peer.queue.rcv_nxt()));
            }
        }
        assert_eq!(peer.blocks(4), [(5, 6), (1, 2), (7, 8), (3, 4)]);
    }
}

#[test]
fn req_dsack_1_and_dsack_3_a_whole_duplicate_is_reported_once() {
    let mut peer = Peer::new(0);
    let _ = peer.send(0, 300);
    assert!(peer.blocks(4).is_empty());
    let again = peer.send(100, 100);
    assert_eq!(again.advanced, 0);
    assert_eq!(
        again.duplicate,
        Some(SeqRange {
            start: Seq::new(100),
            end: Seq::new(200)
        })
    );
    assert_eq!(peer.blocks(4), [(100, 200)]);
    assert!(peer.queue.take_duplicate().is_some());
    assert!(peer.blocks(4).is_empty());
    peer.queue.note_duplicate(SeqRange {
        start: Seq::new(0),
        end: Seq::new(100),
    });
    assert_eq!(peer.blocks(4), [(0, 100)]);
}

#[test]
fn req_dsack_2_a_duplicate_beyond_the_gap_is_followed_by_its_block() {
    let mut peer = Peer::new(0);
    let _ = peer.send(100, 300);
    let _ = peer.send(500, 100);
    let _ = peer.send(200, 100);
    assert_eq!(peer.blocks(4), [(200, 300), (100, 400), (500, 600)]);
    let _ = peer.queue.take_duplicate();
    assert_eq!(peer.blocks(4), [(100, 400), (500, 600)]);
}

#[test]
fn req_dsack_4_only_the_repeated_part_is_reported() {
    let mut peer = Peer::new(0);
    let _ = peer.send(0, 100);
    let half = peer.send(50, 100);
    assert_eq!(half.advanced, 50);
    assert_eq!(
        half.duplicate,
        Some(SeqRange {
            start: Seq::new(50),
            end: Seq::new(100)
        })
    );
    let _ = peer.queue.take_duplicate();
    let _ = peer.send(300, 100);
    let _ = peer.send(500, 100);
    // 350..550: repeated are 350..400 and 500..550; only the first contiguous part is told.
    let across = peer.send(350, 200);
    assert_eq!(
        across.duplicate,
        Some(SeqRange {
            start: Seq::new(350),
            end: Seq::new(400)
        })
    );
    assert_eq!(peer.blocks(4), [(350, 400), (300, 600)]);
}

#[test]
fn req_sec_data_2_the_octets_received_first_win() {
    let mut queue = RecvQueue::new(Seq::new(0), LIMIT);
    let _ = queue.insert(Seq::new(10), Bytes::from_static(b"AAAA"));
    let _ = queue.insert(Seq::new(8), Bytes::from_static(b"bbbbbbbb"));
    let _ = queue.insert(Seq::new(0), Bytes::from_static(b"cccccccccccccccccc"));
    let mut out = [0; 18];
    assert_eq!(queue.pop_into(&mut out), 18);
    assert_eq!(&out, b"ccccccccbbAAAAbbcc");
}

#[test]
fn req_sec_ooo_1_and_cve_13_and_cve_21_one_octet_segments_are_charged_bounded_and_never_stop_the_stream()
 {
    let limit = 64 * 1024;
    let mut queue = RecvQueue::new(Seq::new(0), limit);
    let frame = octets(0, 1500);
    let mut dropped = 0;
    // A fixed scramble of odd offsets: no two neighbours, so nothing merges.
    for i in 0_u32..20_000 {
        let at = 1 + 2 * (i.wrapping_mul(2_654_435_761) % 30_000);
        let inserted = queue.insert(Seq::new(at), frame.slice(..1));
        dropped += usize::from(inserted.dropped_for_memory);
        assert!(queue.memory_used() <= limit);
        assert!(queue.out_of_order_ranges() <= MAX_RANGES);
    }
    assert!(dropped > 10_000);
    let held = queue.out_of_order_bytes();
    assert!(
        held * (PIECE_OVERHEAD + 1) <= limit,
        "{held} octets are charged at real cost"
    );
    // What is held is what lies nearest.
    assert!(queue.highest().lt(Seq::new(30_000)));
    // The segment at RCV.NXT is taken all the same, with what follows it.
    assert!(queue.insert(Seq::new(0), octets(0, 40_000)).advanced >= 40_000);
}

#[test]
fn req_sack_14_a_farther_piece_never_displaces_a_nearer_one_and_is_reported_no_more() {
    let mut queue = RecvQueue::new(Seq::new(0), 3 * (1000 + PIECE_OVERHEAD));
    for from in [1000, 3000, 5000] {
        assert!(
            !queue
                .insert(Seq::new(from), octets(0, 1000))
                .dropped_for_memory
        );
    }
    assert!(
        queue
            .insert(Seq::new(7000), octets(0, 1000))
            .dropped_for_memory
    );
    assert_eq!(queue.out_of_order_bytes(), 3000);
    assert!(
        !queue
            .insert(Seq::new(2000), octets(0, 1000))
            .dropped_for_memory
    );
    assert_eq!(queue.highest(), Seq::new(4000), "5000 gave way");
    let blocks = queue.sack_blocks(4);
    assert!(blocks.iter().all(|block| block.end.le(Seq::new(4000))));
    assert_eq!(queue.out_of_order_bytes(), 3000);
}

#[test]
fn small_payloads_do_not_pin_large_frames() {
    let frame = Bytes::from(vec![7; 60_000]);
    let inside = frame.as_ptr() as usize..frame.as_ptr() as usize + frame.len();
    let mut queue = RecvQueue::new(Seq::new(0), LIMIT);
    for i in 0..1000_u32 {
        let _ = queue.insert(Seq::new(2 * i + 1000), frame.slice(..1));
        let _ = queue.insert(Seq::new(i), frame.slice(..1));
    }
    let mut pinned = 0;
    let mut pieces = 0;
    while let Some(piece) = queue.pop(usize::MAX) {
        pinned += usize::from(inside.contains(&(piece.as_ptr() as usize)));
        pieces += 1;
    }
    assert!(pinned <= 1, "{pinned} of {pieces} pieces pin the frame");
    assert!(pieces < 20, "{pieces} pieces");
}

#[test]
fn an_empty_queue_holds_no_heap_memory() {
    let mut peer = Peer::new(u32::MAX);
    let _ = peer.send(3000, 1000);
    let _ = peer.send(0, 3000);
    for i in 0..100 {
        let _ = peer.send(4000 + 10 * i, 10);
    }
    assert!(peer.queue.memory_used() >= 5000);
    assert_eq!(peer.read_all().len(), 5000);
    assert_eq!(peer.queue.rest.capacity(), 0);
    assert_eq!(peer.queue.gathered.capacity(), 0);
    assert!(peer.queue.out_of_order.is_none());
    assert_eq!(peer.queue.memory_used(), 0);
    let _ = peer.send(5000, 2000);
    let _ = peer.send(7000, 2000);
    assert_eq!(peer.queue.clear_readable(), 4000);
    assert_eq!(peer.queue.memory_used(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(i64, usize),
    Pop(usize),
    PopInto(usize),
    Ack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-60_i64..300, 0_usize..80).prop_map(|(at, len)| Step::Insert(at, len)),
        3 => (0_i64..2, 0_usize..900).prop_map(|(at, len)| Step::Insert(at, len)),
        2 => (0_usize..400).prop_map(Step::Pop),
        1 => (0_usize..400).prop_map(Step::PopInto),
        1 => Just(Step::Ack),
    ]
}

/// Which octets of the stream have arrived, kept the plain way.
struct Model {
    held: Vec<bool>,
    nxt: usize,
    read: usize,
}

impl Model {
    fn insert(&mut self, from: usize, len: usize) {
        if self.held.len() < from + len {
            self.held.resize(from + len, false);
        }
        self.held[from..from + len].fill(true);
        while self.held.get(self.nxt) == Some(&true) {
            self.nxt += 1;
        }
    }

    fn ranges(&self) -> Vec<(u32, u32)> {
        let mut ranges = Vec::new();
        let mut at = self.nxt;
        while at < self.held.len() {
            if self.held[at] {
                let end = (at..self.held.len())
                    .find(|&i| !self.held[i])
                    .unwrap_or(self.held.len());
                ranges.push((at as u32, end as u32));
                at = end;
            } else {
                at += 1;
            }
        }
        ranges
    }
}

proptest! {
    #[test]
    fn behaves_like_a_map_of_octets(
        isn in prop_oneof![proptest::sample::select(ISNS.to_vec()), any::<u32>()],
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut peer = Peer::new(isn);
        let mut model = Model { held: Vec::new(), nxt: 0, read: 0 };
        for step in steps {
            match step {
                Step::Insert(at, len) => {
                    let from = (model.nxt as i64 + at).max(0) as usize;
                    let before = model.nxt;
                    let fresh = from > model.nxt || from + len > model.nxt;
                    model.insert(from, len);
                    let inserted = peer.send(from, len);
                    prop_assert_eq!(inserted.advanced as usize, model.nxt - before);
                    prop_assert!(!inserted.dropped_for_memory);
                    prop_assert!(fresh || inserted.advanced == 0);
                    if let Some(first) = peer.queue.sack_blocks(4).iter()
                        .find(|_| inserted.out_of_order && inserted.duplicate.is_none() && len > 0)
                    {
                        prop_assert!(peer.queue.duplicate.is_some()
                            || first.contains(peer.start + from as u32));
                    }
                }
                Step::Pop(max) => {
                    let piece = peer.queue.pop(max).unwrap_or_default();
                    prop_assert!(piece.len() <= max);
                    prop_assert_eq!(piece.is_empty(), max == 0 || model.nxt == model.read);
                    prop_assert_eq!(&piece, &octets(model.read, piece.len()));
                    model.read += piece.len();
                }
                Step::PopInto(max) => {
                    let mut out = vec![0; max];
                    let got = peer.queue.pop_into(&mut out);
                    prop_assert_eq!(got, max.min(model.nxt - model.read));
                    prop_assert_eq!(&out[..got], &octets(model.read, got)[..]);
                    model.read += got;
                }
                Step::Ack => {
                    let _ = peer.queue.take_duplicate();
                }
            }
            prop_assert_eq!(peer.queue.rcv_nxt(), peer.start + model.nxt as u32);
            prop_assert_eq!(peer.queue.readable(), model.nxt - model.read);
            let ranges = model.ranges();
            prop_assert_eq!(peer.queue.out_of_order_ranges(), ranges.len());
            prop_assert_eq!(
                peer.queue.out_of_order_bytes(),
                ranges.iter().map(|(start, end)| (end - start) as usize).sum::<usize>()
            );
            let duplicate = usize::from(peer.queue.duplicate.is_some());
            let blocks = peer.blocks(4);
            prop_assert_eq!(blocks.len(), (ranges.len() + duplicate).min(4));
            for block in &blocks[duplicate..] {
                prop_assert!(ranges.contains(block), "{:?} of {:?}", block, ranges);
            }
        }
    }

    #[test]
    fn limits_hold_and_the_stream_still_arrives(
        limit in 0_usize..6000,
        arrivals in proptest::collection::vec((0_usize..6000, 1_usize..700), 1..120),
    ) {
        let mut queue = RecvQueue::new(Seq::new(u32::MAX - 3000), limit);
        let start = queue.rcv_nxt();
        for (from, len) in arrivals {
            let at_nxt = start + from as u32 == queue.rcv_nxt();
            let inserted = queue.insert(start + from as u32, octets(from, len));
            prop_assert!(!at_nxt || inserted.advanced >= len as u32);
            prop_assert!(queue.memory_used() - queue.readable() <= limit + 2048 + 32 * 128);
        }
        // The peer repeats everything in order: nothing is missing, nothing is wrong.
        while queue.rcv_nxt().since(start) < 7000 {
            let from = queue.rcv_nxt().since(start) as usize;
            prop_assert!(queue.insert(queue.rcv_nxt(), octets(from, 500)).advanced >= 500);
        }
        let mut out = vec![0; queue.readable()];
        queue.pop_into(&mut out);
        prop_assert_eq!(&out[..], &octets(0, out.len())[..]);
    }
}
