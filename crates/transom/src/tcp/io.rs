//! Reading and writing a connection.

use std::io::{self, IoSlice, IoSliceMut};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use transom_stack::ConnId;
use transom_stack::tcp::Instant;

use super::TcpStream;
use crate::error;
use crate::shared::{Inner, Place};
use crate::wait::WaitFor;
use crate::waiters::{Interest, WaitKey};

/// Chunks taken from the stack under one lock.
const CHUNKS: usize = 32;
/// Writes below this are copied under the lock, larger ones before it is taken; reads into less room under it, others
/// after it is released.
const COPY_UNLOCKED: usize = 4 << 10;
/// Most bytes copied for one write: no more than a device takes at once is worth its latency.
const COPY_MOST: usize = 256 << 10;

/// Takes received data from the stack.
pub(crate) fn recv(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    max: usize,
) -> Poll<io::Result<Bytes>> {
    match inner.stack.tcp_recv(now, id, max) {
        Ok(Some(chunk)) => Poll::Ready(Ok(chunk)),
        Ok(None) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error::from_recv_error(error))),
    }
}

/// Gives the stack as much of `data` as it takes, and says how much that was.
pub(crate) fn send(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    data: &mut Bytes,
) -> Poll<io::Result<usize>> {
    if data.is_empty() {
        return Poll::Ready(Ok(0));
    }
    match inner.stack.tcp_send(now, id, data.clone()) {
        Ok(0) => Poll::Pending,
        Ok(count) => {
            data.advance(count);
            Poll::Ready(Ok(count))
        }
        Err(error) => Poll::Ready(Err(error::from_send_error(error))),
    }
}

/// Copies received data out of the stack.
fn recv_into(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    out: &mut [u8],
) -> Poll<io::Result<usize>> {
    match inner.stack.tcp_recv_into(now, id, out) {
        Ok(Some(count)) => Poll::Ready(Ok(count)),
        Ok(None) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error::from_recv_error(error))),
    }
}

/// Pieces of received frames, taken together and copied after the lock is released.
#[derive(Default)]
struct Chunks {
    /// Most often the only one.
    first: Bytes,
    others: Vec<Bytes>,
}

impl Chunks {
    /// Takes up to `max` bytes. The end of the stream is an empty result.
    fn fill(
        &mut self,
        inner: &mut Inner,
        now: Instant,
        id: ConnId,
        mut max: usize,
    ) -> Poll<io::Result<()>> {
        self.first = match recv(inner, now, id, max) {
            Poll::Ready(Ok(chunk)) => chunk,
            other => return other.map_ok(drop),
        };
        max -= self.first.len();
        while max > 0 && !self.first.is_empty() && self.others.len() < CHUNKS - 1 {
            match recv(inner, now, id, max) {
                Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                    max -= chunk.len();
                    self.others.push(chunk);
                }
                // What follows the data is told by the next call.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        iter::once(&self.first).chain(&self.others)
    }

    fn copy_to(&self, out: &mut impl BufMut) -> usize {
        self.iter().for_each(|chunk| out.put_slice(chunk));
        self.iter().map(Bytes::len).sum()
    }
}

impl TcpStream {
    /// Acts on the receiving side, or waits in the place of `poll_read`.
    pub(crate) fn poll_input<R>(
        &self,
        cx: &mut Context<'_>,
        purpose: &'static str,
        act: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        self.poll_in_place(cx, purpose, Interest::READ, WaitKey::READ, act)
    }

    /// Acts on the sending side, or waits in the place of `poll_write`.
    pub(crate) fn poll_output<R>(
        &self,
        cx: &mut Context<'_>,
        purpose: &'static str,
        act: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        self.poll_in_place(cx, purpose, Interest::WRITE, WaitKey::WRITE, act)
    }

    fn poll_in_place<R>(
        &self,
        cx: &mut Context<'_>,
        purpose: &'static str,
        interest: Interest,
        key: WaitKey,
        act: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        // A connection that always has something to do must not keep others from theirs.
        let budget = ready!(coop::poll_proceed(cx));
        let wait = WaitFor {
            place: Place::Connection(self.id),
            interest,
            key,
        };
        let result = self.stack.shared().poll_act(cx, purpose, wait, act);
        if result.is_ready() {
            budget.made_progress();
        }
        result
    }

