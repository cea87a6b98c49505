//! What a segment changes at its receiver, now or when it arrives (RFC 9293 §3.10.7).

use crate::connection::{Arrival, Connection};
use crate::dissect::Dissected;
use crate::facts::Opening;
use crate::follow::Seen;
use crate::lane::Lane;
use crate::meaning::{self, Owed};
use crate::model::End;
use crate::step::{Fate, Meaning, StateChange, What};
use core::time::Duration;
use transom_tcp::State;
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// Segments in flight for which the arrival is awaited; beyond that they count as arrived at once.
const IN_FLIGHT_MAX: usize = 4096;
/// An acknowledgement further ahead of what passed than this is not one of the connection.
const ACK_AHEAD_MAX: u32 = 1 << 30;

impl Connection {
    /// Lets the segment arrive now, later, or never.
    pub(crate) fn start_arrival(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        index: u64,
        meaning: Meaning,
    ) {
        let owed = match meaning {
            Meaning::KeepAlive => Owed::KeepAlive,
            Meaning::WindowProbe => Owed::Probe,
            _ => Owed::Nothing,
        };
        let mut arrival = Arrival {
            time: seen.time,
            from,
            frame: seen.frame,
            index,
            flags: segment.flags,
            range: meaning::range(segment),
            ack: segment.ack,
            owed,
        };
        match seen.fate {
            Fate::Lost => {}
            Fate::Arrives(time) if self.in_flight.len() < IN_FLIGHT_MAX => {
                arrival.time = time;
                let at = self.in_flight.partition_point(|other| other.time <= time);
                self.in_flight.insert(at, arrival);
            }
            Fate::Arrives(_) | Fate::Unknown => self.arrive(&arrival, index),
        }
    }

    /// Lets everything arrive that is due.
    pub(crate) fn deliver_until(&mut self, now: Duration) {
        while self
            .in_flight
            .front()
            .is_some_and(|arrival| arrival.time <= now)
        {
            let Some(arrival) = self.in_flight.pop_front() else {
                return;
            };
            let to = arrival.from.other();
            let newest = self.steps.newest().map(|step| step.index);
            self.last_arrival[to] = Some((arrival.time, arrival.frame));
            if newest == Some(arrival.index) {
                // Nothing happened while it was under way: its own row shows the change.
                self.arrive(&arrival, arrival.index);
                let states = self.states_at(arrival.index);
                if let Some(step) = self.steps.get_mut(arrival.index)
                    && self.truth[to].is_none()
                {
                    step.states = states;
                }
                continue;
            }
            let index = self.steps.next_index();
            let before = self.inferred_at(to, index);
            self.arrive(&arrival, index);
            let after = self.inferred_at(to, index);
            if let Some(state) = after
                && after != before
                && self.truth[to].is_none()
            {
                let arrival_of = Some(arrival.frame);
                let change = StateChange {
                    end: to,
                    from: before,
                    to: state,
                    arrival_of,
                };
                self.push_step(arrival.time, What::State(change));
            }
        }
    }

    /// What a segment changes at its receiver.
    fn arrive(&mut self, arrival: &Arrival, index: u64) {
        let to = arrival.from.other();
        if arrival.flags.contains(Flags::RST) {
            self.arrive_reset(arrival, index);
            return;
        }
        if arrival.owed != Owed::Nothing {
            self.owed[to] = arrival.owed;
        }
        let sender = &mut self.lanes[arrival.from];
        sender.arrived.insert(arrival.range);
        let has_fin = sender
            .fin
            .is_some_and(|fin| sender.arrived.contiguous().gt(fin));
        if let Some(ack) = arrival.ack {
            // RFC 9293 §3.10.7.3: in SYN-SENT an acknowledgement of what was not sent is not heeded; it
            // belongs to an older connection.
            let facts = &self.facts[to];
            let is_opening = facts.opening == Opening::Active && facts.syn_received.is_none();
            let own = &mut self.lanes[to];
            let ahead = ack.offset_from(own.passed.highest());
            let is_acceptable = i64::from(ahead) <= i64::from(ACK_AHEAD_MAX);
            if is_acceptable && !(is_opening && ahead > 0) {
                let before = own.passed.highest();
                self.totals[to].bytes += u64::from(own.acknowledged(ack));
                self.totals[to].extent += u64::from(own.passed.highest().since(before));
            }
        }
        if arrival.flags.contains(Flags::SYN) {
            self.arrive_syn(arrival, index);
        }
        let own = &self.lanes[to];
        let facts = &mut self.facts[to];
        let covers = |seq: Option<Seq>| arrival.ack.zip(seq).is_some_and(|(ack, seq)| ack.gt(seq));
        if covers(own.base) && facts.syn_sent.is_some() && facts.syn_received.is_some() {
            facts.syn_acked.get_or_insert(index);
        }
        if covers(own.fin) {
            facts.fin_acked.get_or_insert(index);
        }
        if has_fin {
            facts.fin_received.get_or_insert(index);
        }
    }

    fn arrive_syn(&mut self, arrival: &Arrival, index: u64) {
        let to = arrival.from.other();
        let acknowledges = |ack: Option<Seq>| acknowledges_syn(&self.lanes[to], ack);
        let is_acceptable = arrival.ack.is_none() || acknowledges(arrival.ack);
        let facts = &mut self.facts[to];
        match facts.opening {
            Opening::Unknown | Opening::Passive => {
                facts.syn_received.get_or_insert(index);
            }
            Opening::Active if facts.syn_received.is_none() => {
                if is_acceptable {
                    facts.syn_received = Some(index);
                }
            }
            // RFC 5961 §4.2: a SYN in a synchronized state is answered with a challenge ACK.
            // The handshake's own SYN, sent again, is only acknowledged again.
            Opening::Active | Opening::Earlier => {
                if self.lanes[arrival.from].base != Some(arrival.range.start) {
                    self.owed[to] = Owed::Challenge;
                }
            }
            Opening::Absent => {}
        }
    }

    fn arrive_reset(&mut self, arrival: &Arrival, index: u64) {
        let to = arrival.from.other();
        let sender = &self.lanes[arrival.from];
        let seq = arrival.range.start;
        let expected = sender.arrived.contiguous();
        let is_acceptable = match self.inferred_at(to, index) {
            // RFC 9293 §3.10.7.3: in SYN-SENT only a reset that acknowledges the SYN counts.
            Some(State::SynSent) => acknowledges_syn(&self.lanes[to], arrival.ack),
            Some(State::Closed | State::Listen) | None => false,
            // RFC 5961 §3.2: only the exact number resets.
            Some(_) => sender.base.is_none() || seq == expected || seq == sender.passed.highest(),
        };
        let window = self.lanes[to].window.unwrap_or(0).max(1);
        if is_acceptable {
            let facts = &mut self.facts[to];
            if facts.ended.is_none() {
                facts.ended = Some(index);
                facts.ended_by_other = true;
            }
        } else if sender.base.is_some() && seq.in_window(expected, window) {
            self.owed[to] = Owed::Challenge;
        }
        if let Some(reset) = &mut self.milestones.resets[arrival.from] {
            reset.acceptable |= is_acceptable;
        }
    }
}

/// Whether it acknowledges the SYN of a lane, and perhaps data that the SYN carried (RFC 7413), and nothing more.
fn acknowledges_syn(lane: &Lane, ack: Option<Seq>) -> bool {
    ack.zip(lane.base)
        .is_some_and(|(ack, base)| ack.gt(base) && ack.le(lane.passed.highest()))
}
