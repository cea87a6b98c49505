//! What the peers share: a TUN device for tokio, and what a server does on each port.
//!
//! `bench` starts a peer with the name of a TUN device that exists and is up, and the MTU; the peer writes `ready` when it
//! can be talked to. Port 1000 sends for ever, 1001 reads until the end, every other one sends back what it gets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Sends for ever.
const SOURCE: u16 = 1000;
/// Reads until the end.
const SINK: u16 = 1001;
/// Send back what they get, the second for many short connections.
const ECHOES: [u16; 2] = [1002, 1003];
/// The ports of a server that has to name them.
pub const PORTS: [u16; 4] = [SOURCE, SINK, ECHOES[0], ECHOES[1]];
/// The stack's address.
pub const ADDRESS: [u8; 4] = [10, 9, 0, 2];
/// What the application reads and writes at a time.
const PIECE: usize = 65_536;

/// Runs a server on one thread, as ours and smoltcp's are.
pub fn run<F: Future<Output = io::Result<()>>>(
    serve: impl FnOnce(Tun, u16) -> F,
) -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(mtu)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: PEER DEVICE MTU"));
    };
    let mtu = mtu.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { serve(Tun::open(&name)?, mtu).await })
}

/// Tells who started us that the stack can be talked to.
pub fn ready_to_serve() {
    println!("ready");
}

/// What a server does with a connection to a port.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, port: u16) {
    let mut buffer = vec![0; PIECE];
    match port {
        SOURCE => while stream.write_all(&buffer).await.is_ok() {},
        SINK => while matches!(stream.read(&mut buffer).await, Ok(1..)) {},
        _ => {
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
    // The other end may be gone already.
    drop(stream.shutdown().await);
}

/// A TUN device without offload: one packet a call.
#[derive(Clone)]
pub struct Tun(Arc<AsyncFd<OwnedFd>>);

impl Tun {
    /// Attaches to a device.
    fn open(name: &str) -> io::Result<Self> {
        const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
        const IFF_TUN_NO_PI: i16 = 0x1001;
        // SAFETY: the path is a NUL-terminated constant.
        let fd = unsafe {
            libc::open(
                c"/dev/net/tun".as_ptr(),
                libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // struct ifreq: 16 bytes of name, then the flags; 40 bytes long.
        let mut request = [0_u8; 40];
        let length = name.len().min(15);
        request[..length].copy_from_slice(&name.as_bytes()[..length]);
        request[16..18].copy_from_slice(&IFF_TUN_NO_PI.to_ne_bytes());
        // SAFETY: the request is as long as struct ifreq and lives across the call.
        if unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types whose descriptor may change; an OwnedFd's cannot"
        )]
        AsyncFd::new(fd).map(|fd| Self(Arc::new(fd)))
    }

    /// Receives one packet.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let fd = self.0.get_ref().as_raw_fd();
            // SAFETY: the pointer and the length are those of a live slice.
            let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
            match usize::try_from(n) {
                Ok(n) => return Poll::Ready(Ok(n)),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Poll::Ready(Err(error));
                    }
                    guard.clear_ready();
                }
            }
        }
    }

    /// Sends one packet; a TUN device is never full in this direction.
    pub fn send(&self, packet: &[u8]) -> io::Result<usize> {
        let fd = self.0.get_ref().as_raw_fd();
        // SAFETY: the pointer and the length are those of a live slice.
        let n = unsafe { libc::write(fd, packet.as_ptr().cast(), packet.len()) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }
}

impl AsyncRead for Tun {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n = ready!(self.poll_recv(cx, buffer.initialize_unfilled()))?;
        buffer.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tun {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        packet: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.send(packet))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The device as packets in and out.
pub struct Packets {
    tun: Tun,
    buffer: Vec<u8>,
}

impl Packets {
    pub fn new(tun: Tun) -> Self {
        let buffer = vec![0; PIECE];
        Self { tun, buffer }
    }
}

impl Stream for Packets {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { tun, buffer } = self.get_mut();
        let n = ready!(tun.poll_recv(cx, buffer))?;
        Poll::Ready(Some(Ok(buffer[..n].to_vec())))
    }
}

impl Sink<Vec<u8>> for Packets {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, packet: Vec<u8>) -> io::Result<()> {
        // A packet that the device refuses is lost, as on a wire.
        drop(self.tun.send(&packet));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
