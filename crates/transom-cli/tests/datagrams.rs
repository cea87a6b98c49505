//! Datagrams through `transom run`: each arrives as the program sent it, in every mode of this machine.

#![expect(
    clippy::expect_used,
    reason = "these are tests: what cannot be set up fails them"
)]

mod harness;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use harness::{finish, modes, python, text};

/// A socket of the host, and the port at which the program finds it.
fn receiver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("its address").port();
    (socket, port.to_string())
}

/// What has arrived at a socket. The program and transom have ended: nothing is on the way any more.
fn arrived(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).expect("non-blocking");
    let mut buffer = [0; 65_536];
    let mut all = Vec::new();
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => all.push(buffer[..length].to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return all;
            }
        }
    }
}

/// Sends 5 × 1200 bytes and 300 more in one call, then waits for the answer.
const TOGETHER: &str = "
import socket, sys
UDP_SEGMENT = 103
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
s.connect(('10.0.2.2', int(sys.argv[1])))
s.send(b''.join(bytes([65 + n]) * 1200 for n in range(5)) + b'z' * 300)
print(s.recv(100).decode())
";

#[test]
fn datagrams_sent_together_arrive_apart() {
    for mode in modes() {
        let (socket, port) = receiver();
        // A run that loses some ends all the same.
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");
        let served = std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            let mut seen = Vec::new();
            loop {
                let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
                seen.push((length, buffer[0]));
                if buffer[length - 1] == b'z' {
                    socket.send_to(b"thanks", from).expect("answered");
                    return seen;
                }
            }
        });
        let output = finish(
            mode.run()
                .args(["-q", "--", python(), "-c", TOGETHER, &port]),
        );
        let said = text(&output.stderr);
        assert_eq!(text(&output.stdout), "thanks\n", "{mode}: {said}");
        let seen = served.join().expect("the server does not panic");
        let sent: Vec<_> = b"ABCDE"
            .iter()
            .map(|&letter| (1200, letter))
            .chain([(300, b'z')])
            .collect();
        assert_eq!(seen, sent, "{mode}: {said}");
    }
}

/// Sends ten datagrams and ends at once.
const AND_AWAY: &str = "
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(10):
    s.sendto(b'datagram %d' % n, ('10.0.2.2', int(sys.argv[1])))
os._exit(0)
";

#[test]
fn datagrams_sent_just_before_the_end_arrive() {
    let sent: Vec<_> = (0..10)
        .map(|number| format!("datagram {number}").into_bytes())
        .collect();
    for mode in modes() {
        for round in 0..20 {
            let (socket, port) = receiver();
            let output = finish(
                mode.run()
                    .args(["-q", "--", python(), "-c", AND_AWAY, &port]),
            );
            let said = text(&output.stderr);
            assert!(output.status.success(), "{mode}: {said}");
            assert_eq!(arrived(&socket), sent, "{mode}, round {round}: {said}");
        }
    }
}

#[test]
fn datagrams_of_a_delaying_network_arrive_after_the_end() {
    for mode in modes() {
        let (socket, port) = receiver();
        let output = finish(
            mode.run()
                .args(["-q", "--fault", "delay=40ms", "--", python(), "-c"])
                .args([AND_AWAY, &port]),
        );
        let said = text(&output.stderr);
        assert!(output.status.success(), "{mode}: {said}");
        assert_eq!(arrived(&socket).len(), 10, "{mode}: {said}");
    }
}
