//! AF_XDP on one end of a veth pair, with the kernel on the other.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use transom_device::{Device, Readiness, XdpOptions, XdpSocket, ZeroCopy};
use transom_wire::frame::{HeaderBuf, Payload, RxFrame, TxFrame, TxOffload};

use super::namespace::run;
use super::tcp::{kernel_receives, kernel_sends_much, pattern};
use super::traffic::{all_traffic, echo_is_answered};
use super::wire::{V4, V6, Wire, veth_pair};
use super::with_xdp::in_namespace_with_xdp;

fn open(options: &XdpOptions) -> XdpSocket {
    XdpSocket::open(options).unwrap_or_else(|error| panic!("{error}"))
}

fn options() -> XdpOptions {
    XdpOptions::new("ours0")
}

fn text<T>(result: std::io::Result<T>) -> String {
    result.err().expect("this must fail").to_string()
}

/// Nothing comes but what a test sends: IPv6 reports by itself, whenever it likes.
fn silence() {
    fs::write("/proc/sys/net/ipv6/conf/kernel0/disable_ipv6", "1").unwrap();
}

fn burst(count: usize) {
    let socket = UdpSocket::bind((V4.kernel, 0)).unwrap();
    let mut data = pattern(1400).to_vec();
    for number in 0..count {
        data[..4].copy_from_slice(&(number as u32).to_be_bytes());
        socket.send_to(&data, (V4.ours, 5000)).unwrap();
    }
}

