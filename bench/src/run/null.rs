//! The ceiling of a relay: a "TCP" that does next to nothing on the program's side, and one socket of the kernel on the
//! other. One connection at a time, in order only; nothing is remembered, nothing looked at, nothing copied twice.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use super::SERVER;
use crate::net::{ip, ready};
use crate::null::{HEADERS, Null};
use crate::sys::{self, VNET_HEADER};

const DEVICE: &str = "null0";
const MTU: usize = 1500;
/// Packets in one direction before the other has its turn.
const TURN: usize = 16;

/// Relays for the program with this process id, whose network it moves its device to.
pub(super) fn serve(program: &str) -> io::Result<()> {
    sys::die_with_parent();
    let device = sys::open_tun(DEVICE, true)?;
    ip(&["link", "set", DEVICE, "netns", program])?;
    let namespace = File::open(format!("/proc/{program}/ns/net"))?;
    std::thread::spawn(move || configure(namespace.as_fd()))
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("no network")))?;
    ready();
    let mut null = Null::new(device, true, MTU - HEADERS);
    let mut server = None;
    let mut packet = vec![0; 70_000];
    loop {
        let received = receive(&mut null, &mut server, &mut packet);
        let sent = match &server {
            Some(server) if null.connection.open => send(&mut null, server),
            _ => 0,
        };
        if received == 0 && sent == 0 {
            wait(&null, server.as_ref());
        }
    }
}

/// The program's end of the device.
fn configure(namespace: BorrowedFd<'_>) -> io::Result<()> {
    sys::enter_network(namespace)?;
    let mtu = MTU.to_string();
    ip(&["addr", "add", "10.0.2.100/24", "dev", DEVICE])?;
    ip(&[
        "link",
        "set",
        "dev",
        DEVICE,
        "mtu",
        &mtu,
        "txqueuelen",
        "10000",
        "up",
    ])?;
    ip(&["route", "add", "default", "dev", DEVICE])
}

/// From the program to the server; returns how many packets there were.
fn receive(null: &mut Null, server: &mut Option<TcpStream>, packet: &mut [u8]) -> usize {
    let mut received = 0;
    while received < TURN {
        let Some(n) = sys::read(&null.link, packet) else {
            break;
        };
        received += 1;
        let packet = packet.get(VNET_HEADER..n).unwrap_or_default();
        let heard = null.handle(packet);
        if heard.opened {
            *server = connect(null);
        }
        if let (Some(server), Some(data @ [_, ..])) = (server.as_mut(), packet.get(heard.data)) {
            // A server that has gone away is seen by the program's next connection.
            drop(server.write_all(data));
        }
        null.owe(heard.closer);
    }
    null.settle();
    received
}

fn connect(null: &Null) -> Option<TcpStream> {
    let (address, port) = (
        Ipv4Addr::from(null.connection.local),
        null.connection.local_port,
    );
    // Whatever the program's network says by itself is none of ours.
    if address.to_string() != SERVER {
        return None;
    }
    let server = TcpStream::connect((address, port)).ok()?;
    server.set_nodelay(true).ok()?;
    Some(server)
}

/// From the server to the program; returns how many packets there were.
fn send(null: &mut Null, server: &TcpStream) -> usize {
    let mut sent = 0;
    while sent < TURN && null.send_with(|room| sys::recv_now(server, room).unwrap_or(0)) {
        sent += 1;
    }
    sent
}

/// Until one side has something.
fn wait(null: &Null, server: Option<&TcpStream>) {
    match server {
        Some(server) if null.connection.open && null.room() > 0 => {
            let most = std::time::Duration::from_millis(100);
            sys::wait_either(null.link.as_fd(), server.as_fd(), Some(most));
        }
        _ => sys::wait_readable(&null.link, 100_000),
    }
}
