//! UDP sockets, datagrams to any port, and pings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::io::ErrorKind;
use std::net::SocketAddr;

use transom::{Capabilities, EchoMode, Stack, UdpSocket, Unreachable, memory};
use wire::{bounded, gateway, hosts, kind};

#[tokio::test]
async fn datagrams_go_there_and_back() {
    bounded(async {
        let (server, client) = hosts();
        let server = UdpSocket::bind(&server, "0.0.0.0:53").await.unwrap();
        let client = UdpSocket::bind(&client, "10.0.0.2:0").await.unwrap();
        assert_ne!(client.local_addr().unwrap().port(), 0);
        client.send_to(b"who?", "10.0.0.1:53").await.unwrap();
        let mut buf = [0; 16];
        let (count, peer) = server.peek_from(&mut buf).await.unwrap();
        assert_eq!(
            (&buf[..count], peer),
            (&b"who?"[..], client.local_addr().unwrap())
        );
        let (count, peer) = server.recv_from(&mut buf[..2]).await.unwrap();
        assert_eq!((count, &buf[..2]), (2, &b"wh"[..]));
        assert_eq!(kind(server.try_recv_from(&mut buf)), ErrorKind::WouldBlock);
        server.send_to(b"me", peer).await.unwrap();
        client.readable().await.unwrap();
        let (count, peer) = client.try_recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..count], peer.port()), (&b"me"[..], 53));
    })
    .await;
}

#[tokio::test]
async fn what_the_device_holds_is_received_before_the_end() {
    bounded(async {
        let (server_stack, client) = hosts();
        let server = UdpSocket::bind(&server_stack, "0.0.0.0:53").await.unwrap();
        let client = UdpSocket::bind(&client, "10.0.0.2:0").await.unwrap();
        let mut buf = [0; 16];
        // More than one batch of the driver, twice: an old answer does not do.
        for _ in 0..2 {
            for number in 0..100 {
                client.send_to(&[number], "10.0.0.1:53").await.unwrap();
            }
            server_stack.caught_up().await;
            for number in 0..100 {
                let (count, _) = server.try_recv_from(&mut buf).unwrap();
                assert_eq!(buf[..count], [number]);
            }
            assert_eq!(kind(server.try_recv_from(&mut buf)), ErrorKind::WouldBlock);
        }
    })
    .await;
}

#[tokio::test]
async fn a_connected_socket_hears_only_its_peer_and_learns_of_errors() {
    bounded(async {
        let (server, client) = hosts();
        let socket = UdpSocket::bind(&client, "10.0.0.2:0").await.unwrap();
        assert_eq!(kind(socket.send(b"x").await), ErrorKind::NotConnected);
        socket.connect("10.0.0.1:53").await.unwrap();
        let (right, wrong) = (
            UdpSocket::bind(&server, "10.0.0.1:53").await.unwrap(),
            UdpSocket::bind(&server, "10.0.0.1:54").await.unwrap(),
        );
        let address = socket.local_addr().unwrap();
        wrong.send_to(b"wrong", address).await.unwrap();
        right.send_to(b"right", address).await.unwrap();
        let mut buf = [0; 16];
        let count = socket.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..count], b"right");
        drop(right);
        socket.send(b"anybody?").await.unwrap();
        assert_eq!(
            kind(socket.recv(&mut buf).await),
            ErrorKind::ConnectionRefused
        );
    })
    .await;
}