fn drain(socket: &mut XdpSocket) -> Vec<RxFrame> {
    let mut frames = Vec::new();
    loop {
        match socket.recv(&mut frames, 64) {
            Ok(count) => assert!(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The numbers of the datagrams of [`burst`] among some frames, whose other bytes must be right.
fn numbers(frames: &[RxFrame]) -> Vec<u32> {
    const HEADERS: usize = 14 + 20 + 8;
    let data = pattern(1400);
    let datagrams = frames
        .iter()
        .filter(|frame| frame.data.len() == HEADERS + data.len());
    datagrams
        .map(|frame| {
            assert_eq!(frame.data[HEADERS + 4..], data[4..]);
            u32::from_be_bytes(*frame.data[HEADERS..].first_chunk().unwrap())
        })
        .collect()
}

/// Waits until the kernel has handed over the frames that it has in its own queues.
fn receive(socket: &mut XdpSocket, wanted: usize) -> Vec<u32> {
    let mut received = Vec::new();
    while received.len() < wanted {
        received.extend(numbers(&drain(socket)));
        if received.len() >= wanted {
            break;
        }
        let Readiness::Fd(fd) = socket.readiness() else {
            panic!("an AF_XDP socket has a descriptor")
        };
        let mut ready = [PollFd::new(fd, PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(1000_u16)).unwrap() == 0 {
            break;
        }
    }
    received
}

#[test]
fn traffic_over_af_xdp() {
    in_namespace_with_xdp("xdp::traffic_over_af_xdp", || {
        for busy in [None, Some(Duration::from_micros(20))] {
            veth_pair();
            let mut options = options();
            if let Some(time) = busy {
                options = options.busy_poll(time);
            }
            let socket = open(&options);
            let mode = socket.mode().clone();
            assert!(mode.in_driver && !mode.zero_copy, "{mode:?}");
            let fallback = mode.fallback.unwrap();
            assert!(
                fallback.contains("ours0 copies frames: its driver offers no zero-copy"),
                "{fallback}"
            );
            let mut wire = Wire::new(Box::new(socket));
            echo_is_answered(&mut wire);
            all_traffic(&mut wire, V4, true);
            all_traffic(&mut wire, V6, true);
            drop(wire);
            run("ip link del ours0");
        }
    });
}

#[test]
fn no_frame_of_memory_is_lost() {
    in_namespace_with_xdp("xdp::no_frame_of_memory_is_lost", || {
        veth_pair();
        // So little that every chunk goes round many times: one that stayed away would soon be missed.
        let options = options().receive_frames(64).send_frames(64);
        let mut wire = Wire::new(Box::new(open(&options)));
        kernel_receives(&mut wire, V4, 0, 3);
        kernel_sends_much(&mut wire, V4, 2_000_000, 32);
        drop(wire);
        silence();
        let mut socket = open(&options);
        for _ in 0..20 {
            let mut frames = (0..100).map(|_| frame(200, TxOffload::None)).collect();
            while socket.send(&mut frames).is_ok_and(|_| !frames.is_empty()) {}
            assert_eq!((frames.len(), socket.sending()), (0, 0));
        }
        assert_eq!(socket.counters().sent, 2000);
        // Almost as many as fit, so that frames of the kernel's own do no harm.
        for _ in 0..20 {
            burst(60);
            assert_eq!(receive(&mut socket, 60), (0..60).collect::<Vec<_>>());
        }
        assert_eq!(socket.take_overflows().unwrap(), 0);
    });
}

#[test]
fn overflows_are_counted_and_what_comes_later_is_received() {
    in_namespace_with_xdp(
        "xdp::overflows_are_counted_and_what_comes_later_is_received",
        || {
            veth_pair();
            silence();
            let mut socket = open(&options().receive_frames(64));
            drain(&mut socket);
            for _ in 0..2 {
                burst(100);
                let received = receive(&mut socket, 64);
                // All places may be taken but by a frame of the kernel's own.
                let count = received.len();
                assert!((60..=64).contains(&count), "{count}");
                assert_eq!(received, (0..count as u32).collect::<Vec<_>>());
                let lost = socket.take_overflows().unwrap() as usize;
                assert!((100 - count..=104 - count).contains(&lost), "{lost}");
            }
            burst(10);
            assert_eq!(receive(&mut socket, 10).len(), 10);
            assert_eq!(socket.take_overflows().unwrap(), 0);
        },
    );
}

fn frame(len: usize, offload: TxOffload) -> TxFrame {
    let mut headers = HeaderBuf::zeroed(14).unwrap();
    headers.as_mut_slice()[..6].fill(0xff);
    TxFrame {
        headers,
        payload: Payload::from(Bytes::from(vec![0; len - 14])),
        offload,
    }
}

#[test]
fn a_refused_frame_is_counted_and_stops_nothing() {
    in_namespace_with_xdp("xdp::a_refused_frame_is_counted_and_stops_nothing", || {
        veth_pair();
        let mut wire = Wire::new(Box::new(open(&options())));
        let segments = TxOffload::Segment {
            ipv6: false,
            gso_size: 1460,
            header_len: 54,
            checksum_start: 34,
            checksum_offset: 16,
        };
        wire.send_frame(frame(1000, segments));
        wire.send_frame(frame(4000, TxOffload::None));
        assert_eq!(wire.device.counters().send_refused, 2);
        echo_is_answered(&mut wire);
        run("ip link set ours0 down");
        let before = wire.device.counters();
        // The first waits in the ring: only when the kernel has said so the interface is known to be down.
        for _ in 0..100 {
            wire.send_frame(frame(100, TxOffload::None));
        }
        let refused = wire.device.counters().send_refused - before.send_refused;
        assert_eq!(refused, 99);
        let nothing = wire.device.recv(&mut Vec::new(), 64).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock, "{nothing}");
        run("ip link set ours0 up");
        let before = wire.device.counters();
        wire.send_frame(frame(100, TxOffload::None));
        let after = wire.device.counters();
        assert_eq!(
            (after.sent, after.send_refused),
            (before.sent + 1, before.send_refused)
        );
    });
}

#[test]
fn an_interface_that_is_gone_says_so() {
    in_namespace_with_xdp("xdp::an_interface_that_is_gone_says_so", || {
        veth_pair();
        let mut socket = open(&options());
        drain(&mut socket);
        // News of other interfaces, and other news of this one, are none.
        run("ip link add other0 type veth peer name other1");
        run("ip link del other0");
        run("ip link set ours0 down");
        run("ip link set ours0 up");
        let poll_now = |socket: &XdpSocket| {
            let ending = PollFd::new(socket.ending().unwrap(), PollFlags::POLLIN);
            poll(&mut [ending], PollTimeout::ZERO).unwrap()
        };
        assert_eq!(poll_now(&socket), 0);
        run("ip link del ours0");
        // Whoever waits for frames is woken.
        let ending = || [PollFd::new(socket.ending().unwrap(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ending(), PollTimeout::from(5000_u16)).unwrap(), 1);
        // What had come before is still handed out.
        let end = |socket: &mut XdpSocket| loop {
            if let Err(error) = socket.recv(&mut Vec::new(), 64) {
                return error.to_string();
            }
        };
        let error = end(&mut socket);
        assert!(
            error.contains("cannot read from ours0") && error.contains("the interface is gone"),
            "{error}"
        );
        let error = text(socket.send(&mut [frame(100, TxOffload::None)].into()));
        assert!(error.contains("cannot send through ours0"), "{error}");
    });
}

#[test]
fn opening_fails_with_a_sentence() {
    in_namespace_with_xdp("xdp::opening_fails_with_a_sentence", || {
        veth_pair();
        let missing = text(XdpSocket::open(&XdpOptions::new("nothing0")));
        assert!(
            missing.contains("cannot find the interface nothing0"),
            "{missing}"
        );
        let loopback = text(XdpSocket::open(&XdpOptions::new("lo")));
        assert!(
            loopback.contains("it carries no Ethernet frames"),
            "{loopback}"
        );
        let zero = text(XdpSocket::open(&options().zero_copy(ZeroCopy::Required)));
        assert!(zero.contains("its driver has no zero-copy"), "{zero}");
        let queue = text(XdpSocket::open_queues(&options(), 7..8));
        assert!(queue.contains("no such queue"), "{queue}");
        let first = open(&options().zero_copy(ZeroCopy::Off));
        assert_eq!(first.mode().fallback, None);
        let second = text(XdpSocket::open(&options()));
        assert!(
            second.contains("another XDP program is on the interface"),
            "{second}"
        );
        drop(first);
        // The program went with its socket.
        drop(open(&options()));
        run("ip link set ours0 mtu 9000");
        run("ip link set kernel0 mtu 9000");
        let mtu = text(XdpSocket::open(&options()));
        assert!(
            mtu.contains("its MTU is 9000") && mtu.contains("mtu 1500"),
            "{mtu}"
        );
    });
}

#[test]
fn several_queues_have_a_socket_each() {
    in_namespace_with_xdp("xdp::several_queues_have_a_socket_each", || {
        run(
            "ip link add kernel0 address 02:00:00:00:00:01 numtxqueues 2 numrxqueues 2 type veth \
             peer name ours0 address 02:00:00:00:00:02 numtxqueues 2 numrxqueues 2",
        );
        run("ip link set ours0 addrgenmode none arp off");
        run("ip link set kernel0 up");
        run("ip link set ours0 up");
        run("ip addr add 10.9.0.1/24 dev kernel0");
        run("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev kernel0");
        let sockets = XdpSocket::open_queues(&options(), 0..2).unwrap_or_else(|e| panic!("{e}"));
        let [mut first, mut second] = <[XdpSocket; 2]>::try_from(sockets).unwrap();
        silence();
        drain(&mut first);
        drain(&mut second);
        // Different flows, so that both queues get some.
        for _ in 0..64 {
            burst(1);
        }
        let mut count = [0, 0];
        while count.iter().sum::<usize>() < 64 {
            for (count, socket) in count.iter_mut().zip([&mut first, &mut second]) {
                *count += numbers(&drain(socket)).len();
            }
        }
        assert!(count.iter().all(|&count| count > 0), "{count:?}");
        assert_eq!(count.iter().sum::<usize>(), 64);
    });
}
