//! Waiting for the stack, as a future.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use transom_stack::tcp::Instant;

use crate::shared::{Inner, Place, Shared};
use crate::waiters::{Interest, WaitKey};

/// What a task waits for, and where it is noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitFor {
    pub(crate) place: Place,
    pub(crate) interest: Interest,
    pub(crate) key: WaitKey,
}

impl Shared {
    /// As [`poll_act`](Self::poll_act), as a future with a place of its own among the waiters.
    pub(crate) fn wait<R, F>(
        &self,
        purpose: &'static str,
        place: Place,
        interest: Interest,
        act: F,
    ) -> Wait<'_, F>
    where
        F: FnMut(&mut Inner, Instant) -> Poll<io::Result<R>> + Unpin,
    {
        Wait {
            shared: self,
            purpose,
            place,
            interest,
            key: self.keys.next(),
            noted: false,
            act,
        }
    }
}

/// See [`Shared::wait`].
#[derive(Debug)]
pub(crate) struct Wait<'a, F> {
    shared: &'a Shared,
    purpose: &'static str,
    place: Place,
    interest: Interest,
    key: WaitKey,
    /// A waker was noted, and may be still.
    noted: bool,
    act: F,
}

impl<R, F> Future for Wait<'_, F>
where
    F: FnMut(&mut Inner, Instant) -> Poll<io::Result<R>> + Unpin,
{
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let wait = WaitFor {
            place: this.place,
            interest: this.interest,
            key: this.key,
        };
        let result = this
            .shared
            .poll_act(cx, this.purpose, wait, |inner, now| (this.act)(inner, now));
        this.noted |= result.is_pending();
        result
    }
}

/// Waits for whichever is first, asking them in turn from number `start` on.
pub(crate) async fn first_of<'a, R, F>(
    mut waits: impl ExactSizeIterator<Item = Wait<'a, F>>,
    start: usize,
) -> io::Result<R>
where
    F: FnMut(&mut Inner, Instant) -> Poll<io::Result<R>> + Unpin + 'a,
{
    if waits.len() == 1
        && let Some(only) = waits.next()
    {
        return only.await;
    }
    let mut waits: Vec<_> = waits.collect();
    let start = start % waits.len().max(1);
    waits.rotate_left(start);
    std::future::poll_fn(|cx| {
        let results = waits.iter_mut().map(|wait| Pin::new(wait).poll(cx));
        results
            .into_iter()
            .find(Poll::is_ready)
            .unwrap_or(Poll::Pending)
    })
    .await
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if self.noted {
            let mut inner = self.shared.lock("stop waiting");
            if let Some(waiters) = inner.waiters(self.place) {
                waiters.remove(self.key);
            }
        }
    }
}
