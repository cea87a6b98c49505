//! Devices around devices, over a memory link and with a clock that the test sets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use transom_device::memory::{MemoryDevice, pair};
use transom_device::{Device, Direction, Impaired, Tap, TappedFrame};
use transom_sim::Impairment;
use transom_wire::frame::{
    Capabilities, HeaderBuf, Payload, RxChecksum, RxFrame, TxFrame, TxOffload,
};
use transom_wire::ip::{Ecn, Packet, Protocol, ipv4};

fn with_offload() -> Capabilities {
    Capabilities {
        tx_checksum: true,
        max_gso: 65_535,
        ..Capabilities::ip(1500)
    }
}

fn frame(number: u8, len: usize) -> TxFrame {
    let mut headers = HeaderBuf::new();
    assert!(headers.extend(&[number; 20]));
    let mut payload = Payload::new();
    payload.push(Bytes::from(vec![number; (len - 20) / 2]));
    payload.push(Bytes::from(vec![number; len - 20 - (len - 20) / 2]));
    TxFrame {
        headers,
        payload,
        offload: TxOffload::None,
    }
}

fn send(device: &mut impl Device, frame: TxFrame) {
    assert_eq!(device.send(&mut VecDeque::from([frame])).unwrap(), 1);
}

fn recv(device: &mut impl Device) -> Vec<RxFrame> {
    let mut out = Vec::new();
    loop {
        match device.recv(&mut out, 7) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return out,
            Err(error) => panic!("{error}"),
        }
    }
}

type Seen = (Direction, Vec<u8>);

#[test]
fn a_tap_shows_what_passes_and_only_that() {
    let (a, mut b) = pair(Capabilities::ip(1500));
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let recorder = Arc::clone(&seen);
    let mut tap = Tap::new(a, move |frame: &TappedFrame<'_>| {
        let bytes: Vec<u8> = frame.chunks().flatten().copied().collect();
        assert_eq!(bytes.len(), frame.len());
        assert!(!frame.checksum_offloaded() && frame.gso_size() == 0);
        recorder.lock().unwrap().push((frame.direction, bytes));
    });
    // More than one batch, and more than the link takes.
    let mut frames: VecDeque<TxFrame> = (0..1000).map(|n| frame(n as u8, 100)).collect();
    let taken = tap.send(&mut frames).unwrap();
    assert!(taken < 1000);
    assert_eq!(frames.len(), 1000 - taken);
    assert_eq!(
        frames[0],
        frame(taken as u8, 100),
        "the rest keeps its order"
    );
    assert_eq!(
        tap.send(&mut frames).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let arrived = recv(&mut b);
    assert_eq!(arrived.len(), taken);

    send(&mut b, frame(7, 50));
    assert_eq!(recv(&mut tap).len(), 1);
    let seen = seen.lock().unwrap();
    let (last, sent) = seen.split_last().unwrap();
    assert_eq!(*last, (Direction::Received, vec![7; 50]));
    assert!(
        sent.iter()
            .all(|(direction, _)| *direction == Direction::Sent)
    );
    assert!(
        sent.iter()
            .map(|(_, bytes)| bytes)
            .eq(arrived.iter().map(|frame| &frame.data[..]))
    );
}

/// An impaired device, the other end of its link, and its clock in milliseconds.
fn impaired(inbound: &str, outbound: &str) -> (Impaired<MemoryDevice>, MemoryDevice, Clock) {
    let (a, b) = pair(with_offload());
    let clock = Clock {
        start: Instant::now(),
        millis: Arc::default(),
    };
    let (start, millis) = (clock.start, Arc::clone(&clock.millis));
    let parse = |spec: &str| spec.parse::<Impairment>().unwrap();
    let device = Impaired::new(a, parse(inbound), parse(outbound))
        .with_clock(move || start + Duration::from_millis(millis.load(Ordering::SeqCst)));
    (device, b, clock)
}

struct Clock {
    start: Instant,
    millis: Arc<AtomicU64>,
}

impl Clock {
    fn set(&self, millis: u64) {
        self.millis.store(millis, Ordering::SeqCst);
    }

    fn at(&self, millis: u64) -> Option<Instant> {
        Some(self.start + Duration::from_millis(millis))
    }
}

