//! Carries every TCP connection and DNS-sized UDP exchange that is routed into a TUN interface over
//! the kernel's own sockets: what tun2socks does, with a direct connection in the place of a proxy.
//!
//! The interface is moved to a network namespace of which it is the only way out; the forwarder and
//! its sockets stay where they are.
//!
//! ```text
//! cargo build --release -p transom --example forwarder
//! sudo target/release/examples/forwarder &
//! sudo ip netns add box && sudo ip link set transom0 netns box
//! sudo ip -n box addr add 10.7.0.2/24 dev transom0 && sudo ip -n box link set transom0 up
//! sudo ip -n box route add default via 10.7.0.1
//! sudo ip netns exec box curl http://93.184.216.34/
//! ```

use std::io::{self, ErrorKind};
use std::time::Duration;

use transom::device::{Tun, TunOptions};
use transom::{Datagram, Incoming, RouteTarget, Stack, UdpFlows, Unreachable, relay};

/// How long an answer to a datagram is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> io::Result<()> {
    let stack = Stack::builder()
        .address("10.7.0.1/24")
        .any_address(true)
        .route("0.0.0.0/0", RouteTarget::OnLink)
        .device(Tun::open(&TunOptions::new("transom0"))?)
        .spawn()?;
    let mut incoming = stack.incoming()?;
    let flows = std::sync::Arc::new(stack.udp_flows()?);
    loop {
        tokio::select! {
            attempt = incoming.next() => match attempt {
                Some(attempt) => drop(tokio::spawn(forward(attempt))),
                None => return stack.check(),
            },
            datagram = flows.recv() => drop(tokio::spawn(ask(flows.clone(), datagram?))),
        }
    }
}

/// First the server, then the client: it learns what would have happened without us.
async fn forward(attempt: Incoming) {
    match tokio::net::TcpStream::connect(attempt.local_addr()).await {
        Ok(server) => {
            if let Ok(client) = attempt.accept().await {
                relay(client, server).await;
            }
        }
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => attempt.refuse(),
            ErrorKind::NetworkUnreachable => attempt.unreachable(Unreachable::Network),
            ErrorKind::HostUnreachable => attempt.unreachable(Unreachable::Host),
            _ => attempt.ignore(),
        },
    }
}

/// One question, one answer.
async fn ask(flows: std::sync::Arc<UdpFlows>, question: Datagram) -> io::Result<()> {
    let any = if question.local.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    socket.connect(question.local).await?;
    socket.send(&question.payload).await?;
    let mut answer = vec![0; 65_535];
    match tokio::time::timeout(PATIENCE, socket.recv(&mut answer)).await? {
        Ok(count) => flows.send(question.local, question.peer, answer[..count].to_vec()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            flows.unreachable(&question, Unreachable::Port);
            Ok(())
        }
        Err(error) => Err(error),
    }
}
