//! Two of our stacks in one thread: connections that are opened, carry a byte there and back, and are closed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use transom_device::memory::cable;
use transom_stack::tcp::{CloseReason, Event, Instant as StackInstant};
use transom_stack::{ConnId, ConnectOptions, ListenOn, ListenOptions, Stack};
use transom_stack::{StackConfig, StackEvent};

use crate::in_memory::End;
use crate::memory::Connections;
use crate::net;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// A port of who connects is used again towards one of these a second after its connection at the earliest.
const SERVED: Range<u16> = 1000..1008;

/// How long it takes.
pub(crate) fn run(load: Connections) -> io::Result<Duration> {
    let (near, far) = cable(1500);
    let config = StackConfig::default().ephemeral_ports(net::PORTS);
    let mut client = End::new("10.0.0.1/24", 1, near, config.clone())?;
    let mut server = End::new("10.0.0.2/24", 2, far, config)?;
    for port in SERVED {
        let here = ListenOn::Address(SocketAddr::new(SERVER, port));
        let listens = server.stack.tcp_listen(ListenOptions::new(here));
        listens.map_err(io::Error::other)?;
    }
    let mut ports = SERVED.cycle();
    let (mut open, mut done) = (0, 0);
    let started = Instant::now();
    while load.goes_on(started, done)? {
        let now = StackInstant::from_origin(started.elapsed() + Duration::from_secs(1));
        while open < load.at_once {
            let to = SocketAddr::new(SERVER, ports.next().unwrap_or(SERVED.start));
            let connects = client.stack.tcp_connect(now, ConnectOptions::new(to));
            connects.map_err(io::Error::other)?;
            open += 1;
        }
        let there = client.send(now);
        server.receive(now);
        serve(&mut server.stack, now)?;
        let back = server.send(now);
        client.receive(now);
        let finished = ask(&mut client.stack, now)?;
        open -= finished;
        done += finished as u64;
        if !there && !back {
            client.stack.handle_timeout(now);
            server.stack.handle_timeout(now);
        }
    }
    Ok(started.elapsed())
}

/// Sends back what comes, and closes after the peer.
fn serve(stack: &mut Stack, now: StackInstant) -> io::Result<()> {
    while let Some(event) = stack.poll_event() {
        match event {
            StackEvent::Acceptable(listener) => {
                while let Some(id) = stack.tcp_accept(listener) {
                    // What came before it was taken was not told.
                    send_back(stack, now, id)?;
                }
            }
            StackEvent::Tcp(id, Event::Readable) => send_back(stack, now, id)?,
            StackEvent::Tcp(id, Event::PeerFinished) => stack.tcp_release(now, id),
            _ => {}
        }
    }
    Ok(())
}

fn send_back(stack: &mut Stack, now: StackInstant, id: ConnId) -> io::Result<()> {
    let mut buffer = [0; 64];
    while let Ok(Some(n @ 1..)) = stack.tcp_recv_into(now, id, &mut buffer) {
        let sent = stack.tcp_send_slice(now, id, &buffer[..n]);
        sent.map_err(io::Error::other)?;
    }
    Ok(())
}

/// Sends a byte as soon as it is connected, and closes when it has come back. Gives how many did.
fn ask(stack: &mut Stack, now: StackInstant) -> io::Result<usize> {
    let mut finished = 0;
    while let Some(event) = stack.poll_event() {
        match event {
            StackEvent::Tcp(id, Event::Connected) => {
                let sent = stack.tcp_send_slice(now, id, &[7]);
                sent.map_err(io::Error::other)?;
            }
            StackEvent::Tcp(id, Event::Readable) => {
                let mut byte = [0];
                if let Ok(Some(1)) = stack.tcp_recv_into(now, id, &mut byte) {
                    stack.tcp_release(now, id);
                    finished += 1;
                }
            }
            StackEvent::Tcp(_, Event::Closed(reason)) if reason != CloseReason::Normal => {
                return Err(io::Error::other(format!("a connection ended: {reason:?}")));
            }
            _ => {}
        }
    }
    Ok(finished)
}
