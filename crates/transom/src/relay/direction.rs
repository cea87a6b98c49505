//! One direction of a relay.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use super::{DirectionEnd, DirectionOutcome, RelayCounters, RelayEnd, RelayQueue, Side};

/// How many reads and writes one turn may do before other tasks get theirs.
const TURN: usize = 32;

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
            let sent = self.poll_send(cx, to)?;
            if self.queue.is_empty() && self.fin == Fin::Read {
                to.finish().map_err(|error| self.receiver_failed(error))?;
                self.fin = Fin::PassedOn;
                return Poll::Ready(Ok(()));
            }
            let received = self.poll_recv(cx, from)?;
            if sent.is_pending() && received.is_pending() {
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

    /// Ready if there is nothing (more) to send or something was sent.
    fn poll_send<T: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        to: &T,
    ) -> Result<Poll<()>, Failure> {
        if self.queue.is_empty() {
            return Ok(Poll::Pending);
        }
        match to.poll_send(cx, &mut self.queue) {
            Poll::Ready(Ok(count)) => {
                self.count(count);
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(error)) => Err(self.receiver_failed(error)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Ready if something was received.
    fn poll_recv<F: RelayEnd>(
        &mut self,
        cx: &mut Context<'_>,
        from: &F,
    ) -> Result<Poll<()>, Failure> {
        if self.fin != Fin::Awaited || self.queue.room() == 0 {
            return Ok(Poll::Pending);
        }
        match from.poll_recv(cx, &mut self.queue) {
            Poll::Ready(Ok(0)) => {
                self.fin = Fin::Read;
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Ok(_)) => Ok(Poll::Ready(())),
            Poll::Ready(Err(error)) => Err(Failure::new(self.sender, error)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn count(&self, bytes: usize) {
        self.passed_on.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    const fn receiver_failed(&self, error: io::Error) -> Failure {
        Failure::new(self.sender.other(), error)
    }
}
