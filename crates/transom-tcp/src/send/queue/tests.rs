//! The send queue against a vector of octets.
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

/// Sequence numbers around which arithmetic modulo 2^32 goes wrong first.
const ISNS: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];

fn octets(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (i * 31 % 251) as u8).collect()
}

fn bytes_of(payload: &Payload) -> Vec<u8> {
    payload.to_vec()
}

#[test]
fn what_is_written_is_sliced_and_freed_in_order_at_every_isn() {
    for isn in ISNS {
        let start = Seq::new(isn);
        let mut queue = SendQueue::new(start);
        queue.push(Bytes::from(octets(0, 1000)));
        queue.push_slice(&octets(1000, 500));
        assert_eq!(queue.len(), 1500);
        assert_eq!(queue.end(), start + 1500);
        assert_eq!(bytes_of(&queue.slice(start + 900, 300)), octets(900, 300));
        assert_eq!(queue.ack_to(start + 1100), 1100);
        assert_eq!(queue.una(), start + 1100);
        assert_eq!(
            bytes_of(&queue.slice(start + 1100, 9999)),
            octets(1100, 400)
        );
        assert!(
            queue.slice(start, 10).is_empty(),
            "what was acknowledged is gone"
        );
        assert_eq!(
            queue.ack_to(start + 1501),
            400,
            "the number of a FIN frees what is there"
        );
        assert!(queue.is_empty());
        assert_eq!(queue.end(), start + 1500);
    }
}

#[test]
fn a_slice_shares_memory_with_the_write() {
    let data = Bytes::from(octets(0, 100_000));
    let mut queue = SendQueue::new(Seq::new(0));
    queue.push(data.clone());
    let payload = queue.slice(Seq::new(5), 64_000);
    let first = payload.chunks().next().unwrap();
    assert_eq!(first.as_ptr(), data[5..].as_ptr());
}

#[test]
fn small_writes_share_one_piece_of_memory_even_after_being_sent() {
    let mut queue = SendQueue::new(Seq::new(7));
    queue.push_slice(b"abc");
    let sent = queue.slice(Seq::new(7), 3);
    queue.push_slice(b"def");
    let again = queue.slice(Seq::new(7), 6);
    assert_eq!(bytes_of(&again), b"abcdef");
    let pointers: Vec<_> = again
        .chunks()
        .map(|chunk| chunk.as_ptr() as usize)
        .collect();
    assert_eq!(
        pointers[1],
        pointers[0] + 3,
        "the second write went behind the first"
    );
    assert_eq!(sent.chunks().next().unwrap().as_ptr() as usize, pointers[0]);
}

#[test]
fn an_empty_queue_holds_no_heap_memory() {
    let mut queue = SendQueue::new(Seq::new(0));
    for round in 0..3_u32 {
        let start = queue.end();
        for _ in 0..100 {
            queue.push_slice(&[1; 100]);
            queue.push(Bytes::from(vec![2; 4000]));
        }
        let _ = queue.slice(start, 100_000);
        queue.ack_to(queue.end());
        assert_eq!(queue.chunks.capacity(), 0, "round {round}");
        assert_eq!(queue.tail.capacity(), 0, "round {round}");
    }
}

#[test]
fn small_messages_one_after_the_other_need_the_same_memory() {
    let mut queue = SendQueue::new(Seq::new(0));
    let mut places = alloc::collections::BTreeSet::new();
    for round in 0..100_u32 {
        let start = queue.end();
        queue.push_slice(&[1; 100]);
        let sent = queue.slice(start, 1000);
        assert_eq!(sent.chunks().count(), 1, "round {round}");
        places.extend(sent.chunks().map(|chunk| chunk.as_ptr() as usize));
        drop(sent);
        queue.ack_to(queue.end());
        assert!(queue.chunks.capacity() <= KEPT_CHUNKS);
        assert!(queue.tail.capacity() <= LEAST_TAIL);
    }
    assert_eq!(places.len(), LEAST_TAIL / 100);
}

#[test]
fn memory_that_a_frame_shares_is_not_written_to() {
    let mut queue = SendQueue::new(Seq::new(0));
    for round in 0..50_u8 {
        let start = queue.end();
        queue.push_slice(&[round; 100]);
        let frame = queue.slice(start, 100);
        queue.ack_to(queue.end());
        queue.push_slice(&[0xff; 1000]);
        assert_eq!(frame.to_vec(), [round; 100]);
        queue.ack_to(queue.end());
    }
}

#[test]
fn sequential_reading_finds_its_chunk_without_a_search() {
    let mut queue = SendQueue::new(Seq::new(0));
    for i in 0..50 {
        queue.push(Bytes::from(octets(i * 1000, 1000)));
    }
    let mut at = Seq::new(0);
    for _ in 0..34 {
        let payload = queue.slice(at, 1448);
        let cursor = queue.cursor;
        let next = u64::from((at + payload.len() as u32).raw());
        assert!(
            queue
                .chunks
                .get(cursor as usize)
                .is_none_or(|c| c.offset <= next && next <= c.end()),
            "the cursor stands where the next slice begins"
        );
        at += payload.len() as u32;
    }
}

#[test]
fn the_push_boundary_is_the_end_of_the_last_write() {
    let mut queue = SendQueue::new(Seq::new(100));
    assert_eq!(queue.push_end(), Seq::new(100));
    queue.push_slice(b"hello");
    queue.push(Bytes::from(vec![0; 1000]));
    assert_eq!(queue.push_end(), Seq::new(1105));
    queue.push_slice(b"");
    assert_eq!(queue.push_end(), Seq::new(1105));
    queue.ack_to(Seq::new(200));
    assert_eq!(queue.push_end(), Seq::new(1105));
    queue.clear();
    assert_eq!((queue.len(), queue.una()), (0, Seq::new(200)));
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    PushSlice(usize),
    Ack(usize),
    Slice(usize, usize),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..3000).prop_map(Step::Push),
        4 => prop_oneof![0_usize..20, 0_usize..5000].prop_map(Step::PushSlice),
        4 => (0_usize..4000).prop_map(Step::Ack),
        8 => (0_usize..12_000, 0_usize..6000).prop_map(|(at, len)| Step::Slice(at, len)),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_vector(
        isn in prop_oneof![proptest::sample::select(ISNS.to_vec()), any::<u32>()],
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut queue = SendQueue::new(Seq::new(isn));
        let mut model: Vec<u8> = Vec::new();
        let mut una = Seq::new(isn);
        let mut written = 0;
        for step in steps {
            match step {
                Step::Push(len) => {
                    queue.push(Bytes::from(octets(written, len)));
                    model.extend(octets(written, len));
                    written += len;
                }
                Step::PushSlice(len) => {
                    queue.push_slice(&octets(written, len));
                    model.extend(octets(written, len));
                    written += len;
                }
                Step::Ack(len) => {
                    let freed = len.min(model.len());
                    prop_assert_eq!(queue.ack_to(una + len as u32), freed);
                    model.drain(..freed);
                    una += freed as u32;
                }
                Step::Slice(at, len) => {
                    let got = bytes_of(&queue.slice(una + at as u32, len));
                    let from = at.min(model.len());
                    let to = (from + len).min(model.len());
                    prop_assert_eq!(&got, &model[from..to]);
                }
                Step::Clear => {
                    queue.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.una(), una);
            prop_assert_eq!(queue.end(), una + model.len() as u32);
            prop_assert_eq!(
                queue.chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>() + queue.tail.len(),
                model.len()
            );
        }
    }
}
