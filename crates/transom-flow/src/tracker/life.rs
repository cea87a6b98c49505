//! How connections begin to be followed, and are let go.

use super::{Lingering, Tracker};
use crate::connection::Connection;
use crate::dissect::{Dissected, Quoted};
use crate::follow::Seen;
use crate::milestones::Before;
use crate::model::End;
use crate::ordinary::Ordinary;
use crate::past::{Followed, blank};
use crate::table::Pair;
use crate::truth::Truth;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;
use transom_wire::tcp::Flags;

impl Tracker {
    /// Starts to follow a connection.
    pub(super) fn begin(&mut self, seen: Seen, segment: &Dissected<'_>) -> Option<u32> {
        let pair = Pair::new(segment.src, segment.dst);
        let previous = self.followed.find(&pair);
        let before = previous
            .and_then(|slot| self.whole(slot))
            .map(|connection| Before::of(connection));
        if let Some(previous) = previous {
            self.close(previous);
        }
        self.make_room();
        self.counters.connections += 1;
        let number = self.counters.connections;
        let is_alone = before.is_none() && self.early.is_empty();
        let records = self.records.as_ref().filter(|_| is_alone);
        let mut followed = if let Some(limits) = records
            && Ordinary::may_begin(seen, segment)
        {
            let spent = self.spent_records.pop();
            let mut record = spent.unwrap_or_else(|| Box::new(Ordinary::new(limits)));
            record.begin(number, seen, segment);
            Followed::Ordinary(record)
        } else {
            Followed::Whole(self.begin_whole(number, seen.time, segment, before))
        };
        if !self.names.is_empty() {
            for end in End::BOTH {
                if let Some(name) = self.names.get(&followed.addr(end).ip()) {
                    followed.name(end, name);
                }
            }
        }
        if !self.early.is_empty()
            && let Followed::Whole(connection) = &mut followed
        {
            let (mine, others): (VecDeque<Truth>, _) = core::mem::take(&mut self.early)
                .into_iter()
                .partition(|truth: &Truth| Pair::new(truth.local, truth.peer) == pair);
            self.early = others;
            for truth in mine {
                connection.truth(truth.time, truth.local, truth.event);
            }
        }
        self.followed.insert(followed)
    }

    /// A connection that has all that is to be known of it.
    fn begin_whole(
        &mut self,
        number: u64,
        time: Duration,
        segment: &Dissected<'_>,
        before: Option<Before>,
    ) -> Box<Connection> {
        let is_syn = segment.flags.contains(Flags::SYN);
        // A SYN,ACK comes from the server; without a SYN the lower port is more likely the server's.
        let is_from_client = match (is_syn, segment.ack) {
            (true, ack) => ack.is_none(),
            (false, _) => segment.src.port() >= segment.dst.port(),
        };
        let (client, server) = if is_from_client {
            (segment.src, segment.dst)
        } else {
            (segment.dst, segment.src)
        };
        let mut connection = self.spent.pop().unwrap_or_else(blank);
        connection.renew(number, client, server, time, &self.limits);
        connection.are_roles_known = is_syn;
        if let Some(before) = &before {
            connection.note_before(before);
        }
        connection
    }

    /// Lets connections go until there is room for one more: closed ones first.
    fn make_room(&mut self) {
        let open = self.limits.open.max(1);
        while self.followed.len() >= open
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.let_one_go(oldest);
        }
        while self.followed.len() >= open
            && let Some(longest) = self.followed.longest()
        {
            self.counters.evicted += 1;
            self.close(longest);
        }
    }

    /// Gives an ICMP error to the connection that it is about, and returns its number and slot.
    pub(super) fn icmp(&mut self, time: Duration, frame: u64, quoted: &Quoted) -> (u64, u32) {
        let found = self.find(&quoted.src, &quoted.dst, time);
        match found.and_then(|slot| Some((slot, self.whole(slot)?))) {
            Some((slot, connection)) => {
                connection.icmp(time, frame, quoted);
                let number = connection.number;
                self.counters.icmp += 1;
                self.linger_if_closed(slot, time);
                (number, slot)
            }
            None => {
                self.counters.icmp_unknown += 1;
                (0, u32::MAX)
            }
        }
    }

    /// The slot of the connection between two sockets, unless it closed longer ago than it is followed:
    /// that one is let go.
    pub(super) fn find(
        &mut self,
        src: &SocketAddr,
        dst: &SocketAddr,
        now: Duration,
    ) -> Option<u32> {
        let slot = self.followed.find_next(src, dst)?;
        let closed_at = self.followed.get(slot)?.closed_at();
        if closed_at.is_some_and(|at| now.saturating_sub(at) > self.limits.linger) {
            self.close(slot);
            return None;
        }
        Some(slot)
    }

    /// A connection that closed just now is followed for a while for what comes late.
    pub(super) fn linger_if_closed(&mut self, slot: u32, since: Duration) {
        let Some(connection) = self.followed.get_mut(slot) else {
            return;
        };
        let was_closed = connection.closed_at().is_some();
        if !connection.is_closed_after_newest() {
            if was_closed {
                connection.set_closed_at(None);
            }
            return;
        }
        connection.set_closed_at(Some(since));
        if was_closed {
            return;
        }
        let number = connection.number();
        self.let_go_at = self.let_go_at.min(since.saturating_add(self.limits.linger));
        self.lingering.push_back(Lingering {
            since,
            slot,
            number,
        });
        if self.lingering.len() > self.limits.lingering
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.let_one_go(oldest);
        }
    }

    /// Stops following connections that closed long enough ago.
    pub(super) fn let_go(&mut self, now: Duration) {
        // Asked with each frame.
        if now < self.let_go_at {
            return;
        }
        while let Some(oldest) = self.lingering.front().copied()
            && now.saturating_sub(oldest.since) > self.limits.linger
        {
            self.lingering.pop_front();
            self.let_one_go(oldest);
        }
        let next = self.lingering.front();
        self.let_go_at = next.map_or(Duration::MAX, |oldest| {
            oldest.since.saturating_add(self.limits.linger)
        });
    }

    /// Stops following a connection, unless it is open again.
    fn let_one_go(&mut self, closed: Lingering) {
        let connection = self.followed.get(closed.slot);
        if connection.is_some_and(|c| c.number() == closed.number && c.is_closed()) {
            self.close(closed.slot);
        }
    }

    /// Keeps a connection as past.
    fn close(&mut self, slot: u32) {
        let Some(mut connection) = self.followed.remove(slot) else {
            return;
        };
        connection.finish(self.newest);
        self.closed.push_back(connection);
        if self.closed.len() > self.limits.closed {
            self.closed.pop_front();
            self.counters.forgotten += 1;
        }
    }
}
