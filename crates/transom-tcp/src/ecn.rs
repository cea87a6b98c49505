//! Explicit congestion notification, the classic form (RFC 3168): what the handshake agreed on,
//! what the receiver still has to echo, and how the sender answers an echo.
//!
//! The window itself is the controller's business; here is only *when* it is told.

use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use crate::config::{Config, EcnUse};
use crate::segment::Segment;
use crate::tcb::Handshake;

/// What both ends agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreed {
    /// Nothing.
    No,
    /// We echo marks, but our own data is not ECN-capable, because one of our SYNs was not ECN-setup
    /// (RFC 3168 §6.1.1).
    EchoOnly,
    /// Both directions.
    Both,
}

/// ECN on one connection.
#[derive(Debug)]
pub(crate) struct EcnState {
    agreed: Agreed,
    /// Receiver: ECE on every acknowledgement, until the peer says CWR.
    echo: bool,
    /// Sender: CWR on the next new data.
    cwr_owed: bool,
    /// The window was reduced, and until SND.UNA is past `reduced_at` an echo is no news.
    reduced: bool,
    /// SND.NXT when the window was last reduced.
    reduced_at: Seq,
    /// That reduction was for an echo, so its end is ours to tell.
    episode: bool,
    /// A window of one segment was marked: nothing new until the retransmission timer expires.
    pub(crate) hold: bool,
    /// How often that was so in a row.
    holds: u8,
}

/// Most doublings of the wait at a window of one segment.
const MAX_DOUBLINGS: u8 = 16;

impl EcnState {
    /// What follows from our SYNs so far and the peer's SYN or SYN-ACK.
    pub(crate) fn new(config: &Config, handshake: &Handshake, peer: &Segment) -> Self {
        Self {
            agreed: agreed(config, handshake, peer),
            echo: false,
            cwr_owed: false,
            reduced: false,
            reduced_at: Seq::new(0),
            episode: false,
            hold: false,
            holds: 0,
        }
    }

    /// Whether our data may be marked instead of dropped.
    pub(crate) fn is_capable(&self) -> bool {
        self.agreed == Agreed::Both
    }

    /// The peer's SYN, or its SYN-ACK, once more: one that is not ECN-setup ends the agreement.
    pub(crate) fn on_syn_again(&mut self, segment: &Segment) {
        // RFC 3168 §6.1.1 ECN-3, ECN-12: "has received no non-ECN-setup SYN or SYN-ACK".
        let setup = if segment.has(Flags::ACK) {
            is_setup_syn_ack(segment)
        } else {
            is_setup_syn(segment)
        };
        if !setup {
            self.agreed = Agreed::No;
        }
    }

    /// The flags that a SYN-ACK adds (ECN-2).
    pub(crate) fn syn_ack_flags(&self) -> Flags {
        match self.agreed {
            Agreed::No => Flags::EMPTY,
            Agreed::EchoOnly | Agreed::Both => Flags::ECE,
        }
    }

    /// Data was accepted; true when a mark is news that should not wait.
    pub(crate) fn on_data(&mut self, segment: &Segment) -> bool {
        if self.agreed == Agreed::No {
            return false;
        }
        // RFC 3168 §6.1.3 ECN-5: CWR ends the echo, and a mark on the same segment begins it anew.
        if segment.has(Flags::CWR) {
            self.echo = false;
        }
        let marked = segment.ecn == Ecn::Ce;
        let news = marked && !self.echo;
        self.echo |= marked;
        news
    }

    /// The flags of every segment that acknowledges (ECN-5).
    pub(crate) fn ack_flags(&self) -> Flags {
        if self.echo { Flags::ECE } else { Flags::EMPTY }
    }

