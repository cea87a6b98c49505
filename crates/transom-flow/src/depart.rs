//! What a segment shows of its sender when it departs (RFC 9293 §3.10, seen from outside).

use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::facts::Opening;
use crate::follow::Crossed;
use crate::meaning::Owed;
use crate::model::End;
use crate::step::Meaning;
use transom_tcp::State;
use transom_wire::tcp::Flags;

impl Connection {
    /// What the segment shows of its sender.
    pub(crate) fn depart(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        index: u64,
        meaning: Meaning,
    ) {
        self.owed[from] = Owed::Nothing;
        self.learn_opening(from, segment);
        let is_repeat = matches!(meaning, Meaning::Retransmission { .. });
        if segment.flags.contains(Flags::RST) {
            self.depart_reset(from, segment, index);
        } else if segment.flags.contains(Flags::SYN) {
            self.depart_syn(from, segment, index, is_repeat);
        } else {
            self.depart_other(from, segment, index, is_repeat);
        }
    }

    fn depart_reset(&mut self, from: End, segment: &Dissected<'_>, index: u64) {
        let facts = &self.facts[from];
        // RFC 9293 §3.10.7.3: an unacceptable ACK in SYN-SENT is answered with a reset, and the
        // attempt goes on.
        let goes_on = facts.state(Some(index)) == Some(State::SynSent)
            && segment.ack.is_none()
            && self.lanes[from.other()].last_ack == Some(segment.seq);
        let facts = &mut self.facts[from];
        if !goes_on && facts.ended.is_none() {
            facts.ended = Some(index);
            facts.ended_by_other = false;
        }
    }

    fn depart_syn(&mut self, from: End, segment: &Dissected<'_>, index: u64, is_repeat: bool) {
        let has_ack = segment.ack.is_some();
        let facts = &mut self.facts[from];
        let mut changed = None;
        facts.syn_sent.get_or_insert(index);
        if has_ack && !is_repeat && facts.syn_acked.is_some() {
            // Its first SYN,ACK: it has the other's SYN, but the SYN,ACK seen before this one was
            // still under way.
            changed = earliest(facts.syn_received.take(), facts.syn_acked.take());
            self.crossed = Some(Crossed::SynAck);
        }
        if has_ack {
            facts.syn_received.get_or_insert(index);
        }
        if is_repeat {
            // It sends its SYN again, so it does not know that it was received.
            if !has_ack {
                changed = earliest(changed, facts.syn_received.take());
            }
            changed = earliest(changed, facts.syn_acked.take());
            changed = earliest(changed, facts.ended.take());
        }
        if let Some(since) = changed {
            self.restate(from, since);
        }
        let peer = &mut self.facts[from.other()];
        if !has_ack && is_repeat && peer.opening == Opening::Unknown {
            // Nobody answered the SYN before this one: it was lost, or nobody is there.
            peer.syn_received = None;
        }
        self.last_syn_index[from] = Some(index);
    }

    fn depart_other(&mut self, from: End, segment: &Dissected<'_>, index: u64, is_repeat: bool) {
        let peer_is_active = self.facts[from.other()].opening == Opening::Active;
        let peer_fin = self.lanes[from.other()].fin;
        // RFC 7413 §4.2.2: who took data of the SYN may answer it before the handshake is complete.
        let rare = self.milestones.rare.as_ref();
        let may_answer_early = rare
            .and_then(|rare| rare.syn_data)
            .is_some_and(|data| data.is_taken == Some(true));
        let facts = &mut self.facts[from];
        // Whoever goes on sending has not given up: the reset was lost or not accepted.
        let mut changed = facts.ended.take();
        if segment.ack.is_some() && facts.opening == Opening::Active {
            facts.syn_received.get_or_insert(index);
            if !peer_is_active || segment.len > 0 {
                facts.syn_acked.get_or_insert(index);
            }
        }
        if segment.len > 0 && facts.opening == Opening::Passive && !may_answer_early {
            facts.syn_acked.get_or_insert(index);
        }
        if let (Some(ack), Some(fin)) = (segment.ack, peer_fin) {
            if ack.gt(fin) {
                facts.fin_received.get_or_insert(index);
                facts.fin_received_sure = true;
            } else if !facts.fin_received_sure {
                // It acknowledges less than the FIN, so it did not have it when it sent this.
                changed = earliest(changed, facts.fin_received.take());
                if segment.flags.contains(Flags::FIN) && !is_repeat {
                    self.crossed = Some(Crossed::Fin);
                }
            }
        }
        if segment.flags.contains(Flags::FIN) {
            facts.fin_sent.get_or_insert(index);
            if is_repeat {
                changed = earliest(changed, facts.fin_acked.take());
            }
        }
        if let Some(since) = changed {
            self.restate(from, since);
        }
    }

    /// How the sender came to the connection, learnt from its first segment.
    fn learn_opening(&mut self, from: End, segment: &Dissected<'_>) {
        let peer = from.other();
        if self.facts[from].opening != Opening::Unknown {
            return;
        }
        let peer_syn = self.last_syn_index[peer];
        let acknowledges_syn = segment
            .ack
            .zip(self.lanes[peer].base)
            .is_some_and(|(ack, base)| ack.gt(base));
        let is_syn = segment.flags.contains(Flags::SYN);
        let facts = &mut self.facts[from];
        if is_syn && segment.ack.is_none() {
            facts.opening = Opening::Active;
            // It opens of its own accord, so it does not have the other's SYN yet.
            facts.syn_received = None;
        } else if segment.flags.contains(Flags::RST) {
            facts.opening = if peer_syn.is_some() {
                Opening::Absent
            } else {
                Opening::Earlier
            };
        } else if is_syn || (peer_syn.is_some() && acknowledges_syn) {
            facts.opening = Opening::Passive;
            let since = peer_syn.unwrap_or(0);
            facts.syn_received = Some(since);
            facts.syn_sent = (!is_syn).then_some(since);
        } else {
            facts.opening = Opening::Earlier;
        }
        self.restate(from, 0);
        if self.facts[from].opening == Opening::Earlier
            && self.facts[peer].opening == Opening::Unknown
        {
            self.facts[peer].opening = Opening::Earlier;
            self.restate(peer, 0);
        }
    }
}

/// The earlier of two, where there are any.
fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
