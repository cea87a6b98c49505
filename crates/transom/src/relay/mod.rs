//! Joining two connections into one.
//!
//! A relay stands between a client and a server and speaks TCP with each. To both it must look as
//! if they spoke with one another, and that is decided by how connections end:
//!
//! - Each direction ends on its own. A FIN from one side becomes a FIN to the other once
//!   everything before it was passed on, and the opposite direction goes on for as long as its
//!   sender likes.
//! - A reset from one side becomes a reset to the other, at once: also while that side is not
//!   being read because the other one is slow, and also after its FIN.
//! - What the sender of a reset had sent before it is passed on first, as far as the receiver
//!   takes it without delay.
//! - A side that reads slowly slows the other one down. What is on the way is bounded by
//!   [`RelayQueue::LIMIT`] in each direction.
//! - Nothing runs while nothing happens.
//!
//! How connections begin is the caller's part: accept an [`Incoming`](crate::Incoming) only after the
//! connection to the server is made, and refuse it if that was refused.

mod blocks;
mod direction;
mod kernel;
mod ours;
mod outcome;
mod queue;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use direction::{Direction, Failure};
pub use outcome::{
    DirectionEnd, DirectionOutcome, RelayCounters, RelayFailure, RelayOutcome, Side,
};
pub use queue::RelayQueue;

/// One end of a relay: a connection whose two directions end on their own.
///
/// Implemented for this crate's [`TcpStream`](crate::TcpStream) and for tokio's.
pub trait RelayEnd: Send + Sync {
    /// Appends what has arrived to `queue`, not above [`RelayQueue::room`], and returns its length;
    /// 0 is the peer's FIN. Who waits here is also woken when the connection fails.
    ///
    /// # Errors
    /// The connection has failed, and everything that came before that was read.
    fn poll_recv(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>>;

    /// Takes data from the front of `queue` and returns how much.
    ///
    /// # Errors
    /// The connection has failed.
    fn poll_send(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>>;

    /// As [`poll_send`](Self::poll_send), where nothing follows: once all of `queue` is taken, as by
    /// [`finish`](Self::finish), which need not be called then. An end that can sends both together.
    ///
    /// # Errors
    /// The connection has failed.
    fn poll_send_last(
        &self,
        cx: &mut Context<'_>,
        queue: &mut RelayQueue,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_send(cx, queue))?;
        if queue.is_empty() {
            self.finish()?;
        }
        Poll::Ready(Ok(count))
    }

    /// Sends FIN after the data taken so far.
    ///
    /// # Errors
    /// The connection has failed.
    fn finish(&self) -> io::Result<()>;

    /// Completes when the connection fails, whether or not anybody reads or writes; never if it
    /// ends in order.
    fn failed(&self) -> impl Future<Output = io::Error> + Send;

    /// Sees to it that the peer gets a reset, now or at the latest when the end is dropped.
    fn reset(&self);

    /// Ready when the peer has acknowledged all data taken, or when that cannot be known.
    fn poll_acknowledged(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// How long a reset is held back so that what was sent before it arrives before it.
const RESET_GRACE: Duration = Duration::from_millis(100);

/// Joins two connections until both directions are over, then closes both.
///
/// Dropping the future drops both connections, as dropping a stream does: whoever has data unread
/// gets a reset, everybody else a FIN.
pub async fn relay<C: RelayEnd, S: RelayEnd>(client: C, server: S) -> RelayOutcome {
    relay_ends(&client, &server, &RelayCounters::new()).await
}

/// As [`relay`], but leaves it to the caller to close both connections by dropping them, and counts
/// where it can be watched.
///
/// A reset to one of the kernel's sockets goes out when that socket is dropped.
pub async fn relay_ends<C: RelayEnd, S: RelayEnd>(
    client: &C,
    server: &S,
    counters: &RelayCounters,
) -> RelayOutcome {
    let mut to_server = Direction::new(Side::Client, counters);
    let mut to_client = Direction::new(Side::Server, counters);
    let mut first = None;
    let ended = {
        let mut client_failed = pin!(client.failed());
        let mut server_failed = pin!(server.failed());
        poll_fn(|cx| {
            // The data first: what came before a reset is to be read before the reset is seen.
            let up = to_server.poll(cx, client, server);
            if let Poll::Ready(Err(failure)) = up {
                // A kernel tells a socket's error once, and after that says that the peer has
                // finished: to read now would turn a reset into a FIN.
                return Poll::Ready(Err(failure));
            }
            let down = to_client.poll(cx, server, client);
            if first.is_none() {
                first = [&to_server, &to_client]
                    .into_iter()
                    .find(|direction| direction.has_seen_fin())
                    .map(Direction::sender);
            }
            match (up, down) {
                (_, Poll::Ready(Err(failure))) => return Poll::Ready(Err(failure)),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
                _ => {}
            }
            // Who waits for data is told of a failure by reading, and need not be asked twice.
            if !to_server.awaits_data()
                && let Poll::Ready(error) = client_failed.as_mut().poll(cx)
            {
                return Poll::Ready(Err(Failure::new(Side::Client, error)));
            }
            if !to_client.awaits_data()
                && let Poll::Ready(error) = server_failed.as_mut().poll(cx)
            {
                return Poll::Ready(Err(Failure::new(Side::Server, error)));
            }
            Poll::Pending
        })
        .await
    };
    let failure = match ended {
        Ok(()) => None,
        Err(failure) => {
            match failure.side {
                Side::Client => pass_on_reset(&mut to_server, client, server).await,
                Side::Server => pass_on_reset(&mut to_client, server, client).await,
            }
            Some(failure)
        }
    };
    let failed = failure.as_ref().map(|failure| failure.side);
    RelayOutcome {
        to_server: to_server.outcome(failed),
        to_client: to_client.outcome(failed),
        // Both directions ended, so one of them was the first.
        closed_first: first.or(failed).unwrap_or(Side::Client),
        failure: failure.map(|failure| RelayFailure {
            side: failure.side,
            error: failure.error,
        }),
    }
}

/// `from` has failed: passes on what it sent before, within the time allowed, then resets both.
async fn pass_on_reset<F: RelayEnd, T: RelayEnd>(direction: &mut Direction<'_>, from: &F, to: &T) {
    // Whether it all arrived or time is up, the reset follows.
    let _ =
        tokio::time::timeout(RESET_GRACE, poll_fn(|cx| direction.poll_rest(cx, from, to))).await;
    to.reset();
    from.reset();
}
