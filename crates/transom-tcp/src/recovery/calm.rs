//! The acknowledgements that nearly all are: they tell of nothing but the arrival, in order, of what was sent once, or of nothing,
//! as that of our SYN.

use super::{AckInput, AckOutcome, Episode, Frto, Recovery};

impl Recovery {
    /// Whether an acknowledgement is of that kind, and nothing else is waited for.
    #[inline]
    pub(super) fn is_calm(&self, input: &AckInput<'_>) -> bool {
        self.sack
            && self.rack.is_some()
            && self.episode == Episode::None
            && input.sack.is_empty()
            && input.ack.gt(self.board.una())
            && input.ack.le(self.board.end())
            && self.board.is_plain()
            && !self.sent_again
            && self.frto == Frto::Off
            && self.probe.is_none()
            && self.mtu_probe.is_none()
    }

    /// Whether an acknowledgement brings nothing: nothing is outstanding, and nothing that was is still waited for.
    #[inline]
    pub(super) fn is_empty_ack(&self, input: &AckInput<'_>) -> bool {
        self.board.is_empty()
            && input.sack.is_empty()
            && self.episode == Episode::None
            && self.dup_acks == 0
            && self.frto == Frto::Off
            && self.undo.is_none()
            && self.probe.is_none()
            && self.mtu_probe.is_none()
            && self.rack.is_none_or(|rack| !rack.awaits_round())
    }

    /// What is left of [`on_any_ack`](Self::on_any_ack) for such a one.
    pub(super) fn on_calm_ack(&mut self, input: &AckInput<'_>) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        let acked = self.board.ack_plain_to(input.ack);
        self.advance(input.ack);
        outcome.newly_acked = acked.octets;
        outcome.delivered = acked.delivered;
        outcome.restart_rto = true;
        outcome.rtt_sample = acked.sent_once.map(|mark| mark.sent);
        outcome.newest_sent = outcome.rtt_sample;
        self.on_measured();
        self.rack_delivered(&acked, input, &outcome);
        if self.is_overtaken() {
            self.rack_detect(input.now, &input.round_trip, input.mss, &mut outcome);
            self.begin_episode(input.mss, &mut outcome);
            self.tell_found(&mut outcome);
        }
        outcome
    }
}