    /// Ready when the peer has acknowledged everything, FIN included, or never will.
    pub(crate) fn poll_acknowledged(&self, cx: &Context<'_>) -> Poll<()> {
        let wait = WaitFor {
            place: Place::Connection(self.id),
            interest: Interest::ACKNOWLEDGED,
            key: WaitKey::ACKNOWLEDGED,
        };
        let result = self
            .stack
            .shared()
            .poll_act(cx, "acknowledged", wait, |inner, _| {
                if !inner.has_unacknowledged(self.id) {
                    return Poll::Ready(Ok(()));
                }
                inner.watch_acknowledged(self.id);
                Poll::Pending
            });
        result.map(drop)
    }

    fn poll_chunks(&self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Chunks>> {
        let mut chunks = Chunks::default();
        if max == 0 {
            return Poll::Ready(Ok(chunks));
        }
        ready!(self.poll_input(cx, "read", |inner, now| {
            chunks.fill(inner, now, self.id, max)
        }))?;
        Poll::Ready(Ok(chunks))
    }

    fn try_chunks(&self, max: usize) -> io::Result<Chunks> {
        let mut chunks = Chunks::default();
        if max == 0 {
            return Ok(chunks);
        }
        let filled = self.stack.shared().act("try to read", |inner, now| {
            self.now_or_blocked(inner, |inner| chunks.fill(inner, now, self.id, max))
        });
        filled.map(|()| chunks)
    }

    /// As [`recv_chunk`](Self::recv_chunk); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`recv_chunk`](Self::recv_chunk).
    pub fn poll_recv_chunk(&self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Bytes>> {
        self.poll_input(cx, "receive", |inner, now| recv(inner, now, self.id, max))
    }

    /// Takes what has arrived without copying, or gives `WouldBlock`; an empty chunk is the end.
    ///
    /// # Errors
    /// As [`recv_chunk`](Self::recv_chunk), and `WouldBlock`.
    pub fn try_recv_chunk(&self, max: usize) -> io::Result<Bytes> {
        self.stack.shared().act("try to receive", |inner, now| {
            self.now_or_blocked(inner, |inner| recv(inner, now, self.id, max))
        })
    }

    /// Takes as much of `data` as the send buffer has room for, without copying, and returns how much.
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes).
    pub fn poll_send_bytes(
        &self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        self.poll_output(cx, "send", |inner, now| send(inner, now, self.id, data))
    }

    /// As [`poll_send_bytes`](Self::poll_send_bytes), or gives `WouldBlock`.
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes), and `WouldBlock`.
    pub fn try_send_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        self.stack.shared().act("try to send", |inner, now| {
            self.now_or_blocked(inner, |inner| send(inner, now, self.id, data))
        })
    }

    fn now_or_blocked<R>(
        &self,
        inner: &mut Inner,
        act: impl FnOnce(&mut Inner) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        match (act(inner), inner.gone) {
            (Poll::Ready(result), _) => result,
            (Poll::Pending, Some(kind)) => Err(error::device_gone(kind)),
            (Poll::Pending, None) => Err(error::would_block()),
        }
    }

    /// Reads what has arrived, or gives `WouldBlock`; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock`, or why the connection failed.
    pub fn try_read(&self, mut buf: &mut [u8]) -> io::Result<usize> {
        if !buf.is_empty() && buf.len() < COPY_UNLOCKED {
            return self.stack.shared().act("try to read", |inner, now| {
                self.now_or_blocked(inner, |inner| recv_into(inner, now, self.id, buf))
            });
        }
        let chunks = self.try_chunks(buf.len())?;
        Ok(chunks.copy_to(&mut buf))
    }

