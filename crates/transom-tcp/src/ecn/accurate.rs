//! Accurate feedback (RFC 9768): what the data receiver counts and sends, and when. The data sender's half is in
//! `feedback.rs`, the option in `option.rs`.

use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use super::feedback::Sender;
use super::negotiation::{ace, ace_flags, handshake_code, handshake_field, syn_ack_code};
use super::option::Options;
use crate::config::Config;
use crate::segment::Segment;
use crate::tcb::Handshake;

/// Marks without data that are acknowledged at once.
// RFC 9768 §3.2.2.5.1 ACC-11: "n SHOULD be 3 and MUST be no less than 3", so that acknowledgements of acknowledgements die out.
const MARKS_WITHOUT_DATA: u8 = 3;
/// Marks beside unacknowledged data that are acknowledged at once.
const MARKS_WITH_DATA: u8 = 2;

/// What was received, or is known to have been: RFC 9768 §3.2.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counters {
    /// CE packets.
    pub(crate) cep: u32,
    /// Octets that came as CE, ECT(0) and ECT(1).
    pub(crate) ceb: u64,
    pub(crate) e0b: u64,
    pub(crate) e1b: u64,
}

impl Counters {
    // ACC-5: not zero, so that zeroing on the way can be told.
    pub(crate) const START: Self = Self {
        cep: 5,
        ceb: 0,
        e0b: 1,
        e1b: 1,
    };
}

/// The acknowledgement that an arrival asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// None on account of marks.
    Nothing,
    /// One, now.
    Now,
    /// One, now, and without SACK blocks: it acknowledges acknowledgements.
    Marks,
}

/// Both half-connections in accurate mode.
#[derive(Debug)]
pub(crate) struct Accurate {
    /// The `r` counters.
    pub(super) received: Counters,
    /// The ECN field of the previous packet.
    last_field: Ecn,
    /// CE packets since something was sent.
    marks: u8,
    /// The latest SYN-ACK's field is to be fed back on the next pure acknowledgement.
    owed_code: Option<Ecn>,
    /// A CE mark of a SYN-ACK was counted.
    syn_ack_counted: bool,
    /// The field of the latest SYN: what our SYN-ACK feeds back.
    syn_field: Ecn,
    /// We opened the connection.
    is_client: bool,
    /// SYN-ACKs sent, and those of them that the clock made.
    syn_acks: u8,
    syn_ack_timeouts: u8,
    /// ECT on what is no new data, too.
    pub(super) marks_everything: bool,
    pub(super) option: Options,
    pub(super) sender: Sender,
}

impl Accurate {
    pub(super) fn new(config: &Config, handshake: &Handshake, peer: &Segment) -> Self {
        let is_client = peer.has(Flags::ACK);
        let mut sender = Sender::new(peer);
        let mut received = Counters::START;
        let mut syn_ack_counted = false;
        if is_client {
            sender.on_syn_ack(ace(peer.flags), peer);
            if peer.ecn == Ecn::Ce {
                // §3.2.2.2 ACC-6: counted, once; ACC-8: the mark of a SYN is not.
                received.cep += 1;
                syn_ack_counted = true;
            }
        } else if handshake.plain {
            // §3.1.5 ACC-19: who answered cannot know whether the peer understood.
            sender.stop_ect();
        }
        Self {
            received,
            last_field: peer.ecn,
            marks: 0,
            owed_code: is_client.then_some(peer.ecn),
            syn_ack_counted,
            syn_field: peer.ecn,
            is_client,
            syn_acks: if handshake.passive {
                handshake.transmissions
            } else {
                0
            },
            syn_ack_timeouts: 0,
            marks_everything: config.ecn_everywhere,
            option: Options::new(config.accecn_option, is_client),
            sender,
        }
    }

    /// Whether our data is ECN-capable.
    pub(crate) const fn sends_ect(&self) -> bool {
        self.sender.sends_ect()
    }

    /// The pure acknowledgement that feeds back the SYN-ACK's field comes before anything else.
    // RFC 9768 §3.2.2.1 ACC-6.
    pub(crate) const fn owes_code(&self) -> bool {
        self.owed_code.is_some()
    }

    /// The peer's SYN or SYN-ACK again, before the handshake is complete. False when it mixes modes.
    pub(super) fn on_syn_again(&mut self, segment: &Segment) -> bool {
        let code = ace(segment.flags);
        if segment.has(Flags::ACK) {
            return code != 0b001;
        }
        if code == 0b011 {
            return false;
        }
        self.syn_field = segment.ecn;
        if code == 0 {
            self.sender.stop_ect();
        }
        true
    }