    /// The ECN field of a segment. RFC 3168 §6.1.5, §6.1.6 ECN-4: new data only.
    pub(crate) fn codepoint(&self, new_data: bool) -> Ecn {
        if new_data && self.is_capable() {
            // ECN-10.
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// Whether the next new data carries CWR.
    pub(crate) const fn owes_cwr(&self) -> bool {
        self.cwr_owed
    }

    /// New data goes out: the flag that it carries. RFC 3168 §6.1.2 ECN-8.
    pub(crate) fn take_cwr(&mut self) -> Flags {
        if core::mem::take(&mut self.cwr_owed) {
            Flags::CWR
        } else {
            Flags::EMPTY
        }
    }

    /// The acknowledgement echoes a mark.
    pub(crate) fn is_echo(&self, segment: &Segment) -> bool {
        self.agreed != Agreed::No && segment.has(Flags::ECE) && !segment.has(Flags::SYN)
    }

    /// Whether the window was reduced for an echo, and the data of that time is still outstanding.
    pub(crate) const fn in_episode(&self) -> bool {
        self.episode
    }

    /// Whether an echo asks for a reduction: RFC 3168 §6.1.2 ECN-7, once per window of data.
    pub(crate) const fn may_reduce(&self) -> bool {
        !self.reduced
    }

    /// Data was acknowledged; `marked`: that was at a window of one segment, with an echo. If so, gives
    /// how often the wait for the next segment is doubled.
    pub(crate) fn hold_at_one(&mut self, marked: bool) -> Option<u32> {
        self.hold = marked;
        if !marked {
            self.holds = 0;
            return None;
        }
        // RFC 9438 §4.6 CUB-14: with the timer's exponential backoff, while marks go on.
        let doublings = self.holds.min(MAX_DOUBLINGS);
        self.holds = self.holds.saturating_add(1);
        Some(u32::from(doublings))
    }

    /// The window was reduced, for an echo or for loss.
    pub(crate) fn on_reduction(&mut self, nxt: Seq, for_echo: bool) {
        if self.agreed == Agreed::No {
            return;
        }
        self.cwr_owed = self.is_capable();
        (self.reduced, self.reduced_at) = (true, nxt);
        self.episode = for_echo;
    }

    /// SND.UNA moved; true when this ends the episode of an echo.
    pub(crate) fn on_progress(&mut self, una: Seq) -> bool {
        // Only what was sent after the reduction, with CWR first, can say anything new.
        if self.reduced && una.gt(self.reduced_at) {
            self.reduced = false;
            return core::mem::take(&mut self.episode);
        }
        false
    }
}

/// The flags that our SYN adds. `transmissions`: SYNs sent before.
pub(crate) fn syn_flags(config: &Config, transmissions: u8) -> Flags {
    // RFC 3168 §6.1.1.1 ECN-11: some middleboxes drop a SYN with these flags, so only the first has them.
    if config.ecn == EcnUse::Request && transmissions == 0 {
        Flags::ECE | Flags::CWR
    } else {
        Flags::EMPTY
    }
}

fn agreed(config: &Config, handshake: &Handshake, peer: &Segment) -> Agreed {
    let has_requested = config.ecn == EcnUse::Request;
    let capable = if peer.has(Flags::ACK) {
        has_requested && is_setup_syn_ack(peer)
    } else {
        config.ecn != EcnUse::Off && is_setup_syn(peer)
    };
    let all_were_setup = handshake.passive || (has_requested && handshake.transmissions <= 1);
    match (capable, all_were_setup) {
        (false, _) => Agreed::No,
        // RFC 3168 §6.1.1 ECN-12.
        (true, false) => Agreed::EchoOnly,
        (true, true) => Agreed::Both,
    }
}

/// RFC 3168 §6.1.1 ECN-2, ECN-3. A SYN that is itself marked or markable came over a path that uses
/// the field for something else.
pub(crate) fn is_setup_syn(segment: &Segment) -> bool {
    segment.has(Flags::ECE) && segment.has(Flags::CWR) && segment.ecn == Ecn::NotEct
}

/// ECN-3: with both flags it is a reflection of our SYN by a broken peer.
fn is_setup_syn_ack(segment: &Segment) -> bool {
    segment.has(Flags::ECE) && !segment.has(Flags::CWR)
}