    /// As [`try_read`](Self::try_read), into the spare room of `buf`.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let chunks = self.try_chunks(buf.chunk_mut().len())?;
        Ok(chunks.copy_to(buf))
    }

    /// As [`try_read`](Self::try_read), into several buffers in turn.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let chunks = self.try_chunks(bufs.iter().map(|buf| buf.len()).sum())?;
        let mut data = chunks.iter().cloned();
        let mut chunk = Bytes::new();
        let mut total = 0;
        for buf in bufs {
            let mut room: &mut [u8] = buf;
            while !room.is_empty() {
                if chunk.is_empty() {
                    match data.next() {
                        Some(next) => chunk = next,
                        None => return Ok(total),
                    }
                }
                let count = room.len().min(chunk.len());
                room.put_slice(&chunk.split_to(count));
                total += count;
            }
        }
        Ok(total)
    }

    /// Writes what the send buffer has room for, or gives `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock`, `BrokenPipe` after `shutdown`, or why the connection failed.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut data = self.copy_for_sending(iter::once(buf));
        self.stack.shared().act("try to write", |inner, now| {
            self.now_or_blocked(inner, |inner| write(inner, now, self.id, buf, &mut data))
        })
    }

    /// As [`try_write`](Self::try_write), from several buffers in turn.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut data = self.copy_for_sending(slices(bufs));
        self.stack.shared().act("try to write", |inner, now| {
            self.now_or_blocked(inner, |inner| {
                write_vectored(inner, now, self.id, bufs, &mut data)
            })
        })
    }

    /// Copies data that is received next and leaves it to be read. Cancel safe.
    ///
    /// # Errors
    /// Why the connection failed.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let id = self.id;
        self.wait("peek", Interest::READ, move |inner| peek(inner, id, buf))
            .await
    }

    /// As [`peek`](Self::peek); only the last task that polled is woken.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_input(cx, "peek", |inner, _| {
            peek(inner, self.id, buf.initialize_unfilled())
        }))?;
        buf.advance(count);
        Poll::Ready(Ok(count))
    }

    /// The part of `bufs` that can be sent now, copied into one, if it is large enough to be copied
    /// without holding the lock.
    fn copy_for_sending<'a>(&self, bufs: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
        let len: usize = bufs.clone().map(<[u8]>::len).sum();
        if len < COPY_UNLOCKED {
            return Bytes::new();
        }
        let room = self.stack.shared().look("room to send", |inner| {
            let connection = inner.stack.tcp_connection(self.id);
            connection.map_or(0, |connection| connection.send_capacity())
        });
        let mut left = room.min(COPY_MOST).min(len);
        let mut copy = BytesMut::with_capacity(left);
        for buf in bufs {
            let part = buf.get(..left).unwrap_or(buf);
            copy.extend_from_slice(part);
            left -= part.len();
        }
        copy.freeze()
    }

    pub(super) fn poll_write_slice(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut data = self.copy_for_sending(iter::once(buf));
        self.poll_output(cx, "write", |inner, now| {
            write(inner, now, self.id, buf, &mut data)
        })
    }

    pub(super) fn poll_write_slices(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut data = self.copy_for_sending(slices(bufs));
        self.poll_output(cx, "write", |inner, now| {
            write_vectored(inner, now, self.id, bufs, &mut data)
        })
    }

    pub(super) fn poll_read_into(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 && buf.remaining() < COPY_UNLOCKED {
            let room = buf.initialize_unfilled();
            let count = ready!(self.poll_input(cx, "read", |inner, now| {
                recv_into(inner, now, self.id, room)
            }))?;
            buf.advance(count);
            return Poll::Ready(Ok(()));
        }
        let chunks = ready!(self.poll_chunks(cx, buf.remaining()))?;
        chunks.iter().for_each(|chunk| buf.put_slice(chunk));
        Poll::Ready(Ok(()))
    }
}

/// Gives the stack `copied`, the start of `buf`; if nothing was copied, `buf`.
fn write(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    buf: &[u8],
    copied: &mut Bytes,
) -> Poll<io::Result<usize>> {
    if !copied.is_empty() {
        return send(inner, now, id, copied);
    }
    let buf = buf.get(..COPY_UNLOCKED).unwrap_or(buf);
    match inner.stack.tcp_send_slice(now, id, buf) {
        Ok(0) if !buf.is_empty() => Poll::Pending,
        Ok(count) => Poll::Ready(Ok(count)),
        Err(error) => Poll::Ready(Err(error::from_send_error(error))),
    }
}

/// As [`write()`], from several buffers.
fn write_vectored(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    bufs: &[IoSlice<'_>],
    copied: &mut Bytes,
) -> Poll<io::Result<usize>> {
    if !copied.is_empty() {
        return send(inner, now, id, copied);
    }
    let mut total = 0;
    for buf in slices(bufs) {
        match write(inner, now, id, buf, copied) {
            Poll::Ready(Ok(count)) if count == buf.len() => total += count,
            Poll::Ready(Ok(count)) => return Poll::Ready(Ok(total + count)),
            _ if total > 0 => break,
            other => return other,
        }
    }
    Poll::Ready(Ok(total))
}

fn slices<'a>(bufs: &'a [IoSlice<'_>]) -> impl Iterator<Item = &'a [u8]> + Clone {
    bufs.iter().map(|buf| &**buf)
}

fn peek(inner: &Inner, id: ConnId, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    match inner.stack.tcp_peek(id, buf) {
        Ok(Some(count)) => Poll::Ready(Ok(count)),
        Ok(None) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error::from_recv_error(error))),
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_into(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slice(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Everything written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN after the data written. Does not wait for its arrival, as `shutdown(2)` does not.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}
