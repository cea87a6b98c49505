//! What goes wrong is said in a sentence, or counted.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use transom_device::{Device, PacketSocket, Tun, TunOptions};
use transom_wire::frame::{HeaderBuf, Payload, TxFrame, TxOffload};
use transom_wire::ip::Protocol;

use super::namespace::{in_namespace, in_namespace_with_tun, run};
use super::tcp::kernel_receives;
use super::wire::{V4, Wire, tun, veth};

fn text<T>(result: std::io::Result<T>) -> String {
    result.err().expect("this must fail").to_string()
}

#[test]
fn opening_fails_with_a_sentence() {
    in_namespace_with_tun("errors::opening_fails_with_a_sentence", || {
        let _first = Tun::open(&TunOptions::new("t0")).unwrap();
        let second = text(Tun::open(&TunOptions::new("t0")));
        assert!(second.contains("TUN interface t0") && second.contains("another program"));
        let name = text(Tun::open(&TunOptions::new("much-too-long-for-a-name")));
        assert!(
            name.contains("cannot be the name of an interface"),
            "{name}"
        );
        let mtu = text(Tun::open(&TunOptions::new("t1").mtu(10)));
        assert!(
            mtu.contains("MTU of t1 to 10") && mtu.contains("68 to 65535"),
            "{mtu}"
        );
        let missing = PacketSocket::open("nothing0").err().unwrap();
        assert!(
            missing
                .to_string()
                .contains("cannot find the interface nothing0"),
            "{missing}"
        );
    });
}

#[test]
fn a_foreign_descriptor_is_recognised() {
    in_namespace_with_tun("errors::a_foreign_descriptor_is_recognised", || {
        let file = || OwnedFd::from(File::open("/proc/self/stat").unwrap());
        assert!(text(Tun::from_fd(file(), 1500, true)).contains("not that of a TUN interface"));
        assert!(text(PacketSocket::from_fd(file(), 1500)).contains("not a packet socket"));
        let plain = Tun::open(&TunOptions::new("t0").vnet(false))
            .unwrap()
            .into_fd();
        let error = Tun::from_fd(plain, 1500, true).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("t0") && error.to_string().contains("no vnet header"));
    });
}

#[test]
fn a_descriptor_can_be_handed_on() {
    in_namespace_with_tun("errors::a_descriptor_can_be_handed_on", || {
        let fd = Tun::open(&TunOptions::new("t0")).unwrap().into_fd();
        let tun = Tun::from_fd(fd, 1500, true).unwrap();
        assert_eq!(tun.name(), "t0");
        run("ip addr add 10.9.0.1/24 dev t0");
        kernel_receives(&mut Wire::new(Box::new(tun)), V4, 0, 1);
    });
}

#[test]
fn a_pair_can_be_handed_on() {
    in_namespace("errors::a_pair_can_be_handed_on", || {
        run("ip link add ours0 type veth peer name theirs0");
        let fd = PacketSocket::open_pair("ours0", "theirs0")
            .unwrap()
            .into_fd();
        // The interfaces are down yet, which is no error.
        let mut early = PacketSocket::open_pair("ours0", "theirs0").unwrap();
        let nothing = early.recv(&mut Vec::new(), 1).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock, "{nothing}");
        // The socket's namespace counts, not that of the thread: it may be another one.
        let other = text(PacketSocket::from_pair_fd(
            fd.try_clone().unwrap(),
            1500,
            "none0",
        ));
        assert!(other.contains("cannot find the interface none0"), "{other}");
        PacketSocket::from_pair_fd(fd, 1500, "ours0").unwrap();
        let missing = text(PacketSocket::open_pair("ours0", "none0"));
        assert!(
            missing.contains("cannot find the interface none0"),
            "{missing}"
        );
    });
}

fn segment_of(len: usize) -> TxFrame {
    TxFrame {
        headers: HeaderBuf::zeroed(40).unwrap(),
        payload: Payload::from(Bytes::from(vec![0; len])),
        offload: TxOffload::Segment {
            ipv6: false,
            gso_size: 1460,
            header_len: 40,
            checksum_start: 20,
            checksum_offset: 16,
        },
    }
}

fn send_echo(wire: &mut Wire) {
    let request = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    wire.send(
        V4,
        Protocol::ICMP,
        &request,
        Payload::new(),
        TxOffload::None,
    );
}

#[test]
fn a_refused_frame_is_counted_and_stops_nothing() {
    in_namespace_with_tun(
        "errors::a_refused_frame_is_counted_and_stops_nothing",
        || {
            for vnet in [false, true] {
                let mut wire = tun(vnet);
                // Without offload the request itself is refused; with it the kernel sees no IP header.
                wire.send_frame(segment_of(10_000));
                assert_eq!(wire.device.counters().send_refused, 1, "vnet {vnet}");
                send_echo(&mut wire);
                assert_eq!(wire.device.counters().sent, 1);
                run("ip link set tun0 down");
                send_echo(&mut wire);
                assert_eq!(wire.device.counters().send_refused, 2);
                run("ip link set tun0 up");
                send_echo(&mut wire);
                assert_eq!(wire.device.counters().sent, 2);
                wire.recv(V4, |received| {
                    (received.packet().protocol() == Protocol::ICMP).then_some(())
                });
            }
        },
    );
}

#[test]
fn a_device_that_is_gone_says_so() {
    in_namespace_with_tun("errors::a_device_that_is_gone_says_so", || {
        let mut wire = tun(true);
        run("ip link del tun0");
        let error = wire.device.recv(&mut Vec::new(), 64).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::WouldBlock);
        assert!(
            error.to_string().contains("cannot read from tun0"),
            "{error}"
        );

        let mut wire = veth(false);
        run("ip link del ours0");
        let error = wire.device.recv(&mut Vec::new(), 64).unwrap_err();
        assert!(
            error.to_string().contains("cannot read from ours0"),
            "{error}"
        );

        let mut wire = veth(true);
        run("ip link del ours0");
        let error = wire.device.recv(&mut Vec::new(), 64).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::WouldBlock);
    });
}
