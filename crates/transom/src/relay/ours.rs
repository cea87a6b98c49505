//! A connection of a stack as the end of a relay: nothing is copied.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use transom_stack::ConnId;
use transom_stack::tcp::{CloseReason, Instant};

use super::{RelayEnd, RelayQueue};
use crate::TcpStream;
use crate::error;
use crate::shared::Inner;
use crate::tcp::{recv, send};

impl RelayEnd for TcpStream {
    fn poll_recv(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        let id = self.id();
        self.poll_input(cx, "relay from", |inner, now| {
            let mut total = 0;
            for _ in 0..RelayQueue::SLICES {
                let room = queue.room();
                if room == 0 {
                    break;
                }
                match recv(inner, now, id, room) {
                    Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                        total += chunk.len();
                        queue.push(chunk);
                    }
                    // What follows the data is told by the next call.
                    _ if total > 0 => break,
                    other => return other.map_ok(|end: Bytes| end.len()),
                }
            }
            Poll::Ready(Ok(total))
        })
    }

    fn poll_send(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        let id = self.id();
        self.poll_output(cx, "relay to", |inner, now| {
            send_queue(inner, now, id, queue)
        })
    }

    fn poll_send_last(
        &self,
        cx: &mut Context<'_>,
        queue: &mut RelayQueue,
    ) -> Poll<io::Result<usize>> {
        let id = self.id();
        // The stack owes both then, and a segment can hold both.
        self.poll_output(cx, "relay the rest to", |inner, now| {
            let count = ready!(send_queue(inner, now, id, queue))?;
            if queue.is_empty() {
                let finished = inner.stack.tcp_shutdown_write(now, id);
                finished.or_else(error::from_shutdown_error)?;
            }
            Poll::Ready(Ok(count))
        })
    }

    fn finish(&self) -> io::Result<()> {
        self.shutdown_write()
    }

    async fn failed(&self) -> io::Error {
        match self.closed().await {
            // The end of both directions is told where they are read.
            CloseReason::Normal => std::future::pending().await,
            reason => error::from_close_reason(reason),
        }
    }

    fn reset(&self) {
        self.abort();
    }

    fn poll_acknowledged(&self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_acknowledged(self, cx)
    }
}

/// Gives the stack as much of a queue as it takes.
fn send_queue(
    inner: &mut Inner,
    now: Instant,
    id: ConnId,
    queue: &mut RelayQueue,
) -> Poll<io::Result<usize>> {
    let mut total = 0;
    while let Some(mut chunk) = queue.pop() {
        let sent = send(inner, now, id, &mut chunk);
        queue.unpop(chunk);
        match sent {
            Poll::Ready(Ok(count)) => total += count,
            _ if total > 0 => break,
            other => return other,
        }
    }
    Poll::Ready(Ok(total))
}
