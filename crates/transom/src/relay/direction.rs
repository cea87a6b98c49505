//! One direction of a relay.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use super::{DirectionEnd, DirectionOutcome, RelayCounters, RelayEnd, RelayQueue, Side};

/// How many reads and writes one turn may do before other tasks get theirs.
const TURN: usize = 32;

/// When less than this was read, more is looked for before it is passed on: the sender's FIN is often right behind its
/// last data, and can then go with it. More is passed on while it is in the cache.
const LITTLE: usize = 16 << 10;

/// A connection failed, and it was this one.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) side: Side,
    pub(super) error: io::Error,
}

impl Failure {
    pub(super) const fn new(side: Side, error: io::Error) -> Self {
        Self { side, error }
    }
}

/// How far the FIN has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    /// The sender has not finished.
    Awaited,
    /// It was read; data before it is still on the way.
    Read,
    /// It was passed on.
    PassedOn,
}

/// Data that flows from `sender` to the other side.
#[derive(Debug)]
pub(super) struct Direction<'a> {
    sender: Side,
    queue: RelayQueue,
    fin: Fin,
    passed_on: &'a AtomicU64,
}

impl<'a> Direction<'a> {
    pub(super) fn new(sender: Side, counters: &'a RelayCounters) -> Self {
        Self {
            sender,
            queue: RelayQueue::new(),
            fin: Fin::Awaited,
            passed_on: counters.from(sender),
        }
    }

    pub(super) const fn sender(&self) -> Side {
        self.sender
    }

    pub(super) fn has_seen_fin(&self) -> bool {
        self.fin != Fin::Awaited
    }

    /// Whether the sender's next data, its FIN or its failure are what is waited for, after [`poll`](Self::poll) has left its
    /// waker.
    pub(super) const fn awaits_data(&self) -> bool {
        matches!(self.fin, Fin::Awaited) && self.queue.room() > 0
    }

    /// Moves data until nothing moves any more. Ready when the FIN was passed on.
    ///
    /// Pending means that a waker is in place for everything that could move next: for the sender
    /// unless the queue is full or the FIN was read, for the receiver unless the queue is empty.
    pub(super) fn poll<F: RelayEnd, T: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        from: &F,
        to: &T,
    ) -> Poll<Result<(), Failure>> {
        if self.fin == Fin::PassedOn {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..TURN {
            let received = self.poll_recv(cx, from)?;
            let was_full = self.queue.room() == 0;
            let sent = self.poll_send(cx, to)?;
            if self.fin == Fin::PassedOn {
                return Poll::Ready(Ok(()));
            }
            let is_done = sent.is_pending() || (self.queue.is_empty() && !was_full);
            if received.is_pending() && is_done {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The sender has failed: passes on what can still be read. Ready when the receiver has
    /// acknowledged it, or has failed, too.
    pub(super) fn poll_rest<F: RelayEnd, T: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        from: &F,
        to: &T,
    ) -> Poll<()> {
        for _ in 0..TURN {
            if self.queue.room() > 0
                // All that can come is what was received before the end; an error now is that end.
                && let Poll::Ready(Ok(1..)) = from.poll_recv(cx, &mut self.queue)
            {
                continue;
            }
            if self.queue.is_empty() {
                return to.poll_acknowledged(cx);
            }
            match ready!(to.poll_send(cx, &mut self.queue)) {
                Ok(count) => self.count(count),
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn outcome(&self, failed: Option<Side>) -> DirectionOutcome {
        let end = match failed {
            _ if self.fin == Fin::PassedOn => DirectionEnd::Finished,
            Some(side) if side != self.sender => DirectionEnd::ReceiverFailed,
            _ => DirectionEnd::SenderFailed,
        };
        DirectionOutcome {
            bytes: self.passed_on.load(Ordering::Relaxed),
            end,
        }
    }

    /// Ready if something was sent. What is sent last takes the FIN along.
    fn poll_send<T: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        to: &T,
    ) -> Result<Poll<()>, Failure> {
        let is_last = self.fin == Fin::Read;
        let sent = if !self.queue.is_empty() {
            let sent = if is_last {
                to.poll_send_last(cx, &mut self.queue)
            } else {
                to.poll_send(cx, &mut self.queue)
            };
            match sent {
                Poll::Ready(Ok(count)) => {
                    self.count(count);
                    Poll::Ready(())
                }
                Poll::Ready(Err(error)) => return Err(self.receiver_failed(error)),
                Poll::Pending => Poll::Pending,
            }
        } else if is_last {
            to.finish().map_err(|error| self.receiver_failed(error))?;
            Poll::Ready(())
        } else {
            Poll::Pending
        };
        if is_last && self.queue.is_empty() {
            self.fin = Fin::PassedOn;
        }
        Ok(sent)
    }

    /// Ready if there may be more to receive.
    fn poll_recv<F: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        from: &F,
    ) -> Result<Poll<()>, Failure> {
        for _ in 0..TURN {
            if self.fin != Fin::Awaited || self.queue.room() == 0 {
                return Ok(Poll::Pending);
            }
            match from.poll_recv(cx, &mut self.queue) {
                Poll::Ready(Ok(0)) => self.fin = Fin::Read,
                Poll::Ready(Ok(_)) if self.queue.len() >= LITTLE => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(Failure::new(self.sender, error)),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    fn count(&self, bytes: usize) {
        self.passed_on.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    const fn receiver_failed(&self, error: io::Error) -> Failure {
        Failure::new(self.sender.other(), error)
    }
}
