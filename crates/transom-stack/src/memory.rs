//! What connections hold together, and who gives it back when it is too much.
//!
//! Each connection is bounded by its own buffers; a hundred thousand of them are not. Two kinds of memory are in the hands of
//! peers: data beyond a gap that they never fill, and data that they never take. Of either kind the stack knows the sum, and
//! who has been in the way the longest: an honest peer fills its gap, or opens its window, within a few round trips, so that
//! evicting the oldest claim favours those who make progress.

use std::collections::VecDeque;

use transom_tcp::Connection;

use crate::slab::{Slab, SlabKey};

/// What one connection holds, as far as the stack knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    held: u32,
    /// Which entry of the queue is this connection's; 0 for none.
    ticket: u32,
}

/// Memory of one kind.
#[derive(Debug)]
pub(crate) struct Budget {
    held: usize,
    limit: usize,
    last_ticket: u32,
    /// Those in the way, the oldest first; may hold entries that are no longer anybody's.
    order: VecDeque<(u32, SlabKey)>,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            held: 0,
            limit,
            last_ticket: 0,
            order: VecDeque::new(),
        }
    }

    /// A connection holds `held` bytes now, and is, or is not, in the way.
    pub(crate) fn update(
        &mut self,
        share: &mut Share,
        key: SlabKey,
        held: usize,
        is_in_the_way: bool,
    ) {
        self.count(share, held);
        match (is_in_the_way, share.ticket) {
            (true, 0) => {
                self.last_ticket = self.last_ticket.checked_add(1).unwrap_or(1);
                share.ticket = self.last_ticket;
                self.order.push_back((share.ticket, key));
            }
            (false, 1..) => share.ticket = 0,
            _ => {}
        }
    }

    /// A connection holds `held` bytes now.
    #[inline]
    fn count(&mut self, share: &mut Share, held: usize) {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.held = self.held + held as usize - share.held as usize;
        share.held = held;
    }

    /// A connection is gone.
    pub(crate) fn release(&mut self, share: Share) {
        self.held -= share.held as usize;
    }

    pub(crate) const fn is_exceeded(&self) -> bool {
        self.held > self.limit
    }

    /// So much is held that nobody should ask for more.
    const fn is_tight(&self) -> bool {
        self.held > self.limit - self.limit / 4
    }

    /// Takes the connection that has been in the way the longest.
    pub(crate) fn pop(&mut self, is_current: impl Fn(u32, SlabKey) -> bool) -> Option<SlabKey> {
        while let Some((ticket, key)) = self.order.pop_front() {
            if is_current(ticket, key) {
                return Some(key);
            }
        }
        None
    }

    /// Throws entries away that are nobody's, once they outnumber the others.
    pub(crate) fn compact(
        &mut self,
        connections: usize,
        is_current: impl Fn(u32, SlabKey) -> bool,
    ) {
        if self.order.len() > 64 + 2 * connections {
            self.order.retain(|(ticket, key)| is_current(*ticket, *key));
        }
    }
}

/// Both shares of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) out_of_order: Share,
    pub(crate) unsent: Share,
}

impl Shares {
    /// Holds nothing, and is not in the way.
    pub(crate) const fn are_empty(self) -> bool {
        let Self {
            out_of_order,
            unsent,
        } = self;
        out_of_order.held == 0 && out_of_order.ticket == 0 && unsent.held == 0 && unsent.ticket == 0
    }
}

/// Both kinds.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Received beyond a gap.
    pub(crate) out_of_order: Budget,
    /// Not acknowledged by the peer, sent or not.
    pub(crate) unsent: Budget,
}

impl Memory {
    pub(crate) const fn new(out_of_order: usize, unsent: usize) -> Self {
        Self {
            out_of_order: Budget::new(out_of_order),
            unsent: Budget::new(unsent),
        }
    }

    /// Looks at what a connection holds.
    #[inline]
    pub(crate) fn look(&mut self, key: SlabKey, connection: &Connection, shares: &mut Shares) {
        // Nothing has changed for who receives in order, nothing but a length for who sends.
        let beyond = connection.out_of_order_memory();
        if beyond != shares.out_of_order.held as usize {
            self.out_of_order
                .update(&mut shares.out_of_order, key, beyond, beyond > 0);
        }
        let (queued, is_stalled) = (connection.send_queue(), connection.is_stalled());
        let share = &mut shares.unsent;
        if is_stalled != (share.ticket != 0) {
            self.unsent.update(share, key, queued, is_stalled);
        } else if queued != share.held as usize {
            self.unsent.count(share, queued);
        }
    }

    /// Whether buffers should stop growing.
    // DRS-6: of both kinds, for a window that grows is filled by who fills no gaps, too.
    pub(crate) const fn is_tight(&self) -> bool {
        self.out_of_order.is_tight() || self.unsent.is_tight()
    }

    pub(crate) fn release(&mut self, shares: Shares) {
        self.out_of_order.release(shares.out_of_order);
        self.unsent.release(shares.unsent);
    }
}

/// Whether an entry of a queue is still somebody's. `share`: which of the two.
pub(crate) fn is_current<T>(
    slab: &Slab<T>,
    share: impl Fn(&T) -> Share,
) -> impl Fn(u32, SlabKey) -> bool {
    move |ticket, key| {
        slab.get(key)
            .is_some_and(|slot| share(slot).ticket == ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(index: u32) -> SlabKey {
        SlabKey {
            index,
            generation: 0,
        }
    }

    #[test]
    fn the_oldest_claim_goes_first_and_one_given_up_counts_anew() {
        let mut budget = Budget::new(100);
        let mut shares = [Share::default(); 3];
        for (index, share) in shares.iter_mut().enumerate() {
            budget.update(share, key(index as u32), 40, true);
        }
        assert!(budget.is_exceeded());
        // The first fills its gap and has another one later.
        budget.update(&mut shares[0], key(0), 0, false);
        assert!(!budget.is_exceeded());
        budget.update(&mut shares[0], key(0), 40, true);
        let current = |ticket, key: SlabKey| shares[key.index as usize].ticket == ticket;
        let order: Vec<_> = core::iter::from_fn(|| budget.pop(current)).collect();
        assert_eq!(order, [key(1), key(2), key(0)]);
        for share in shares {
            budget.release(share);
        }
        assert_eq!(budget.held, 0);
    }

    #[test]
    fn entries_that_are_nobodys_do_not_pile_up() {
        let mut budget = Budget::new(100);
        let mut share = Share::default();
        for _ in 0..10_000 {
            budget.update(&mut share, key(0), 1, true);
            budget.update(&mut share, key(0), 0, false);
            budget.compact(1, |ticket, _| share.ticket == ticket);
        }
        assert!(budget.order.len() <= 66);
    }
}
