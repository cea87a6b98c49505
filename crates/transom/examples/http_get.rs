//! Fetches a page over our own TCP, and shows what its connection came to.
//!
//! ```text
//! sudo ip tuntap add transom0 mode tun user $USER vnet_hdr
//! sudo ip addr add 10.7.0.1/24 dev transom0
//! python3 -m http.server &
//! cargo run --release -p transom --example http_get -- 10.7.0.1:8000 /
//! ```

use std::io::{self, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom::device::{Tun, TunOptions};
use transom::{Stack, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "10.7.0.1:8000".into());
    let path = arguments.next().unwrap_or_else(|| "/".into());

    let device = Tun::open(&TunOptions::new("transom0"))?;
    let stack = Stack::builder()
        .address("10.7.0.2/24")
        .gateway("10.7.0.1")
        .device(device)
        .spawn()?;

    let mut stream = TcpStream::connect(&stack, &server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    io::stdout().write_all(&response)?;

    if let Some(info) = stream.info() {
        writeln!(
            io::stderr(),
            "{}: {} bytes received, round trip {:?}, {} segments sent again",
            info.state,
            info.counters.bytes_received,
            info.srtt,
            info.counters.retransmissions
        )?;
    }
    // Whoever ends first still has to acknowledge the other's FIN.
    drop(stream);
    stack.idle().await;
    Ok(())
}