#[test]
fn frames_come_out_at_the_deadline_in_both_directions() {
    let (mut near, mut far, clock) = impaired("delay=10ms", "delay=25ms");
    assert_eq!(near.next_deadline(), None);
    send(&mut near, frame(1, 100));
    assert_eq!(near.next_deadline(), clock.at(25));
    send(&mut far, frame(2, 100));
    assert!(recv(&mut near).is_empty(), "it is on the link now");
    assert_eq!(near.next_deadline(), clock.at(10));
    clock.set(10);
    assert_eq!(recv(&mut near)[0].data, [2; 100][..]);
    assert!(recv(&mut far).is_empty());
    assert_eq!(near.next_deadline(), clock.at(25));
    clock.set(25);
    assert!(recv(&mut near).is_empty());
    assert_eq!(recv(&mut far)[0].data, [1; 100][..]);
    assert_eq!(near.next_deadline(), None);
}

#[test]
fn losses_and_their_counts() {
    let (mut near, mut far, _) = impaired("loss=list:1", "loss=nth:2");
    for number in 0..6 {
        send(&mut near, frame(number, 100));
        send(&mut far, frame(number, 100));
    }
    let first_bytes =
        |frames: Vec<RxFrame>| -> Vec<u8> { frames.iter().map(|frame| frame.data[0]).collect() };
    assert_eq!(first_bytes(recv(&mut far)), [0, 2, 4]);
    assert_eq!(first_bytes(recv(&mut near)), [1, 2, 3, 4, 5]);
    let (inbound, outbound) = near.link_counters();
    assert_eq!((inbound.lost, outbound.lost), (1, 3));
}

#[test]
fn corruption_flips_one_bit_anywhere() {
    let (mut near, mut far, _) = impaired("corrupt=100%,seed=1", "corrupt=100%,seed=2");
    for _ in 0..50 {
        send(&mut near, frame(0, 100));
        send(&mut far, frame(0, 100));
        for received in [recv(&mut near), recv(&mut far)] {
            assert_eq!(received.len(), 1);
            let ones: u32 = received[0].data.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(ones, 1);
            assert_eq!(received[0].checksum, RxChecksum::Unverified);
        }
    }
}

#[test]
fn congestion_is_marked_whether_headers_are_set_apart_or_not() {
    let (mut device, mut b, clock) = impaired("rate=1mbit,ecn=1p", "rate=1mbit,ecn=1p");
    let capable = ipv4::Header {
        ecn: Ecn::Ect0,
        ..ipv4::Header::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Protocol::UDP)
    };
    let mut packet = vec![0; 100];
    capable.emit(&mut packet, 80);
    let mut headers = HeaderBuf::new();
    assert!(headers.extend(&packet[..20]));
    let apart = TxFrame {
        headers,
        payload: Payload::from(Bytes::copy_from_slice(&packet[20..])),
        offload: TxOffload::None,
    };
    let whole = TxFrame {
        payload: Payload::from(Bytes::from(packet)),
        ..TxFrame::default()
    };
    let ecn = |frames: Vec<RxFrame>| -> Vec<Ecn> {
        let packets = frames.iter().map(|frame| Packet::new(&frame.data));
        packets.map(|packet| packet.unwrap().ecn()).collect()
    };
    for frame in [apart, whole] {
        for _ in 0..3 {
            send(&mut b, frame.clone());
            send(&mut device, frame.clone());
        }
        assert!(recv(&mut device).is_empty());
        clock.set(clock.millis.load(Ordering::SeqCst) + 1000);
        let marked = [Ecn::Ect0, Ecn::Ce, Ecn::Ce];
        assert_eq!(ecn(recv(&mut device)), marked);
        assert_eq!(ecn(recv(&mut b)), marked);
    }
}

#[test]
fn a_blocked_device_is_tried_again() {
    let (mut near, mut far, clock) = impaired("none", "delay=1ms");
    let mut frames: VecDeque<TxFrame> = (0..1000).map(|n| frame(n as u8, 100)).collect();
    assert_eq!(
        near.send(&mut frames).unwrap(),
        1000,
        "they are on the link"
    );
    clock.set(1);
    assert!(recv(&mut near).is_empty());
    assert_eq!(
        near.next_deadline(),
        clock.at(2),
        "the device below is full"
    );
    let mut more = VecDeque::from([frame(0, 100)]);
    assert_eq!(
        near.send(&mut more).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let first = recv(&mut far).len();
    assert!(first < 1000);
    assert!(recv(&mut near).is_empty());
    assert_eq!(first + recv(&mut far).len(), 1000);
    assert_eq!(near.next_deadline(), None);
}

#[test]
fn a_lost_peer_is_an_error() {
    let (mut near, far, _) = impaired("none", "none");
    drop(far);
    assert_eq!(
        near.recv(&mut Vec::new(), 8).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}