#[tokio::test]
async fn any_address_and_port_can_be_answered() {
    bounded(async {
        let (gateway, client) = gateway();
        let flows = gateway.udp_flows().unwrap();
        assert_eq!(kind(gateway.udp_flows()), ErrorKind::AddrInUse);
        let socket = UdpSocket::bind(&client, "10.0.0.2:0").await.unwrap();
        let target: SocketAddr = "8.8.8.8:53".parse().unwrap();
        socket.connect(target).await.unwrap();
        socket.send(b"question").await.unwrap();
        let datagram = flows.recv().await.unwrap();
        assert_eq!(datagram.local, target);
        assert_eq!(datagram.payload, &b"question"[..]);
        flows.send(datagram.local, datagram.peer, "answer").unwrap();
        let mut buf = [0; 16];
        let count = socket.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..count], b"answer");
        flows.unreachable(&datagram, Unreachable::Port);
        assert_eq!(
            kind(socket.recv(&mut buf).await),
            ErrorKind::ConnectionRefused
        );
    })
    .await;
}

#[tokio::test]
async fn a_fragmented_datagram_arrives_whole() {
    bounded(async {
        let (server, client) = hosts();
        let server = UdpSocket::bind(&server, "10.0.0.1:53").await.unwrap();
        let client = UdpSocket::bind(&client, "10.0.0.2:0").await.unwrap();
        let sent: Vec<u8> = (0..9000).map(|at| wire::byte(5, at)).collect();
        client.send_to(&sent, "10.0.0.1:53").await.unwrap();
        let (received, _) = server.recv_bytes().await.unwrap();
        assert_eq!(received, sent);
        let error = client.send_to(&[0; 70_000], "10.0.0.1:53").await;
        assert_eq!(kind(error), ErrorKind::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn bound_twice_is_in_use_and_elsewhere_is_not_available() {
    bounded(async {
        let (server, _client) = hosts();
        let _first = UdpSocket::bind(&server, "10.0.0.1:53").await.unwrap();
        let second = UdpSocket::bind(&server, "10.0.0.1:53").await;
        assert_eq!(kind(second), ErrorKind::AddrInUse);
        let elsewhere = UdpSocket::bind(&server, "192.0.2.1:53").await;
        assert_eq!(kind(elsewhere), ErrorKind::AddrNotAvailable);
    })
    .await;
}

/// An ICMP echo request for 10.0.0.9, as a host at 10.0.0.2 sends it.
fn ping() -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 9, // IP
        8, 0, 0, 0, 0x12, 0x34, 0, 7, b'd', b'a', b't', b'a', // ICMP
    ];
    let sum = |bytes: &[u8]| {
        let mut sum: u32 = bytes
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    };
    let header = sum(&packet[..20]);
    packet[10..12].copy_from_slice(&header);
    let message = sum(&packet[20..]);
    packet[22..24].copy_from_slice(&message);
    packet
}

#[tokio::test]
async fn pings_may_be_answered_by_the_application() {
    use std::collections::VecDeque;
    use transom::device::Device;
    use transom::stack_engine::wire::{HeaderBuf, TxFrame};
    bounded(async {
        let (left, mut right) = memory::pair(Capabilities::ip(1500));
        let gateway = Stack::builder()
            .address("10.0.0.1/24")
            .any_address(true)
            .echo(EchoMode::Deliver)
            .device(left)
            .spawn()
            .unwrap();
        let echoes = gateway.echo_requests();
        for answer in [true, false] {
            let mut headers = HeaderBuf::new();
            assert!(headers.extend(&ping()));
            let frame = TxFrame {
                headers,
                ..TxFrame::default()
            };
            right.send(&mut VecDeque::from([frame])).unwrap();
            let request = echoes.recv().await.unwrap();
            assert_eq!(request.local_addr().to_string(), "10.0.0.9");
            assert_eq!(request.peer_addr().to_string(), "10.0.0.2");
            assert_eq!((request.ident(), request.sequence()), (0x1234, 7));
            assert_eq!(request.payload(), &b"data"[..]);
            if answer {
                request.reply().unwrap();
            } else {
                request.unreachable(Unreachable::Host);
            }
            let mut frames = Vec::new();
            right.recv(&mut frames, 8).unwrap();
            let kind = frames[0].data[20];
            assert_eq!(kind, if answer { 0 } else { 3 });
        }
    })
    .await;
}
