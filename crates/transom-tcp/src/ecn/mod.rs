//! Explicit congestion notification: what the handshake agreed on, what the receiver feeds back, and what the sender
//! hears. Classic feedback (RFC 3168) is here, accurate feedback (RFC 9768) in a box of its own that exists only when
//! it was agreed on.
//!
//! The window itself is the controller's business; here is only *when* it is told. That is the same for both: once
//! in a round trip.

mod accurate;
mod feedback;
mod negotiation;
mod option;

use alloc::boxed::Box;

use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

pub(crate) use accurate::{Accurate, Due, is_syn_ack_plain};
pub use feedback::AccurateInfo;
pub use negotiation::EcnOffer;
pub(crate) use negotiation::{Again, Feedback, shows_accurate, syn_ack_code, syn_flags};

use crate::config::Config;
use crate::pack::{Rare, packed, packed_choice};
use crate::segment::Segment;
use crate::tcb::Handshake;

/// What both ends agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreed {
    /// Nothing, or accurate feedback.
    No,
    /// We echo marks, but our own data is not ECN-capable, because one of our SYNs was not ECN-setup
    /// (RFC 3168 §6.1.1).
    EchoOnly,
    /// Both directions.
    Both,
}

packed_choice!(Agreed { No, EchoOnly, Both });

/// ECN on one connection.
#[derive(Debug)]
pub(crate) struct EcnState {
    /// Classic feedback.
    agreed: Agreed,
    /// Receiver: ECE on every acknowledgement, until the peer says CWR.
    echo: bool,
    /// Sender: CWR on the next new data.
    cwr_owed: bool,
    /// The window was reduced, and until SND.UNA is past `reduced_at` a mark is no news.
    reduced: bool,
    /// SND.NXT when the window was last reduced.
    reduced_at: Seq,
    /// That reduction was for a mark, so its end is ours to tell.
    episode: bool,
    /// A window of one segment was marked: nothing new until the retransmission timer expires.
    pub(crate) hold: bool,
    /// How often that was so in a row.
    holds: u8,
    /// Accurate feedback.
    pub(crate) accurate: Option<Box<Accurate>>,
}

packed!(EcnState {
    agreed,
    echo,
    cwr_owed,
    reduced,
    reduced_at: Rare,
    episode,
    hold,
    holds: Rare;
    accurate,
});

/// Most doublings of the wait at a window of one segment.
const MAX_DOUBLINGS: u8 = 16;

impl EcnState {
    /// What follows from our SYNs so far and the peer's SYN or SYN-ACK.
    // RFC 9768 §3.1.5 ACC-4: the first one decides, and what decided is not kept.
    pub(crate) fn new(config: &Config, handshake: &Handshake, peer: &Segment) -> Self {
        let is_answer = peer.has(Flags::ACK);
        let feedback = if is_answer {
            negotiation::answered(config, peer)
        } else {
            negotiation::asked(config, handshake, peer)
        };
        let agreed = match feedback {
            Feedback::Off | Feedback::Accurate => Agreed::No,
            // RFC 3168 §6.1.1 ECN-12.
            Feedback::Classic if handshake.plain && !handshake.passive => Agreed::EchoOnly,
            Feedback::Classic => Agreed::Both,
        };
        let accurate = (feedback == Feedback::Accurate)
            .then(|| Box::new(Accurate::new(config, handshake, peer)));
        Self {
            agreed,
            echo: false,
            cwr_owed: false,
            reduced: false,
            reduced_at: Seq::new(0),
            episode: false,
            hold: false,
            holds: 0,
            accurate,
        }
    }

    /// Whether our data may be marked instead of dropped.
    pub(crate) fn is_capable(&self) -> bool {
        match &self.accurate {
            Some(accurate) => accurate.sends_ect(),
            None => self.agreed == Agreed::Both,
        }
    }

