//! Frames that wait: in a ring of our own, or in a socket whose buffer an ordinary user cannot enlarge.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use transom_device::{Device, PacketSocket, Readiness};
use transom_wire::frame::RxFrame;

use super::namespace::{in_namespace, run};
use super::tcp::{kernel_sends_much, pattern};
use super::wire::{USUAL_LIMIT, V4, Wire, veth_socket, with_ring};

/// Slots of the ring.
const SLOTS: usize = 240;

fn readable(socket: &PacketSocket) -> std::os::fd::BorrowedFd<'_> {
    match socket.readiness() {
        Readiness::Fd(fd) => fd,
        other => panic!("{other:?} is not a descriptor"),
    }
}

/// A socket with the buffer that an ordinary user gets.
fn limited() -> PacketSocket {
    let socket = veth_socket(true);
    // Nothing but what a test sends: IPv6 reports by itself, whenever it likes.
    fs::write("/proc/sys/net/ipv6/conf/kernel0/disable_ipv6", "1").unwrap();
    setsockopt(&readable(&socket), RcvBuf, &USUAL_LIMIT).unwrap();
    socket
}

fn drain(socket: &mut PacketSocket) -> Vec<RxFrame> {
    let mut frames = Vec::new();
    loop {
        match socket.recv(&mut frames, 64) {
            Ok(count) => assert!(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The kernel sends datagrams, each with its number in its first four bytes.
fn burst(numbers: std::ops::Range<usize>) {
    let socket = UdpSocket::bind((V4.kernel, 0)).unwrap();
    let mut data = pattern(1400).to_vec();
    for number in numbers {
        data[..4].copy_from_slice(&(number as u32).to_be_bytes());
        socket.send_to(&data, (V4.ours, 5000)).unwrap();
    }
}

/// The numbers of the datagrams among some frames, whose other bytes must be right.
fn numbers(frames: &[RxFrame]) -> Vec<usize> {
    const HEADERS: usize = 14 + 20 + 8;
    let data = pattern(1400);
    frames
        .iter()
        .filter(|frame| frame.data.len() == HEADERS + data.len())
        .map(|frame| {
            assert_eq!(frame.data[HEADERS + 4..], data[4..]);
            let number = frame.data[HEADERS..].first_chunk().unwrap();
            u32::from_be_bytes(*number) as usize
        })
        .collect()
}

fn retransmitted() -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "RetransSegs");
    let value = values.split(' ').nth(at.unwrap()).unwrap();
    value.parse().unwrap()
}

#[test]
fn overflows_are_counted_and_told_once() {
    in_namespace("ring::overflows_are_counted_and_told_once", || {
        let mut socket = limited();
        let told = socket.overflows().unwrap();
        drain(&mut socket);
        assert_eq!(socket.take_overflows().unwrap(), 0);
        burst(0..1000);
        let received = numbers(&drain(&mut socket));
        assert!(
            !received.is_empty() && received.len() < 1000,
            "{}",
            received.len()
        );
        assert_eq!(told.take().unwrap() as usize, 1000 - received.len());
        assert_eq!(
            (told.take().unwrap(), socket.take_overflows().unwrap()),
            (0, 0)
        );
    });
}

#[test]
fn a_ring_holds_all_its_slots_and_counts_the_rest() {
    in_namespace(
        "ring::a_ring_holds_all_its_slots_and_counts_the_rest",
        || {
            let mut socket = with_ring(limited());
            assert!(socket.has_ring());
            drain(&mut socket);
            // Every slot of every block, several times around.
            for round in 0..5 {
                let sent = round * 100..round * 100 + 200;
                burst(sent.clone());
                assert_eq!(numbers(&drain(&mut socket)), sent.collect::<Vec<_>>());
            }
            assert_eq!(socket.take_overflows().unwrap(), 0);
            burst(0..SLOTS + 60);
            let received = numbers(&drain(&mut socket));
            assert_eq!(received, (0..SLOTS).collect::<Vec<_>>());
            assert_eq!(socket.take_overflows().unwrap(), 60);
            burst(0..10);
            assert_eq!(
                numbers(&drain(&mut socket)).len(),
                10,
                "it goes on after an overflow"
            );
        },
    );
}

#[test]
fn a_ring_wakes_an_edge_triggered_poller_for_each_burst() {
    in_namespace(
        "ring::a_ring_wakes_an_edge_triggered_poller_for_each_burst",
        || {
            let mut socket = with_ring(limited());
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
            let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            epoll
                .add(readable(&socket), EpollEvent::new(events, 7))
                .unwrap();
            let mut event = [EpollEvent::empty()];
            drain(&mut socket);
            for round in 0..300 {
                let count = round % 7 + 1;
                burst(0..count);
                let mut received = Vec::new();
                while received.len() < count {
                    let woken = epoll
                        .wait(&mut event, EpollTimeout::from(5000_u16))
                        .unwrap();
                    assert_eq!(woken, 1, "round {round}: not woken");
                    received.extend(numbers(&drain(&mut socket)));
                }
                assert_eq!(received, (0..count).collect::<Vec<_>>());
            }
        },
    );
}

#[test]
fn a_fast_sender_loses_nothing_with_a_ring() {
    in_namespace("ring::a_fast_sender_loses_nothing_with_a_ring", || {
        let socket = with_ring(limited());
        let told = socket.overflows().unwrap();
        let mut wire = Wire::new(Box::new(socket));
        let (segments, disorder) = kernel_sends_much(&mut wire, V4, 64 << 20, 8 << 10);
        assert_eq!((told.take().unwrap(), retransmitted(), disorder), (0, 0, 0));
        assert!(segments.iter().any(|segment| segment.frame_len > 60_000));
        assert_eq!(wire.device.counters().recv_refused, 0);
    });
}

#[test]
fn a_ring_stays_behind_when_the_descriptor_is_handed_on() {
    in_namespace(
        "ring::a_ring_stays_behind_when_the_descriptor_is_handed_on",
        || {
            let fd = with_ring(veth_socket(true)).into_fd();
            let mut socket = PacketSocket::from_pair_fd(fd, 1500, "ours0").unwrap();
            assert!(!socket.has_ring());
            burst(0..3);
            assert_eq!(numbers(&drain(&mut socket)), [0, 1, 2]);
            let fd = socket.into_fd();
            // Whoever receives it, perhaps in another namespace, can make a new one.
            let mut socket = PacketSocket::from_pair_fd(fd, 1500, "ours0")
                .unwrap()
                .with_ring();
            assert!(socket.has_ring());
            burst(0..3);
            assert_eq!(numbers(&drain(&mut socket)), [0, 1, 2]);
        },
    );
}

#[test]
fn a_second_ring_is_refused_and_the_first_still_works() {
    in_namespace(
        "ring::a_second_ring_is_refused_and_the_first_still_works",
        || {
            let mut socket = with_ring(veth_socket(true)).with_ring();
            assert!(socket.has_ring());
            burst(0..3);
            assert_eq!(numbers(&drain(&mut socket)), [0, 1, 2]);
        },
    );
}

#[test]
fn a_ring_whose_interface_is_gone_says_so() {
    in_namespace("ring::a_ring_whose_interface_is_gone_says_so", || {
        let mut socket = with_ring(veth_socket(true));
        drain(&mut socket);
        run("ip link del ours0");
        poll(
            &mut [PollFd::new(readable(&socket), PollFlags::POLLIN)],
            PollTimeout::from(5000_u16),
        )
        .unwrap();
        let error = socket.recv(&mut Vec::new(), 64).unwrap_err();
        assert!(
            error.to_string().contains("cannot read from ours0"),
            "{error}"
        );
    });
}
