//! An echo server behind a TUN interface: whoever is on this machine can talk to it at 10.7.0.2:7.
//!
//! ```text
//! sudo ip tuntap add transom0 mode tun user $USER vnet_hdr
//! sudo ip addr add 10.7.0.1/24 dev transom0
//! cargo run --release -p transom --example echo_server
//! nc 10.7.0.2 7
//! ```

use std::io;

use tokio::io::AsyncWriteExt;
use transom::device::{Tun, TunOptions};
use transom::{Stack, TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let device = Tun::open(&TunOptions::new("transom0"))?;
    let stack = Stack::builder()
        .address("10.7.0.2/24")
        .device(device)
        .spawn()?;
    let listener = TcpListener::bind(&stack, "10.7.0.2:7").await?;
    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that resets its connection is no concern of the others.
            let _ = echo(stream).await;
        });
    }
}

/// Sends back what comes, without copying it, and finishes when the client does.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let chunk = stream.recv_chunk(usize::MAX).await?;
        if chunk.is_empty() {
            return stream.shutdown().await;
        }
        stream.send_bytes(chunk).await?;
    }
}