    /// The peer's SYN, or its SYN-ACK, once more. False when it cannot go on so: classic and accurate feedback are mixed.
    #[must_use]
    pub(crate) fn on_syn_again(
        &mut self,
        config: &Config,
        handshake: &Handshake,
        segment: &Segment,
    ) -> bool {
        if let Some(accurate) = &mut self.accurate {
            return accurate.on_syn_again(segment);
        }
        if self.agreed == Agreed::No {
            return true;
        }
        // RFC 3168 §6.1.1 ECN-3, ECN-12: "has received no non-ECN-setup SYN or SYN-ACK".
        let latest = if segment.has(Flags::ACK) {
            negotiation::answered(config, segment)
        } else {
            negotiation::asked(config, handshake, segment)
        };
        match latest {
            Feedback::Classic => true,
            Feedback::Off => {
                self.agreed = Agreed::No;
                true
            }
            Feedback::Accurate => false,
        }
    }

    /// The flags that a SYN-ACK adds (ECN-2).
    pub(crate) fn syn_ack_flags(&mut self) -> Flags {
        match (&mut self.accurate, self.agreed) {
            (Some(accurate), _) => accurate.syn_ack_flags(),
            (None, Agreed::No) => Flags::EMPTY,
            (None, Agreed::EchoOnly | Agreed::Both) => Flags::ECE,
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

    /// The flags of every segment that acknowledges (ECN-5). `pure`: with neither data, FIN nor SACK blocks.
    pub(crate) fn ack_flags(&mut self, pure: bool) -> Flags {
        match &mut self.accurate {
            Some(accurate) => accurate.ack_flags(pure),
            None if self.echo => Flags::ECE,
            None => Flags::EMPTY,
        }
    }

    /// The ECN field of a segment. `is_new`: its data was never sent. RFC 3168 §6.1.5, §6.1.6 ECN-4: new data only.
    pub(crate) fn codepoint(&self, is_new: bool) -> Ecn {
        let everywhere = self
            .accurate
            .as_ref()
            .is_some_and(|accurate| accurate.marks_everything);
        if (is_new || everywhere) && self.is_capable() {
            // ECN-10.
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// Whether the next segment's CWR must not be repeated, as a device that cuts it may do or not.
    // RFC 9768 §3.3.4: it is either the answer to an echo, or part of a counter, and few devices know which.
    pub(crate) fn forbids_cutting(&self) -> bool {
        match &self.accurate {
            Some(accurate) => accurate.shows_cwr(),
            None => self.cwr_owed,
        }
    }

    /// New data goes out: the flag that it carries. RFC 3168 §6.1.2 ECN-8.
    pub(crate) fn take_cwr(&mut self) -> Flags {
        if core::mem::take(&mut self.cwr_owed) {
            Flags::CWR
        } else {
            Flags::EMPTY
        }
    }

    /// The acknowledgement echoes a mark, classically.
    pub(crate) fn is_echo(&self, segment: &Segment) -> bool {
        self.agreed != Agreed::No && segment.has(Flags::ECE) && !segment.has(Flags::SYN)
    }

    /// Whether the acknowledgement can tell of a mark, in either way.
    #[inline]
    pub(crate) fn may_hear(&self, segment: &Segment) -> bool {
        self.accurate.is_some() || segment.has(Flags::ECE)
    }

    /// Whether the window was reduced for a mark, and the data of that time is still outstanding.
    pub(crate) const fn in_episode(&self) -> bool {
        self.episode
    }

    /// Whether a mark asks for a reduction: RFC 3168 §6.1.2 ECN-7, once per window of data.
    pub(crate) const fn may_reduce(&self) -> bool {
        !self.reduced
    }

    /// Data was acknowledged; `marked`: that was at a window of one segment, with a mark. If so, gives
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

    /// The window was reduced, for a mark or for loss.
    pub(crate) fn on_reduction(&mut self, nxt: Seq, for_mark: bool) {
        if self.agreed == Agreed::No && self.accurate.is_none() {
            return;
        }
        // RFC 9768 §3.1.5 ACC-9: accurate feedback has no CWR.
        self.cwr_owed = self.agreed == Agreed::Both;
        (self.reduced, self.reduced_at) = (true, nxt);
        self.episode = for_mark;
    }

    /// SND.UNA moved; true when this ends the episode of a mark.
    pub(crate) fn on_progress(&mut self, una: Seq) -> bool {
        // Only what was sent after the reduction, with CWR first, can say anything new.
        if self.reduced && una.gt(self.reduced_at) {
            self.reduced = false;
            return core::mem::take(&mut self.episode);
        }
        false
    }
}
