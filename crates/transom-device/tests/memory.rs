//! The memory link: frames arrive as they were sent, offload is passed on, both ends are woken.

#![expect(clippy::panic, reason = "a test ends on any surprise")]

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use transom_device::memory::{MemoryDevice, pair};
use transom_device::{Device, Readiness};
use transom_wire::Protocol;
use transom_wire::frame::{
    Capabilities, HeaderBuf, Payload, RxChecksum, RxFrame, TxFrame, TxOffload,
};
use transom_wire::ip::{Packet, ipv4};
use transom_wire::tcp::{Flags, Header, TcpView};

fn with_offload() -> Capabilities {
    Capabilities {
        tx_checksum: true,
        max_gso: 65_535,
        ..Capabilities::ip(1500)
    }
}

fn frame(head: &[u8], body: &[&'static [u8]], offload: TxOffload) -> TxFrame {
    let mut headers = HeaderBuf::new();
    assert!(headers.extend(head));
    let payload = body.iter().map(|piece| Bytes::from_static(piece)).collect();
    TxFrame {
        headers,
        payload,
        offload,
    }
}

fn big(len: usize, offload: TxOffload) -> TxFrame {
    let mut frame = frame(&[7; 40], &[], offload);
    frame.payload = Payload::from(Bytes::from(vec![9; len - 40]));
    frame
}

fn recv_all(device: &mut MemoryDevice) -> Vec<RxFrame> {
    let mut out = Vec::new();
    while device.recv(&mut out, 16).is_ok() {}
    out
}

const SEGMENT: TxOffload = TxOffload::Segment {
    ipv6: false,
    gso_size: 1460,
    header_len: 40,
    checksum_start: 20,
    checksum_offset: 16,
};

#[test]
fn frames_arrive_whole_and_in_order() {
    let (mut a, mut b) = pair(Capabilities::ip(1500));
    let first = frame(b"head", &[b"one", b"two", b"three"], TxOffload::None);
    let mut frames = VecDeque::from([first, frame(b"x", &[], TxOffload::None)]);
    assert_eq!(a.send(&mut frames).unwrap(), 2);
    let got = recv_all(&mut b);
    let data: Vec<&[u8]> = got.iter().map(|frame| &frame.data[..]).collect();
    assert_eq!(data, [&b"headonetwothree"[..], b"x"]);
    assert!(
        got.iter()
            .all(|frame| frame.checksum == RxChecksum::Unverified)
    );
    assert_eq!(
        b.recv(&mut Vec::new(), 1).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!((a.counters().sent, b.counters().received), (2, 2));
}

#[test]
fn offload_is_passed_on() {
    let (mut a, mut b) = pair(with_offload());
    let checksum = TxOffload::Checksum {
        start: 20,
        offset: 16,
    };
    let mut frames = VecDeque::from([big(60_000, SEGMENT), big(100, checksum)]);
    assert_eq!(a.send(&mut frames).unwrap(), 2);
    let got = recv_all(&mut b);
    assert_eq!((got[0].data.len(), got[0].gso_size), (60_000, 1460));
    assert_eq!((got[1].data.len(), got[1].gso_size), (100, 0));
    assert!(got.iter().all(|frame| frame.checksum == RxChecksum::Valid));
}

#[test]
fn what_the_capabilities_do_not_cover_is_refused_and_counted() {
    let (mut a, mut b) = pair(Capabilities::ip(1500));
    let mut frames = VecDeque::from([
        big(1501, TxOffload::None),
        big(60_000, SEGMENT),
        big(
            100,
            TxOffload::Checksum {
                start: 20,
                offset: 16,
            },
        ),
        big(1500, TxOffload::None),
    ]);
    assert_eq!(a.send(&mut frames).unwrap(), 4);
    assert_eq!((a.counters().sent, a.counters().send_refused), (1, 3));
    assert_eq!(recv_all(&mut b).len(), 1);

    // Ethernet: the MTU does not count the link header.
    let (mut a, _b) = pair(Capabilities::ethernet(1500));
    let mut frames = VecDeque::from([big(1514, TxOffload::None), big(1515, TxOffload::None)]);
    assert_eq!(a.send(&mut frames).unwrap(), 2);
    assert_eq!((a.counters().sent, a.counters().send_refused), (1, 1));
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn register(device: &MemoryDevice) -> Arc<Count> {
    let count = Arc::new(Count::default());
    let Readiness::Notify(notify) = device.readiness() else {
        panic!("no notify")
    };
    notify.register(&Waker::from(Arc::clone(&count)));
    count
}

fn woken(count: &Count) -> bool {
    count.0.load(Ordering::SeqCst) > 0
}

#[test]
fn a_full_link_blocks_and_both_ends_are_woken() {
    let (mut a, mut b) = pair(with_offload());
    let reader = register(&b);
    let mut frames: VecDeque<TxFrame> = (0..2000).map(|_| big(65_000, SEGMENT)).collect();
    let taken = a.send(&mut frames).unwrap();
    assert!(taken < 200, "the queue is bounded in bytes: {taken} frames");
    assert_eq!(frames.len(), 2000 - taken);
    assert!(woken(&reader));
    assert_eq!(
        a.send(&mut frames).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );

    let writer = register(&a);
    assert!(!woken(&writer), "there is no room yet");
    b.recv(&mut Vec::new(), 1).unwrap();
    assert!(woken(&writer));
    assert_eq!(a.send(&mut frames).unwrap(), 1);

    // The other order: room comes back before anybody waits for it.
    b.recv(&mut Vec::new(), 1).unwrap();
    assert!(woken(&register(&a)));
    assert!(woken(&register(&b)), "frames were there before the waker");
}

#[test]
fn an_end_without_traffic_is_not_woken() {
    let (mut a, b) = pair(Capabilities::ip(1500));
    let (own, other) = (register(&a), register(&b));
    a.send(&mut VecDeque::from([big(100, TxOffload::None)]))
        .unwrap();
    assert!(!woken(&own));
    assert!(woken(&other));
}

#[test]
fn the_other_end_learns_that_one_is_gone() {
    let (mut a, mut b) = pair(Capabilities::ip(1500));
    a.send(&mut VecDeque::from([big(100, TxOffload::None)]))
        .unwrap();
    let waiting = register(&b);
    drop(a);
    assert!(woken(&waiting));
    // What was sent before still arrives.
    assert_eq!(b.recv(&mut Vec::new(), 8).unwrap(), 1);
    assert_eq!(
        b.recv(&mut Vec::new(), 8).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    let error = b
        .send(&mut VecDeque::from([big(100, TxOffload::None)]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_cable_carries_complete_packets_and_joins_them_again() {
    let (mut a, mut b) = transom_device::memory::cable(1500);
    let data: Vec<u8> = (0..60_000_u32).map(|n| (n % 251) as u8).collect();
    let tcp = Header {
        src_port: 1,
        dst_port: 2,
        flags: Flags::ACK,
        ..Header::default()
    };
    let ip = ipv4::Header::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Protocol::TCP);
    let mut headers = HeaderBuf::new();
    ip.emit(headers.grow(20).unwrap(), 20 + data.len());
    tcp.emit_partial(
        headers.grow(20).unwrap(),
        ip.src.into(),
        ip.dst.into(),
        data.len(),
    );
    let large = TxFrame {
        headers,
        payload: Payload::from(Bytes::from(data.clone())),
        offload: SEGMENT,
    };
    for _ in 0..3 {
        // One behind the other, so that memory is used again.
        assert_eq!(
            a.send(&mut VecDeque::from([large.clone(), large.clone()]))
                .unwrap(),
            2
        );
        let frames = recv_all(&mut b);
        assert_eq!(frames.len(), 2);
        for frame in &frames {
            assert_eq!((frame.gso_size, frame.checksum), (1460, RxChecksum::Valid));
            let packet = Packet::new(&frame.data).unwrap();
            let view = TcpView::new(packet.payload()).unwrap();
            assert_eq!(view.payload(), data);
        }
    }
    let error = b.recv(&mut Vec::new(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_cable_never_gives_more_than_it_is_asked_for() {
    let (mut a, mut b) = transom_device::memory::cable(1500);
    // Its segments cannot be joined: their checksums do not cover what is no TCP header.
    let mut odd = big(30_000, SEGMENT);
    let head = odd.headers.as_mut_slice();
    head[0] = 0x45;
    head[32] = 0x50;
    head[33] = 0x12;
    assert_eq!(a.send(&mut VecDeque::from([odd])).unwrap(), 1);
    let mut out = Vec::new();
    while b.recv(&mut out, 4).is_ok_and(|count| {
        assert!(count <= 4);
        true
    }) {}
    assert_eq!(out.len(), 29_960_usize.div_ceil(1460));
}
