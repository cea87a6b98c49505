//! A connection.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{Interest as TokioInterest, Ready};
use transom_stack::tcp::{CloseReason, ConnectionInfo, FastOpenUse, Instant, State};
use transom_stack::{ConnId, ConnectOptions};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::address::ToSocketAddr;
use crate::error;
use crate::shared::{Inner, Place};
use crate::stack::Stack;
use crate::waiters::{Interest, Waiters};

/// A TCP connection between this stack and a peer, as `tokio::net::TcpStream` is one of the kernel's.
///
/// It is read and written through `AsyncRead` and `AsyncWrite`, or without copying through
/// [`recv_chunk`](Self::recv_chunk) and [`send_bytes`](Self::send_bytes).
///
/// # Closing
/// `shutdown` of `AsyncWrite` sends FIN after the data written; reading goes on. Dropping the stream
/// closes both directions: with data unread the peer gets a reset, as the kernel does it, otherwise
/// what was written is delivered in the background, followed by FIN.
pub struct TcpStream {
    pub(super) stack: Stack,
    pub(super) id: ConnId,
    local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl TcpStream {
    /// Opens a connection.
    ///
    /// Cancel safe: dropped, it gives the attempt up.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `NetworkUnreachable`: as the peer or the
    /// network answers. `AddrNotAvailable` when the stack has no address or port to connect from.
    pub async fn connect(stack: &Stack, addr: impl ToSocketAddr) -> io::Result<Self> {
        Self::connect_with(stack, ConnectOptions::new(addr.to_socket_addr()?)).await
    }

    /// Opens a connection with options: from a given local address, with choices of its own, with data in its SYN.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and `AddrInUse` when these two sockets are connected already.
    pub async fn connect_with(stack: &Stack, options: ConnectOptions) -> io::Result<Self> {
        let (stream, ()) = Self::open(stack, &options, |_, _, _| ())?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Opens a connection and writes `data`, which goes with the SYN if the server gave out a cookie before (TCP Fast
    /// Open, RFC 7413): its answer comes a round trip earlier. Otherwise the SYN asks for a cookie, and the data follows
    /// when the connection is open. Returns when it is, and all of the data is on its way or in the send buffer.
    ///
    /// **The server may get the data twice**: a copy of the SYN that the network delivers late opens another connection.
    /// Use it for requests that may be repeated.
    ///
    /// For code that writes to a stream it is given, [`connect_with`](Self::connect_with) takes
    /// [`ConnectOptions::fast_open`] and [`ConnectOptions::wait_for_data`]: it returns at once where a cookie is known,
    /// and the first write goes with the SYN.
    ///
    /// Cancel safe: dropped, it gives the attempt up, though the data may have arrived.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    // RFC 7413 §2.1, §6.1, TFO-11.
    pub async fn connect_with_data(
        stack: &Stack,
        addr: impl ToSocketAddr,
        data: &[u8],
    ) -> io::Result<Self> {
        let options = ConnectOptions::new(addr.to_socket_addr()?).fast_open(FastOpenUse::Cookie);
        let (stream, taken) = Self::open(stack, &options, |inner, now, id| {
            // What a connection that was just made does not take waits until it is open.
            inner.stack.tcp_send_slice(now, id, data).unwrap_or(0)
        })?;
        stream.connected().await?;
        let rest = data.get(taken..).unwrap_or_default();
        stream.send_bytes(Bytes::copy_from_slice(rest)).await?;
        Ok(stream)
    }

    /// Begins a connection in one of the host's stacks, and does with it what `then` says before anything is sent. Each
    /// has ports of its own towards a peer: when the one whose turn it is has none left, the others are asked.
    fn open<R>(
        stack: &Stack,
        options: &ConnectOptions,
        mut then: impl FnMut(&mut Inner, Instant, ConnId) -> R,
    ) -> io::Result<(Self, R)> {
        let (start, count) = (stack.next_shard(), stack.shards());
        let mut turn = 0;
        loop {
            let own = stack.of_shard((start + turn) % count);
            let opened = own.shared().act("connect", |inner, now| {
                let stream = Self::begin(&own, inner, now, options.clone())?;
                let result = then(inner, now, stream.id);
                Ok((stream, result))
            });
            turn += 1;
            match opened {
                Err(error) if turn < count && error::is_for_another_shard(&error) => {}
                result => return result,
            }
        }
    }

    fn begin(
        stack: &Stack,
        inner: &mut Inner,
        now: Instant,
        options: ConnectOptions,
    ) -> io::Result<Self> {
        if let Some(kind) = inner.gone {
            return Err(error::device_gone(kind));
        }
        let id = inner
            .stack
            .tcp_connect(now, options)
            .map_err(error::from_connect_error)?;
        Ok(Self::adopt(stack, inner, id))
    }

    /// Makes the handle of a connection of the stack.
    pub(super) fn adopt(stack: &Stack, inner: &mut Inner, id: ConnId) -> Self {
        inner
            .connections
            .insert((id.index(), id.generation()), Waiters::new());
        // A connection that was just made has addresses.
        let unspecified = SocketAddr::from(([0; 4], 0));
        let (local, peer) = inner
            .stack
            .tcp_addresses(id)
            .unwrap_or((unspecified, unspecified));
        Self {
            stack: stack.clone(),
            id,
            local,
            peer,
        }
    }

    /// Waits for the end of the handshake, unless its SYN waits for data.
    pub(super) async fn connected(&self) -> io::Result<()> {
        let id = self.id;
        self.wait("connect", Interest::WRITE, move |inner| {
            let connection = inner.stack.tcp_connection(id);
            if connection.is_some_and(|connection| connection.fast_open_room().1) {
                return Poll::Ready(Ok(()));
            }
            match inner.stack.tcp_state(id) {
                Some(State::SynSent | State::SynReceived) => Poll::Pending,
                Some(State::Closed) | None => Poll::Ready(Err(closed_error(inner, id))),
                Some(_) => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Our address and port.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The peer's address and port.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub const fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.stack.shared().look("state", |inner| {
            inner.stack.tcp_state(self.id).unwrap_or(State::Closed)
        })
    }

    /// Everything that is known about the connection, as `TCP_INFO` gives it.
    #[must_use]
    pub fn info(&self) -> Option<ConnectionInfo> {
        self.stack
            .shared()
            .look("info", |inner| inner.stack.tcp_info(self.id).ok())
    }

    /// The stack that it belongs to.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack's name for it, as in [`Stack::connections`].
    #[must_use]
    pub const fn id(&self) -> ConnId {
        self.id
    }

    /// Why the connection failed, once it has.
    ///
    /// Unlike the kernel's SO_ERROR it is not cleared by asking.
    ///
    /// # Errors
    /// None; the signature is tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self
            .close_reason()
            .filter(|reason| *reason != CloseReason::Normal)
            .map(error::from_close_reason))
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.stack
            .shared()
            .look("close reason", |inner| close_reason(inner, self.id))
    }

    /// Waits until the connection is over, in both directions or by a reset, and says why. Cancel safe.
    ///
    /// TIME-WAIT counts as over. Data may be left to read.
    pub async fn closed(&self) -> CloseReason {
        let id = self.id;
        let ended = self
            .wait("closed", Interest::CLOSED, move |inner| {
                match (close_reason(inner, id), inner.stack.tcp_state(id)) {
                    (Some(reason), _) => Poll::Ready(Ok(reason)),
                    (None, Some(State::TimeWait) | None) => Poll::Ready(Ok(CloseReason::Normal)),
                    (None, Some(_)) => Poll::Pending,
                }
            })
            .await;
        ended.unwrap_or(CloseReason::Aborted)
    }

    /// Sends a reset and forgets everything, as closing with SO_LINGER 0 does. Whoever reads or writes
    /// the stream afterwards gets `ConnectionAborted`.
    pub fn abort(&self) {
        self.stack.shared().act("abort", |inner, now| {
            inner.stack.tcp_abort(now, self.id);
        });
    }

    /// Sends FIN after the data written so far, without waiting for anything.
    ///
    /// # Errors
    /// The connection has failed before.
    pub fn shutdown_write(&self) -> io::Result<()> {
        let result = self.stack.shared().act("shutdown", |inner, now| {
            inner.stack.tcp_shutdown_write(now, self.id)
        });
        result.or_else(error::from_shutdown_error)
    }

    /// Waits until one of `interest` is ready. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn ready(&self, interest: TokioInterest) -> io::Result<Ready> {
        let id = self.id;
        let mut wait = Interest::CLOSED;
        if interest.is_readable() {
            wait = wait.or(Interest::READ);
        }
        if interest.is_writable() {
            wait = wait.or(Interest::WRITE);
        }
        self.wait("ready", wait, move |inner| {
            let ready = readiness(inner, id);
            let mut wanted = Ready::EMPTY;
            if interest.is_readable() {
                wanted |= Ready::READABLE | Ready::READ_CLOSED;
            }
            if interest.is_writable() {
                wanted |= Ready::WRITABLE | Ready::WRITE_CLOSED;
            }
            if interest.is_error() {
                wanted |= Ready::ERROR;
            }
            let met = ready & wanted;
            if met.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(Ok(met))
            }
        })
        .await
    }

