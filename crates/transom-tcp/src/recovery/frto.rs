//! F-RTO: whether a retransmission timeout was a mistake (RFC 5682, with SACK §3).
//!
//! After the timeout the first segment goes again, and then new data instead of the rest. If the
//! next acknowledgement covers what was never sent again, that has arrived by itself, and the
//! timeout was only too short.

use super::run::Covered;
use super::{AckInput, Episode, Recovery};

use crate::pack::packed_choice;

/// Where F-RTO stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Frto {
    /// The conventional recovery.
    #[default]
    Off,
    /// Step 2: waits for the first acknowledgement.
    AwaitsAck,
    /// Step 2b: new data is to be sent.
    SendsNew,
    /// Step 3: waits for the second.
    AwaitsSecond,
}

packed_choice!(Frto {
    Off,
    AwaitsAck,
    SendsNew,
    AwaitsSecond,
});

impl Recovery {
    /// A timeout begins an episode; FRTO-1: not when the last timeout's is still under way.
    pub(super) const fn start_frto(&mut self, is_new: bool) {
        self.frto = if is_new { Frto::AwaitsAck } else { Frto::Off };
    }

    /// What an acknowledgement says; true when the timeout was a mistake.
    pub(super) fn frto_acked(
        &mut self,
        input: &AckInput<'_>,
        advanced: bool,
        arrived: &Covered,
    ) -> bool {
        if self.frto == Frto::Off {
            return false;
        }
        // FRTO-2: the acknowledgement of everything may be that of what was sent again.
        if self.episode != Episode::Loss || self.board.una().ge(self.recover) {
            self.frto = Frto::Off;
            return false;
        }
        // FRTO-4: sent before the timeout, and only then.
        let original = arrived.lowest_once.is_some_and(|end| end.le(self.recover));
        let duplicate = input.is_duplicate || (self.sack && arrived.delivered > 0);
        match self.frto {
            Frto::Off => return false,
            // As Linux: with SACK, what had arrived before the timeout would have been reported.
            Frto::AwaitsAck if advanced && self.sack && original => return true,
            Frto::AwaitsAck if advanced => self.frto = Frto::SendsNew,
            // With SACK, RFC 5682 §3.1 step 2 goes on waiting.
            Frto::AwaitsAck if duplicate && !self.sack => self.frto = Frto::Off,
            Frto::AwaitsAck => {}
            // FRTO-3.
            Frto::SendsNew | Frto::AwaitsSecond if original && (advanced || self.sack) => {
                return true;
            }
            Frto::SendsNew | Frto::AwaitsSecond if advanced || duplicate => {
                self.frto = Frto::Off;
                // RFC 5682 §2.1 step 3a: a window of three segments, two of which are taken.
                self.forced = true;
            }
            Frto::SendsNew | Frto::AwaitsSecond => {}
        }
        false
    }

    /// Whether nothing is to be sent again until the next acknowledgement.
    pub const fn prefers_new_data(&self) -> bool {
        matches!(self.frto, Frto::SendsNew | Frto::AwaitsSecond)
    }

    /// No new data could be sent, so that the conventional recovery takes over (FRTO-5); gives
    /// whether that changes anything.
    pub fn give_up_frto(&mut self) -> bool {
        let gives_up = self.frto == Frto::SendsNew;
        if gives_up {
            self.frto = Frto::Off;
        }
        gives_up
    }

    /// New data was sent.
    pub(super) const fn frto_sent_new(&mut self) {
        if matches!(self.frto, Frto::SendsNew) {
            self.frto = Frto::AwaitsSecond;
        }
    }
}
