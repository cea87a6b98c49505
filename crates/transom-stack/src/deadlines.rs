//! Deadlines of connections, of TIME-WAIT and of SYNs that wait.

use transom_tcp::{Instant, State};

use crate::discard::Discard;
use crate::observer::Dropped;
use crate::slab::SlabKey;
use crate::stack::Stack;
use crate::timers::{Armed, Owner};

impl Stack {
    pub(crate) fn connection_timeout(&mut self, now: Instant, at: Instant, key: SlabKey) {
        let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
            return;
        };
        if !slot.armed.is(at) {
            return;
        }
        slot.armed = Armed::no();
        let Some(deadline) = slot.body.poll_timeout() else {
            return;
        };
        if deadline > now {
            // It moved later since the heap was told.
            self.endpoints.arm_connection(key, deadline);
            return;
        }
        let (local, peer) = (slot.tuple.local(), slot.tuple.remote());
        slot.body.wake().connection.handle_timeout(now);
        if let Some(recorder) = &mut self.observer.recorder {
            recorder.timer(now, local, peer);
        }
        self.settle(now, key);
    }

    pub(crate) fn time_wait_timeout(&mut self, now: Instant, at: Instant, key: SlabKey) {
        let Some(slot) = self.endpoints.tenants.time_waits.get_mut(key) else {
            return;
        };
        if !slot.armed.is(at) {
            return;
        }
        slot.armed = Armed::no();
        let deadline = slot.time_wait.deadline();
        if deadline > now {
            self.endpoints
                .timers
                .arm(&mut slot.armed, deadline, Owner::TimeWait(key));
            return;
        }
        self.end_time_wait(now, key);
    }

    /// TIME-WAIT is over: in time, or because the tuple is taken over.
    pub(crate) fn end_time_wait(&mut self, now: Instant, key: SlabKey) {
        let Some(slot) = self.endpoints.tenants.time_waits.get(key) else {
            return;
        };
        let tuple = slot.tuple;
        self.endpoints.remove_time_wait(key);
        self.observer
            .state(now, &tuple, State::TimeWait, State::Closed);
    }

    pub(crate) fn incoming_timeout(&mut self, now: Instant, at: Instant, key: SlabKey) {
        let Some(slot) = self.endpoints.tenants.incomings.get_mut(key) else {
            return;
        };
        if !slot.armed.is(at) {
            return;
        }
        let (local, peer) = (slot.tuple.local(), slot.tuple.remote());
        self.drop_incoming(now, key);
        self.observer
            .discard(now, Dropped::between(local, peer, Discard::IncomingExpired));
    }
}
