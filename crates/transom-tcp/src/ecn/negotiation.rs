//! What the handshake's ECN flags mean (RFC 3168 §6.1.1, RFC 9768 §3.1.2 table 2).

use transom_wire::Ecn;
use transom_wire::tcp::Flags;

use crate::config::{Config, EcnUse};
use crate::segment::Segment;
use crate::tcb::Handshake;

/// How marks are fed back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feedback {
    /// Not at all.
    Off,
    /// ECE until CWR (RFC 3168).
    Classic,
    /// Counted (RFC 9768).
    Accurate,
}

/// What a repeated SYN does to what the first one asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Again {
    /// Nothing that matters.
    Same,
    /// It asks for nothing, after one that asked for accurate feedback.
    Plain,
    /// The one asks for classic, the other for accurate feedback.
    Mixed,
}

/// AE, CWR and ECE as one number, AE the highest: with SYN they say what is asked for or agreed on, without it they are
/// the counter ACE (RFC 9768 §3.2.2).
pub(crate) fn ace(flags: Flags) -> u8 {
    [Flags::AE, Flags::CWR, Flags::ECE]
        .into_iter()
        .fold(0, |ace, flag| ace << 1 | u8::from(flags.contains(flag)))
}

/// The flags that show the low three bits of `ace`.
pub(crate) fn ace_flags(ace: u8) -> Flags {
    [(4, Flags::AE), (2, Flags::CWR), (1, Flags::ECE)]
        .into_iter()
        .filter(|(bit, _)| ace & bit != 0)
        .fold(Flags::EMPTY, |flags, (_, flag)| flags | flag)
}

/// The number that feeds back the ECN field of a SYN or SYN-ACK: RFC 9768 tables 2 and 3.
pub(crate) const fn handshake_code(field: Ecn) -> u8 {
    match field {
        Ecn::NotEct => 0b010,
        Ecn::Ect1 => 0b011,
        Ecn::Ect0 => 0b100,
        Ecn::Ce => 0b110,
    }
}

/// The field that such a number feeds back; `None` for one that is not in use, which counts as "unchanged".
pub(crate) const fn handshake_field(code: u8) -> Option<Ecn> {
    match code {
        0b010 => Some(Ecn::NotEct),
        0b011 => Some(Ecn::Ect1),
        0b100 => Some(Ecn::Ect0),
        0b110 => Some(Ecn::Ce),
        _ => None,
    }
}

/// The flags of a SYN-ACK that agrees to accurate feedback, to a SYN that came with this field.
pub(crate) fn syn_ack_code(field: Ecn) -> Flags {
    ace_flags(handshake_code(field))
}

/// What a SYN offers in the way of explicit congestion notification, and the ECN field of the packet that brought it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EcnOffer {
    ace: u8,
    field: Ecn,
}

impl EcnOffer {
    /// Nothing.
    pub const NONE: Self = Self {
        ace: 0,
        field: Ecn::NotEct,
    };
    /// An ECN-setup SYN (RFC 3168 §6.1.1).
    pub const CLASSIC: Self = Self {
        ace: 0b011,
        field: Ecn::NotEct,
    };
    /// A SYN that asks for accurate feedback (RFC 9768 §3.1.1).
    pub const ACCURATE: Self = Self {
        ace: 0b111,
        field: Ecn::NotEct,
    };

    /// The offer of a SYN.
    pub fn of(syn: &Segment) -> Self {
        Self {
            ace: ace(syn.flags),
            field: syn.ecn,
        }
    }

    /// The flags of the SYN.
    pub(crate) fn flags(self) -> Flags {
        ace_flags(self.ace)
    }

    /// The ECN field of the SYN.
    pub(crate) const fn field(self) -> Ecn {
        self.field
    }

    /// What a responder with this configuration agrees to.
    pub(crate) fn feedback(self, config: &Config) -> Feedback {
        let is_accurate = match self.ace {
            0b000 | 0b011 => false,
            // RFC 9768 §3.1.3 ACC-3: what is reserved counts as (1,1,1).
            _ => config.ecn.accepts_accurate(),
        };
        // RFC 3168 §6.1.1 ECN-2, ECN-3. A SYN that is itself marked or markable came over a path that uses the field
        // for something else.
        let is_classic =
            config.ecn != EcnUse::Off && self.ace & 0b011 == 0b011 && self.field == Ecn::NotEct;
        match (is_accurate, is_classic) {
            (true, _) => Feedback::Accurate,
            (false, true) => Feedback::Classic,
            (false, false) => Feedback::Off,
        }
    }