    /// Waits until there is data, or the end, to read. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(TokioInterest::READABLE).await.map(drop)
    }

    /// Waits until there is room to write, or writing would fail. Cancel safe.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(TokioInterest::WRITABLE).await.map(drop)
    }

    /// Splits it into halves for two pieces of code within one task.
    pub const fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits it into halves that can go to different tasks. Dropping the write half sends FIN.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        super::split_owned::split(self)
    }

    pub(super) async fn wait<R>(
        &self,
        purpose: &'static str,
        interest: Interest,
        mut attempt: impl FnMut(&mut Inner) -> Poll<io::Result<R>> + Unpin,
    ) -> io::Result<R> {
        self.stack
            .shared()
            .wait(
                purpose,
                Place::Connection(self.id),
                interest,
                move |inner, _| attempt(inner),
            )
            .await
    }

    /// Ready when there is data, or the end, to read.
    ///
    /// # Errors
    /// The device is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let id = self.id;
        self.poll_input(cx, "poll read ready", |inner, _| {
            let ready = readiness(inner, id) & (Ready::READABLE | Ready::READ_CLOSED);
            if ready.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    /// Ready when there is room to write, or writing would fail.
    ///
    /// # Errors
    /// The device is gone.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let id = self.id;
        self.poll_output(cx, "poll write ready", |inner, _| {
            let ready = readiness(inner, id) & (Ready::WRITABLE | Ready::WRITE_CLOSED);
            if ready.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    /// Takes what has arrived, up to `max` bytes, without copying; an empty chunk is the end. Cancel safe.
    ///
    /// A chunk is a part of a received frame; keeping it keeps the frame.
    ///
    /// # Errors
    /// The connection has failed, and everything received before was read.
    pub async fn recv_chunk(&self, max: usize) -> io::Result<Bytes> {
        self.stack
            .shared()
            .wait(
                "receive",
                Place::Connection(self.id),
                Interest::READ,
                |inner, now| super::io::recv(inner, now, self.id, max),
            )
            .await
    }

    /// Queues `data` for sending without copying and waits until the send buffer has taken all of it.
    ///
    /// Not cancel safe: how much was taken is lost. [`try_send_bytes`](Self::try_send_bytes) tells.
    ///
    /// # Errors
    /// `BrokenPipe` after `shutdown`; otherwise why the connection failed.
    pub async fn send_bytes(&self, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            self.stack
                .shared()
                .wait(
                    "send",
                    Place::Connection(self.id),
                    Interest::WRITE,
                    |inner, now| super::io::send(inner, now, self.id, &mut data).map_ok(drop),
                )
                .await?;
        }
        Ok(())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.stack.shared().act("drop a stream", |inner, now| {
            inner
                .connections
                .remove((self.id.index(), self.id.generation()));
            inner.stack.tcp_release(now, self.id);
        });
    }
}

pub(super) fn not_connected() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection has ended")
}

fn close_reason(inner: &Inner, id: ConnId) -> Option<CloseReason> {
    inner.stack.tcp_connection(id)?.closed()
}

fn closed_error(inner: &Inner, id: ConnId) -> io::Error {
    match close_reason(inner, id) {
        Some(reason) => error::from_close_reason(reason),
        None => not_connected(),
    }
}

/// Everything that the connection is ready for.
fn readiness(inner: &Inner, id: ConnId) -> Ready {
    let Some(connection) = inner.stack.tcp_connection(id) else {
        return Ready::READ_CLOSED | Ready::WRITE_CLOSED;
    };
    let mut ready = Ready::EMPTY;
    if connection.is_readable() {
        ready |= Ready::READABLE;
    }
    if connection.is_writable() {
        ready |= Ready::WRITABLE;
    }
    if let Some(reason) = connection.closed() {
        // Reading and writing both give their answer at once now.
        ready |= Ready::READABLE | Ready::READ_CLOSED | Ready::WRITABLE | Ready::WRITE_CLOSED;
        if reason != CloseReason::Normal {
            ready |= Ready::ERROR;
        }
    }
    ready
}
