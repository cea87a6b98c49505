//! Who waits for what on one socket.
//!
//! The rule that excludes lost wake-ups: a task looks at the socket and enters itself here under
//! one hold of the stack's lock, and whatever changes the socket wakes the list under the same
//! lock. So a change comes either before the look, which sees it, or after the entry, which it
//! wakes. An entry leaves the list when it is woken; a task that is already scheduled is not woken
//! again by the next packet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// What a task waits for; a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    /// Data, a datagram, a new connection, or the end of the stream.
    pub(crate) const READ: Self = Self(1);
    /// Room to send, or the end of the handshake.
    pub(crate) const WRITE: Self = Self(2);
    /// The end of the connection.
    pub(crate) const CLOSED: Self = Self(4);
    /// The last acknowledgement.
    pub(crate) const ACKNOWLEDGED: Self = Self(8);
    /// Everything.
    pub(crate) const ALL: Self = Self(15);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Names one waiting task.
///
/// `poll_*` functions share one fixed place per direction, so, as in tokio, only the last task
/// that polled is woken. Each `async fn` has a place of its own, and gives it up when dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitKey(u64);

impl WaitKey {
    /// Place of `poll_read` and its like.
    pub(crate) const READ: Self = Self(0);
    /// Place of `poll_write` and its like.
    pub(crate) const WRITE: Self = Self(1);
    /// Place of a relay that waits for the last acknowledgement.
    pub(crate) const ACKNOWLEDGED: Self = Self(2);
    const FIRST_FREE: u64 = 3;
}

/// Gives out keys.
#[derive(Debug)]
pub(crate) struct WaitKeys(AtomicU64);

impl WaitKeys {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(WaitKey::FIRST_FREE))
    }

    pub(crate) fn next(&self) -> WaitKey {
        WaitKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Entry {
    key: WaitKey,
    interest: Interest,
    waker: Waker,
}

/// The tasks that wait on one socket. Empty, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<Entry>);

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Enters a task, or brings its entry up to date.
    pub(crate) fn insert(&mut self, key: WaitKey, interest: Interest, waker: &Waker) {
        match self.0.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => {
                entry.interest = interest;
                entry.waker.clone_from(waker);
            }
            None => {
                // Most sockets have one task, and there may be a million of them.
                if self.0.capacity() == 0 {
                    self.0.reserve_exact(1);
                }
                self.0.push(Entry {
                    key,
                    interest,
                    waker: waker.clone(),
                });
            }
        }
    }

    /// Takes a task off the list that does not wait any more.
    pub(crate) fn remove(&mut self, key: WaitKey) {
        self.0.retain(|entry| entry.key != key);
    }

    /// Moves the wakers of everybody who waits for `what` into `woken`. They are woken after the
    /// lock is released: a waker may run code that wants it.
    pub(crate) fn take(&mut self, what: Interest, woken: &mut Vec<Waker>) {
        let mut at = 0;
        while let Some(entry) = self.0.get(at) {
            if entry.interest.meets(what) {
                woken.push(self.0.swap_remove(at).waker);
            } else {
                at += 1;
            }
        }
        if self.0.is_empty() && self.0.capacity() > 8 {
            // A socket on which a crowd waited once does not keep the room for it.
            self.0 = Vec::new();
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tasks to wake after the lock is released.
pub(crate) enum Woken {
    AtMostOne(Option<Waker>),
    Several(Vec<Waker>),
}

impl Woken {
    /// Those of a list, which is empty then.
    pub(crate) fn take(list: &mut Vec<Waker>) -> Self {
        match list.len() {
            // It keeps its room for the next.
            0 | 1 => Self::AtMostOne(list.pop()),
            _ => Self::Several(std::mem::take(list)),
        }
    }

    pub(crate) fn wake(self) {
        match self {
            Self::AtMostOne(waker) => waker.into_iter().for_each(Waker::wake),
            Self::Several(wakers) => wakers.into_iter().for_each(Waker::wake),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    /// Counts how often it is woken.
    #[derive(Default)]
    pub(crate) struct Count(pub(crate) AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn wake(waiters: &mut Waiters, what: Interest) {
        let mut woken = Vec::new();
        waiters.take(what, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn only_those_who_wait_for_it_are_woken_and_only_once() {
        let (reader, writer) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut waiters = Waiters::new();
        waiters.insert(WaitKey::READ, Interest::READ, &reader.clone().into());
        waiters.insert(WaitKey::WRITE, Interest::WRITE, &writer.clone().into());
        wake(&mut waiters, Interest::READ);
        wake(&mut waiters, Interest::READ);
        assert_eq!(reader.0.load(Ordering::SeqCst), 1);
        assert_eq!(writer.0.load(Ordering::SeqCst), 0);
        wake(&mut waiters, Interest::ALL);
        assert_eq!(writer.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_task_that_polls_again_takes_the_place_of_its_former_self() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut waiters = Waiters::new();
        waiters.insert(WaitKey::READ, Interest::READ, &first.clone().into());
        waiters.insert(WaitKey::READ, Interest::READ, &second.clone().into());
        assert_eq!(waiters.len(), 1);
        wake(&mut waiters, Interest::READ);
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_cancelled_wait_leaves_nothing_behind() {
        let task = Arc::new(Count::default());
        let keys = WaitKeys::new();
        let mut waiters = Waiters::new();
        for _ in 0..1000 {
            let key = keys.next();
            waiters.insert(key, Interest::READ, &task.clone().into());
            waiters.remove(key);
        }
        assert_eq!(waiters.len(), 0);
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