    /// The same as far as this configuration agrees to it.
    #[must_use]
    pub fn agreed(self, config: &Config) -> Self {
        match self.feedback(config) {
            Feedback::Off => Self::NONE,
            Feedback::Classic => Self::CLASSIC,
            Feedback::Accurate => Self {
                field: self.field,
                ..Self::ACCURATE
            },
        }
    }

    /// The same SYN once more, perhaps with other flags.
    pub(crate) fn again(&mut self, config: &Config, syn: &Segment) -> Again {
        let latest = Self::of(syn);
        match (self.feedback(config), latest.ace) {
            // RFC 9768 §3.1.5 ACC-4: the peer could not know which of its SYNs had arrived.
            (Feedback::Accurate, 0b011) => Again::Mixed,
            (Feedback::Classic, _) if latest.feedback(config) == Feedback::Accurate => Again::Mixed,
            (Feedback::Accurate, code) => {
                // "MUST feed back the IP-ECN field on the latest valid SYN"; the mode stays.
                self.field = latest.field;
                if code == 0 { Again::Plain } else { Again::Same }
            }
            // RFC 3168 §6.1.1 ECN-3: "has received no non-ECN-setup SYN".
            (Feedback::Classic, _) => {
                if latest.feedback(config) != Feedback::Classic {
                    *self = Self::NONE;
                }
                Again::Same
            }
            (Feedback::Off, _) => {
                *self = Self::NONE;
                Again::Same
            }
        }
    }
}

impl Default for EcnOffer {
    fn default() -> Self {
        Self::NONE
    }
}

/// The flags that our SYN adds. `transmissions`: SYNs sent before; `plain`: they shall ask for nothing.
pub(crate) fn syn_flags(config: &Config, transmissions: u8, plain: bool) -> Flags {
    match config.ecn {
        _ if plain => Flags::EMPTY,
        // RFC 3168 §6.1.1.1 ECN-11: some middleboxes drop a SYN with these flags, so only the first has them.
        EcnUse::Request | EcnUse::RequestClassic if transmissions == 0 => Flags::ECE | Flags::CWR,
        // RFC 9768 §3.1.4.1: "at least one more time", because more is lost to congestion than to middleboxes.
        EcnUse::Accurate if transmissions <= 1 => Flags::AE | Flags::ECE | Flags::CWR,
        _ => Flags::EMPTY,
    }
}

/// What follows from our SYN and the peer's SYN-ACK.
pub(crate) fn answered(config: &Config, syn_ack: &Segment) -> Feedback {
    let code = ace(syn_ack.flags);
    // ECN-3: with both flags it is a reflection of our SYN by a broken peer.
    let is_classic = code & 0b011 == 0b001;
    match config.ecn {
        EcnUse::Off | EcnUse::Accept | EcnUse::AcceptAccurate => Feedback::Off,
        EcnUse::Request | EcnUse::RequestClassic if is_classic => Feedback::Classic,
        EcnUse::Request | EcnUse::RequestClassic => Feedback::Off,
        // RFC 9768 §3.1.2 ACC-2; 101 is reserved, and counts as accurate (§3.1.3).
        EcnUse::Accurate => match code {
            0b000 | 0b111 => Feedback::Off,
            0b001 => Feedback::Classic,
            _ => Feedback::Accurate,
        },
    }
}

/// What follows from the peer's SYN, for a listener or in a simultaneous open.
pub(crate) fn asked(config: &Config, handshake: &Handshake, syn: &Segment) -> Feedback {
    let feedback = EcnOffer::of(syn).feedback(config);
    // In a simultaneous open the peer judges our SYN, and a classic one makes it classic.
    let is_classic =
        feedback == Feedback::Accurate && !handshake.passive && config.ecn != EcnUse::Accurate;
    match (is_classic, ace(syn.flags) & 0b011) {
        (false, _) => feedback,
        (true, 0b011) if syn.ecn == Ecn::NotEct => Feedback::Classic,
        (true, _) => Feedback::Off,
    }
}

/// A segment that acknowledges a SYN cookie shows that its sender believes in accurate feedback (RFC 9768 §5.1).
pub(crate) fn shows_accurate(segment: &Segment) -> bool {
    let code = ace(segment.flags);
    // A classic peer sets CWR with data only, and nobody else sets AE.
    code >= 0b100 || (code >= 0b010 && segment.is_empty())
}