    /// The peer's SYN-ACK once more, after the handshake.
    // §3.1.5: its flags are ignored, its field is fed back; §3.2.2.1: with the handshake's code.
    pub(crate) fn on_late_syn_ack(&mut self, segment: &Segment) {
        if !self.is_client {
            return;
        }
        if segment.ecn == Ecn::Ce && !core::mem::replace(&mut self.syn_ack_counted, true) {
            self.received.cep = self.received.cep.wrapping_add(1);
        }
        self.owed_code = Some(segment.ecn);
    }

    /// The SYN-ACK that is sent now is sent because the last one was not answered.
    pub(crate) const fn on_syn_ack_timeout(&mut self) {
        self.syn_ack_timeouts = self.syn_ack_timeouts.saturating_add(1);
    }

    /// The flags of the next SYN-ACK.
    pub(super) fn syn_ack_flags(&mut self) -> Flags {
        if is_syn_ack_plain(self.syn_ack_timeouts) {
            self.sender.stop_ect();
            return Flags::EMPTY;
        }
        syn_ack_code(self.syn_field)
    }

    /// Whether the next SYN-ACK has the option; counts it as sent.
    pub(crate) fn is_option_on_syn_ack(&mut self) -> bool {
        let first = self.syn_acks == 0;
        self.syn_acks = self.syn_acks.saturating_add(1);
        first
    }

    /// An acceptable segment, without SYN, has arrived: counts it. `packets`: it stands for so many; `unacked`: data waits for
    /// an acknowledgement of ours.
    pub(crate) fn on_arrival(
        &mut self,
        field: Ecn,
        packets: u32,
        octets: u32,
        unacked: bool,
    ) -> Due {
        let before = core::mem::replace(&mut self.last_field, field);
        let r = &mut self.received;
        // §3.2 ACC-8: whatever the packet is, its mark counts; octets are payload.
        match field {
            Ecn::NotEct => return Due::Nothing,
            Ecn::Ect0 => r.e0b += u64::from(octets),
            Ecn::Ect1 => r.e1b += u64::from(octets),
            Ecn::Ce => {
                r.cep = r.cep.wrapping_add(packets);
                r.ceb += u64::from(octets);
            }
        }
        if field != Ecn::Ce {
            return Due::Nothing;
        }
        let packets = u8::try_from(packets).unwrap_or(u8::MAX);
        self.marks = self.marks.saturating_add(packets);
        // §3.2.2.5.1 ACC-10: a mark after none is told at once.
        if octets > 0 && before != Ecn::Ce {
            return Due::Now;
        }
        match (octets > 0 || unacked, self.marks) {
            (true, MARKS_WITH_DATA..) => Due::Now,
            (false, MARKS_WITHOUT_DATA..) => Due::Marks,
            _ => Due::Nothing,
        }
    }

    /// The counter, or the handshake's code, on what is sent now. `pure`: with neither data, FIN nor SACK blocks.
    pub(super) fn ack_flags(&mut self, pure: bool) -> Flags {
        self.marks = 0;
        match self.owed_code.take() {
            Some(field) if pure => ace_flags(handshake_code(field)),
            _ => self.counter_flags(),
        }
    }

    /// ACE: §3.2.2.2.
    pub(crate) fn counter_flags(&self) -> Flags {
        ace_flags((self.received.cep & 7) as u8)
    }

    /// ACE looks like CWR.
    pub(super) fn shows_cwr(&self) -> bool {
        self.counter_flags().contains(Flags::CWR)
    }

    /// Our SYN is acknowledged, by an acknowledgement that completes the handshake.
    pub(crate) fn on_handshake_ack(&mut self, segment: &Segment) {
        self.sender.see_option(segment.options.accecn);
        let pure = segment.is_empty() && segment.options.sack.is_empty();
        if !segment.has(Flags::SYN) && pure {
            self.sender.see_time(segment);
            let code = ace(segment.flags);
            // Table 4.
            self.sender.on_handshake_code(code, handshake_field(code));
        }
    }

    /// Whether a segment's ACE is the handshake's code: of the segment that completes it, or later, sent for a SYN-ACK that
    /// came again. `first`: the number of our first octet.
    // §3.2.2.2: "a Server MAY implement a test for such a case".
    pub(crate) fn is_code(&self, segment: &Segment, first: Seq, in_handshake: bool) -> bool {
        !self.is_client
            && segment.is_empty()
            && segment.options.sack.is_empty()
            && (in_handshake || (self.syn_acks > 1 && segment.ack == first))
    }
}

/// Whether a SYN-ACK says nothing of ECN any more, after so many were not answered.
// RFC 9768 §3.2.3.2.2 ACC-14: the second is sent without the option, the third without the flags.
pub(crate) const fn is_syn_ack_plain(timeouts: u8) -> bool {
    timeouts >= 2
}
