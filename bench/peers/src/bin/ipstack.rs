//! ipstack, its buffers as large as makes it fastest: by default it lets 16 KiB be on the way.

use bench_peers::{Tun, ready_to_serve, run, serve};
use ipstack::{IpStack, IpStackConfig, IpStackStream, TcpConfig};

const WINDOW: u32 = 1 << 20;

fn main() -> std::io::Result<()> {
    run(listen)
}

async fn listen(tun: Tun, mtu: u16) -> std::io::Result<()> {
    let mut config = IpStackConfig::default();
    config.mtu(mtu).map_err(std::io::Error::other)?;
    let mut tcp = TcpConfig::default();
    tcp.max_unacked_bytes = WINDOW;
    tcp.read_buffer_size = WINDOW as usize;
    config.with_tcp_config(tcp);
    let mut stack = IpStack::new(config, tun);
    ready_to_serve();
    loop {
        if let IpStackStream::Tcp(stream) = stack.accept().await.map_err(std::io::Error::other)? {
            let port = stream.peer_addr().port();
            tokio::spawn(serve(stream, port));
        }
    }
}
