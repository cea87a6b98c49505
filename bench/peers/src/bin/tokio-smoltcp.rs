//! tokio-smoltcp with buffers of 1 MiB.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bench_peers::{ADDRESS, PORTS, Packets, Tun, ready_to_serve, run, serve};
use futures::{Sink, Stream};
use tokio_smoltcp::device::{AsyncDevice, DeviceCapabilities, Packet};
use tokio_smoltcp::smoltcp::iface::Config;
use tokio_smoltcp::smoltcp::phy::Medium;
use tokio_smoltcp::smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tokio_smoltcp::{BufferSize, Net, NetConfig};

const BUFFER: usize = 1 << 20;

fn main() -> io::Result<()> {
    run(listen)
}

async fn listen(tun: Tun, mtu: u16) -> io::Result<()> {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = mtu.into();
    let [a, b, c, d] = ADDRESS;
    let address = IpCidr::new(IpAddress::v4(a, b, c, d), 24);
    let mut config = NetConfig::new(Config::new(HardwareAddress::Ip), address, Vec::new());
    config.buffer_size = BufferSize {
        tcp_rx_size: BUFFER,
        tcp_tx_size: BUFFER,
        ..BufferSize::default()
    };
    let device = Device(Packets::new(tun), capabilities);
    let net = Net::new(device, config);
    for port in PORTS {
        let mut listener = net.tcp_bind((ADDRESS, port).into()).await?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, port));
            }
        });
    }
    ready_to_serve();
    std::future::pending().await
}

struct Device(Packets, DeviceCapabilities);

impl AsyncDevice for Device {
    fn capabilities(&self) -> &DeviceCapabilities {
        &self.1
    }
}

impl Stream for Device {
    type Item = io::Result<Packet>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}

impl Sink<Packet> for Device {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, packet: Packet) -> io::Result<()> {
        Pin::new(&mut self.0).start_send(packet)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
