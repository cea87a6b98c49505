//! tcp_ip, pumped as its examples do.

use bench_peers::{Tun, ready_to_serve, run, serve};
use tcp_ip::tcp::TcpListener;
use tcp_ip::{IpStackConfig, ip_stack};

/// Packets taken from the stack at a time.
const BATCH: usize = 128;

fn main() -> std::io::Result<()> {
    run(listen)
}

async fn listen(tun: Tun, mtu: u16) -> std::io::Result<()> {
    let config = IpStackConfig::builder().mtu(mtu).build();
    let (stack, to_stack, mut from_stack) = ip_stack(config)?;
    let mut listener = TcpListener::bind_all(stack).await?;
    let device = tun.clone();
    tokio::spawn(async move {
        let mut packet = vec![0; 65_536];
        while let Ok(n) = device.recv(&mut packet).await {
            // What it cannot use is its own affair.
            drop(to_stack.send_ip_packet(&packet[..n]).await);
        }
    });
    tokio::spawn(async move {
        let mut packets = vec![vec![0_u8; usize::from(mtu)]; BATCH];
        let mut sizes = vec![0; BATCH];
        while let Ok(count) = from_stack.recv_ip_packet(&mut packets, &mut sizes).await {
            for (packet, &size) in packets.iter().zip(&sizes).take(count) {
                // A packet that the device refuses is lost, as on a wire.
                drop(tun.send(&packet[..size]));
            }
        }
    });
    ready_to_serve();
    loop {
        let (stream, _) = listener.accept().await?;
        let port = stream.local_addr()?.port();
        tokio::spawn(serve(stream, port));
    }
}
