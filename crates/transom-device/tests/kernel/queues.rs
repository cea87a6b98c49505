//! The filter that spreads frames over packet sockets computes what the library computes.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use transom_device::{Device, Flows, Owner, PacketSocket, Tun, TunOptions};
use transom_wire::frame::{Medium, RxFrame};

use super::namespace::{in_namespace, in_namespace_with_tun};
use super::wire::{Ends, V4, V6, veth_pair};

fn drain(socket: &mut PacketSocket) -> Vec<RxFrame> {
    let mut frames = Vec::new();
    loop {
        match socket.recv(&mut frames, 64) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// SYNs from many ports, none of which is answered, and some datagrams.
fn kernel_sends(ends: Ends) {
    for port in 1..40 {
        let address = SocketAddr::new(ends.ours, port);
        // The first SYN is enough.
        drop(TcpStream::connect_timeout(
            &address,
            Duration::from_millis(1),
        ));
    }
    let socket = UdpSocket::bind((ends.kernel, 0)).unwrap();
    for port in 1..20 {
        socket.send_to(&[0; 3000], (ends.ours, port)).unwrap();
    }
}

#[test]
fn each_socket_gets_what_belongs_to_it() {
    in_namespace("queues::each_socket_gets_what_belongs_to_it", || {
        veth_pair();
        let one_side = || PacketSocket::open_queues("ours0", 3);
        let both_sides = || PacketSocket::open_pair_queues("ours0", "kernel0", 3);
        let ways: [(&dyn Fn() -> io::Result<Vec<PacketSocket>>, _); 2] =
            [(&one_side, *b"a secret"), (&both_sides, *b"another!")];
        for (open, secret) in ways {
            let mut sockets = open().unwrap();
            let flows = Flows::new(secret, 3);
            // It is enough to tell one, and does no harm to tell all.
            for socket in &mut sockets {
                socket.divide(&flows).unwrap();
            }
            for ends in [V4, V6] {
                kernel_sends(ends);
            }
            for (socket, number) in sockets.iter_mut().zip(0..) {
                let frames = drain(socket);
                let mut segments = 0;
                for frame in &frames {
                    match flows.of_frame(&frame.data, Medium::Ethernet) {
                        // What the filter does not look into comes to the first.
                        Owner::Queue(owner) => assert_eq!(owner, number, "{frame:?}"),
                        Owner::All => assert_eq!(number, 0, "{frame:?}"),
                    }
                    segments += usize::from(is_tcp(&frame.data));
                }
                assert!(segments > 10, "socket {number} got {segments} segments");
            }
        }
    });
}

fn is_tcp(frame: &[u8]) -> bool {
    frame.get(23) == Some(&6) || frame.get(20) == Some(&6)
}

#[test]
fn a_connection_and_its_frames_have_the_same_owner() {
    let flows = Flows::new(*b"whatever", 64);
    let mut counts = [0; 64];
    for port in 1024..1024 + 64 * 200_u16 {
        let local = SocketAddr::new(IpAddr::from([10, 0, 0, 1]), port);
        let remote = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), 80);
        counts[flows.of_connection(local, remote) as usize] += 1;
    }
    // Ports that follow each other are spread: six times the deviation of chance.
    assert!(
        counts.iter().all(|&count| (115..285).contains(&count)),
        "{counts:?}"
    );
    let other = Flows::new(*b"Whatever", 64);
    let local = SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 1000);
    let differs = (1..100_u16).filter(|&port| {
        let remote = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), port);
        flows.of_connection(local, remote) != other.of_connection(local, remote)
    });
    assert!(differs.count() > 80, "the secret must matter");
}

#[test]
fn several_queues_of_one_tun_interface() {
    in_namespace_with_tun("queues::several_queues_of_one_tun_interface", || {
        let queues = Tun::open_queues(&TunOptions::default(), 3).unwrap();
        assert_eq!(queues.len(), 3);
        assert!(queues.iter().all(|queue| queue.name() == "tun0"));
        // An interface of one queue has no second one.
        let _single = Tun::open(&TunOptions::new("single0")).unwrap();
        let error = Tun::open_queues(&TunOptions::new("single0"), 1)
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .contains("cannot make the TUN interface single0"),
            "{error}"
        );
    });
}
