//! Explicit congestion notification: what the handshake agreed on, and the marks that were told of.

use transom_wire::tcp::Flags;

use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::model::{End, Ends};

/// A step of the counter that is larger is rather one that came late.
const MOST_AT_ONCE: u8 = 4;

/// What both ends said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EcnTalk {
    /// The client asked, for classic or accurate feedback.
    asked: bool,
    asked_accurate: bool,
    /// The server agreed to feedback by RFC 3168.
    pub(crate) classic: bool,
    /// To feedback by RFC 9768.
    pub(crate) accurate: bool,
    /// The counter that each end showed last.
    ace: Ends<Option<u8>>,
}

/// AE, CWR and ECE as one number.
fn code(flags: Flags) -> u8 {
    [Flags::AE, Flags::CWR, Flags::ECE]
        .into_iter()
        .fold(0, |code, flag| code << 1 | u8::from(flags.contains(flag)))
}

impl EcnTalk {
    /// A SYN, or with ACK a SYN,ACK.
    pub(super) fn note_syn(&mut self, flags: Flags) {
        let code = code(flags);
        if !flags.contains(Flags::ACK) {
            // RFC 3168 §6.1.1: a SYN with both bits asks; RFC 9768 §3.1.1: for more with AE too.
            self.asked |= code & 0b011 == 0b011;
            self.asked_accurate |= code == 0b111;
            return;
        }
        // RFC 9768 §3.1.2 table 2: the answer says how the SYN arrived. ECE alone agrees to RFC 3168.
        let is_accurate = self.asked_accurate && matches!(code, 0b010..=0b110);
        self.accurate |= is_accurate && !self.classic;
        self.classic |= self.asked && code & 0b011 == 0b001 && !self.accurate;
    }

    /// Marks of which this segment tells first. `is_answer`: it acknowledges a SYN,ACK and nothing else.
    fn told(&mut self, from: End, flags: Flags, is_answer: bool) -> u32 {
        if self.classic {
            return u32::from(flags.contains(Flags::ECE));
        }
        if !self.accurate || !flags.contains(Flags::ACK) {
            return 0;
        }
        let code = code(flags);
        // RFC 9768 §3.2.2.1: the first acknowledgement says how the SYN,ACK arrived; 110: marked.
        let (before, now) = match self.ace[from] {
            None if is_answer => (5, if code == 0b110 { 6 } else { 5 }),
            None => (5, code),
            Some(last) => (last, code),
        };
        let more = now.wrapping_sub(before) % 8;
        if more > MOST_AT_ONCE {
            return 0;
        }
        self.ace[from] = Some(now);
        more.into()
    }
}

impl Connection {
    /// Echoes of congestion marks (RFC 3168 §6.1.3), or counts of them (RFC 9768 §3.2.2).
    pub(super) fn note_echo(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let is_answer = from == End::Client && segment.len == 0 && segment.options.sack.is_empty();
        let told = self.milestones.ecn.told(from, segment.flags, is_answer);
        if told > 0 {
            let rare = self.milestones.rare();
            if rare.congestion_frame == 0 {
                rare.congestion_frame = seen.frame;
            }
            rare.congestion_echoes[from] += told;
        }
    }
}
