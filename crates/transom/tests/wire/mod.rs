//! Two hosts on one wire, and data to send over it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use transom::{Capabilities, RouteTarget, Stack, TcpListener, TcpStream, memory};

/// Longer than anything here takes; a test that reaches it has lost a wake-up.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Where the server listens.
pub(crate) const SERVER: &str = "10.0.0.1:80";

/// As a link of the kernel: the device computes checksums and cuts segments.
pub(crate) fn offload() -> Capabilities {
    Capabilities {
        tx_checksum: true,
        max_gso: 65_535,
        ..Capabilities::ip(1500)
    }
}

/// Server and client on a wire without help from the device.
pub(crate) fn hosts() -> (Stack, Stack) {
    hosts_over(Capabilities::ip(1500))
}

/// Server and client; both have IPv4 and IPv6 addresses.
pub(crate) fn hosts_over(capabilities: Capabilities) -> (Stack, Stack) {
    let (left, right) = memory::pair(capabilities);
    let server = Stack::builder()
        .address("10.0.0.1/24")
        .address("fd00::1/64")
        .device(left)
        .spawn()
        .unwrap();
    let client = Stack::builder()
        .address("10.0.0.2/24")
        .address("fd00::2/64")
        .device(right)
        .spawn()
        .unwrap();
    (server, client)
}

/// A gateway that takes whatever is sent to any address, and a client behind it.
pub(crate) fn gateway() -> (Stack, Stack) {
    let (left, right) = memory::pair(Capabilities::ip(1500));
    let gateway = Stack::builder()
        .address("10.0.0.1/24")
        .any_address(true)
        .device(left)
        .spawn()
        .unwrap();
    let client = Stack::builder()
        .address("10.0.0.2/24")
        .address("fd00::2/64")
        .gateway("10.0.0.1")
        .route("::/0", RouteTarget::OnLink)
        .device(right)
        .spawn()
        .unwrap();
    (gateway, client)
}

/// A connection: the client's end and the server's.
pub(crate) async fn connection(server: &Stack, client: &Stack) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(server, "10.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) =
        tokio::join!(TcpStream::connect(client, address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

/// Runs a test, and fails it when it hangs.
pub(crate) async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, test)
        .await
        .expect("the test hangs: a wake-up was lost")
}

/// Polls a future once and drops it.
pub(crate) async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Byte `at` of the stream that `seed` names.
pub(crate) const fn byte(seed: u64, at: u64) -> u8 {
    let mixed = (at / 8)
        .wrapping_add(seed)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed.to_be_bytes()[(at % 8) as usize]
}

/// Writes `len` bytes of the stream `seed`.
pub(crate) async fn write_stream(
    to: &mut (impl AsyncWrite + Unpin),
    seed: u64,
    len: u64,
) -> io::Result<()> {
    let mut at = 0;
    let mut block = vec![0; 128 << 10];
    while at < len {
        let count = (len - at).min(block.len() as u64) as usize;
        for (offset, place) in block[..count].iter_mut().enumerate() {
            *place = byte(seed, at + offset as u64);
        }
        to.write_all(&block[..count]).await?;
        at += count as u64;
    }
    Ok(())
}

/// Reads to the end and checks that it is the stream `seed`; returns its length.
pub(crate) async fn check_stream(
    from: &mut (impl AsyncRead + Unpin),
    seed: u64,
) -> io::Result<u64> {
    let mut at = 0;
    let mut block = vec![0; 128 << 10];
    loop {
        let count = from.read(&mut block).await?;
        if count == 0 {
            return Ok(at);
        }
        for (offset, found) in block[..count].iter().enumerate() {
            let expected = byte(seed, at + offset as u64);
            assert_eq!(*found, expected, "byte {} differs", at + offset as u64);
        }
        at += count as u64;
    }
}

/// The kind of error of a result that must be one.
pub(crate) fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("should have failed").kind()
}

/// An address on the server's network where nobody is.
pub(crate) fn nowhere() -> SocketAddr {
    "192.0.2.1:80".parse().unwrap()
}
