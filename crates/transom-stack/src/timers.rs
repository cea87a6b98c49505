//! Deadlines of many owners in one heap, with lazy deletion.
//!
//! An owner remembers the earliest deadline that it has in the heap (`armed`). A deadline that moves
//! later costs nothing: the entry is left where it is and looked at again when it comes up. So a
//! retransmission timer that every acknowledgement pushes back touches the heap once a timeout, and an
//! idle connection never does.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use transom_tcp::Instant;

use crate::slab::SlabKey;

/// Room for so many entries is kept in any case.
const LEAST_ROOM: usize = 256;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Connection(SlabKey),
    TimeWait(SlabKey),
    Incoming(SlabKey),
    Embryo(SlabKey),
}

/// The earliest deadline that an owner has in the heap, if it has one. Half the size of an option of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Armed(Instant);

impl Armed {
    /// The far end of time stands for none.
    pub(crate) fn no() -> Self {
        Self(Instant::from_origin(Duration::MAX))
    }

    /// Whether the entry at `at` is the owner's.
    pub(crate) fn is(self, at: Instant) -> bool {
        self.0 == at
    }
}

/// The heap.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Owner)>>,
}

impl Timers {
    /// Makes sure that `owner` comes up at `deadline` or earlier.
    pub(crate) fn arm(&mut self, armed: &mut Armed, deadline: Instant, owner: Owner) {
        if armed.0 <= deadline {
            return;
        }
        *armed = Armed(deadline);
        self.heap.push(Reverse((deadline, owner)));
    }

    /// The earliest deadline; it may be one that nobody needs any more.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry that is due. The caller compares the time with the owner's `armed`:
    /// another value means that the entry is stale.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Owner)> {
        let Reverse((at, owner)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((at, owner))
    }

    /// Throws stale entries away as long as one is first, so that [`next`](Self::next) is somebody's.
    pub(crate) fn trim(&mut self, live: impl Fn(Instant, Owner) -> bool) {
        while let Some(Reverse((at, owner))) = self.heap.peek()
            && !live(*at, *owner)
        {
            self.heap.pop();
        }
        // What many of them needed is given back.
        if self.heap.capacity() > LEAST_ROOM.max(4 * self.heap.len()) {
            self.heap.shrink_to(LEAST_ROOM.max(2 * self.heap.len()));
        }
    }

    /// Throws stale entries away once they outnumber the live ones, so that memory follows the number
    /// of owners.
    pub(crate) fn compact(&mut self, owners: usize, live: impl Fn(Instant, Owner) -> bool) {
        if self.heap.len() > 64 + 2 * owners {
            self.heap.retain(|Reverse((at, owner))| live(*at, *owner));
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// Whichever comes first.
#[inline]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    fn owner(index: u32) -> Owner {
        Owner::Connection(SlabKey {
            index,
            generation: 0,
        })
    }

    #[test]
    fn a_deadline_that_moves_later_leaves_the_heap_alone() {
        let mut timers = Timers::default();
        let mut armed = Armed::no();
        for ms in 200..300 {
            timers.arm(&mut armed, at(ms), owner(1));
        }
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.next(), Some(at(200)));
        timers.arm(&mut armed, at(40), owner(1));
        assert_eq!(timers.next(), Some(at(40)));
        assert_eq!(timers.pop_due(at(39)), None);
        assert_eq!(timers.pop_due(at(40)), Some((at(40), owner(1))));
    }

    #[test]
    fn stale_entries_are_thrown_away() {
        let mut timers = Timers::default();
        for ms in (0..100).rev() {
            let mut armed = Armed::no();
            timers.arm(&mut armed, at(ms), owner(1));
        }
        timers.compact(1, |when, _| when == at(0));
        assert_eq!(timers.len(), 1);
    }
}
