//! What the data sender makes of accurate feedback (RFC 9768 §3.2.2.2 to §3.2.2.5, §3.2.3.1, appendix A).

use transom_wire::tcp::AccEcn;
use transom_wire::{Ecn, Seq};

use super::accurate::{Accurate, Counters};
use super::negotiation::{ace, handshake_field};
use crate::segment::Segment;

/// ACE counts modulo this.
const ACE_MODULUS: u32 = 8;
/// Counters in the option count modulo this.
const OPTION_MODULUS: u64 = 1 << 24;
/// A moving average of the packets that an acknowledgement covers moves by one part in so many.
const AVERAGE_SHIFT: u32 = 6;
/// With more than so many on average, acknowledgements are thinned on the way, and one that covers many tells nothing.
const THINNED: u32 = 4;
/// An acknowledgement of fewer packets cannot have turned the counter from its start to zero.
const NOT_YET_ZERO: u32 = 3;

/// What is known of the options that the peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Incoming {
    /// Not looked for yet.
    Unknown,
    /// They come.
    Available,
    /// They do not.
    Absent,
    /// They come zeroed.
    Ignored,
}

/// What an acknowledgement says of marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Heard {
    /// Packets newly known to have been marked, and heeded.
    pub(crate) packets: u32,
}

/// What accurate feedback has counted, both ways (RFC 9768 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct AccurateInfo {
    /// Packets of ours that arrived marked, as far as the peer has told.
    pub delivered_ce: u32,
    /// Octets of our data that arrived marked, as far as the peer's options have told.
    pub delivered_ce_bytes: u64,
    /// The same as ECT(0).
    pub delivered_ect0_bytes: u64,
    /// The same as ECT(1).
    pub delivered_ect1_bytes: u64,
    /// Packets that arrived here marked.
    pub received_ce: u32,
    /// Octets of data that arrived here marked.
    pub received_ce_bytes: u64,
    /// The same as ECT(0).
    pub received_ect0_bytes: u64,
    /// The same as ECT(1).
    pub received_ect1_bytes: u64,
    /// The peer's options arrive and make sense.
    pub options: bool,
}

/// The data sender's half.
#[derive(Debug)]
pub(super) struct Sender {
    /// The `s` counters.
    heard: Counters,
    sends_ect: bool,
    /// Marks are answered.
    heeds: bool,
    incoming: Incoming,
    /// Feedback has come since the handshake.
    has_feedback: bool,
    /// A mark of our SYN or SYN-ACK was fed back, and is not answered yet.
    handshake_mark: bool,
    /// The latest TSval.
    ts_val: Option<u32>,
    /// The moving average, shifted by `AVERAGE_SHIFT`.
    average: u32,
    /// Marks counted since the last option, and whether none can have been missed.
    since_option: u32,
    is_sure: bool,
}

impl Sender {
    pub(super) fn new(peer: &Segment) -> Self {
        Self {
            heard: Counters::START,
            sends_ect: true,
            heeds: true,
            incoming: Incoming::Unknown,
            has_feedback: false,
            handshake_mark: false,
            ts_val: peer.options.timestamps.map(|ts| ts.val),
            average: 0,
            since_option: 0,
            is_sure: true,
        }
    }

    pub(super) const fn sends_ect(&self) -> bool {
        self.sends_ect
    }

    /// The peer sends options.
    pub(super) const fn sees_options(&self) -> bool {
        matches!(self.incoming, Incoming::Available | Incoming::Ignored)
    }

    pub(super) const fn stop_ect(&mut self) {
        self.sends_ect = false;
    }

    /// What the SYN-ACK says of our SYN, which went out as not-ECT.
    // §3.2.2.2: "MUST NOT increment s.cep"; the mark is answered all the same.
    pub(super) fn on_syn_ack(&mut self, code: u8, syn_ack: &Segment) {
        self.compare(handshake_field(code));
        self.see_option(syn_ack.options.accecn);
    }

    /// §3.2.2.3: the field that our SYN or SYN-ACK arrived with, where that is said. It was not-ECT; anything else was
    /// put there, and what is put there means nothing.
    fn compare(&mut self, field: Option<Ecn>) {
        if field.is_some_and(|field| field != Ecn::NotEct) {
            self.sends_ect = false;
        }
        self.handshake_mark |= field == Some(Ecn::Ce);
    }

    /// Table 4: what the acknowledgement of our SYN-ACK says.
    pub(super) fn on_handshake_code(&mut self, code: u8, field: Option<Ecn>) {
        if code == 0 {
            // ACC-7: the peer does not feed back; go on feeding back to it.
            self.sends_ect = false;
            self.heeds = false;
        }
        self.compare(field);
        if field == Some(Ecn::Ce) {
            self.heard.cep += 1;
        }
    }

    /// §3.2.3.2.3, §3.2.3.2.4: the first segment that can have an option says whether any come.
    pub(super) fn see_option(&mut self, option: Option<AccEcn>) {
        self.incoming = match (self.incoming, option) {
            (Incoming::Ignored, _) => Incoming::Ignored,
            // ACC-18: only zero is tested for.
            (Incoming::Unknown, Some(option))
                if option.e0b() == Some(0) || option.e1b() == Some(0) =>
            {
                Incoming::Ignored
            }
            (_, Some(_)) => Incoming::Available,
            (Incoming::Unknown, None) => Incoming::Absent,
            (known, None) => known,
        };
    }

    /// The clock of a segment that tells no count.
    pub(super) fn see_time(&mut self, segment: &Segment) {
        if let Some(timestamps) = segment.options.timestamps {
            self.ts_val = Some(timestamps.val);
        }
    }

    /// Whether the acknowledgement is newer than those before: appendix A.1.
    fn is_newer(&mut self, segment: &Segment, delivered: u32) -> bool {
        let Some(timestamps) = segment.options.timestamps else {
            return delivered > 0;
        };
        let (val, latest) = (Seq::new(timestamps.val), self.ts_val.map(Seq::new));
        if latest.is_some_and(|latest| val.lt(latest)) {
            return false;
        }
        let new_time = latest != Some(val);
        self.ts_val = Some(timestamps.val);
        delivered > 0 || new_time
    }

    /// Takes over the option's counters; gives the octets newly known to have been marked, if it says.
    fn take_option(&mut self, option: Option<AccEcn>) -> Option<u64> {
        self.see_option(option);
        let option = option.filter(|_| self.incoming == Incoming::Available)?;
        let take = |known: &mut u64, field: Option<u32>| {
            let field = field?;
            // §3.2.3.1: the least that makes sense. Half of the range would be a step back, by an older option.
            let more = u64::from(field).wrapping_sub(*known) % OPTION_MODULUS;
            let more = if more < OPTION_MODULUS / 2 { more } else { 0 };
            *known += more;
            Some(more)
        };
        take(&mut self.heard.e0b, option.e0b());
        take(&mut self.heard.e1b, option.e1b());
        // What is left out has not changed.
        take(&mut self.heard.ceb, option.ceb()).or(Some(0))
    }

    /// How many packets were marked: §3.2.2.5.2, ACC-16.
    fn marked(&self, ace: u8, packets: u32, octets: Option<u64>, mss: u32) -> u32 {
        let least = u32::from(ace).wrapping_sub(self.heard.cep) % ACE_MODULUS;
        if packets < ACE_MODULUS && (self.is_sure || octets.is_none()) {
            return least;
        }
        if let Some(octets) = octets {
            // §3.2.3.2.5: reconciled with the counter. Appendix A.2.2 asks whether the octets fit the least; here is
            // asked which count fits them, all since the last option taken together.
            let needed = u32::try_from(octets.div_ceil(u64::from(mss))).unwrap_or(u32::MAX);
            let missing = needed.saturating_sub(self.since_option.saturating_add(least));
            let wraps = missing.div_ceil(ACE_MODULUS);
            return least.saturating_add(wraps.saturating_mul(ACE_MODULUS));
        }
        if self.average > THINNED << AVERAGE_SHIFT {
            // Appendix A.2.1: "only … if the moving average of newlyAckedPkt was well below 8".
            return least;
        }
        packets - (packets - least) % ACE_MODULUS
    }

    fn average_in(&mut self, packets: u32) {
        let sample = packets << AVERAGE_SHIFT;
        if self.average == 0 {
            self.average = sample;
        } else {
            self.average = self.average - (self.average >> AVERAGE_SHIFT) + packets;
        }
    }
}

impl Accurate {
    /// An acknowledgement without SYN that is no handshake's code. `delivered`: octets newly known to have arrived.
    pub(crate) fn on_feedback(&mut self, segment: &Segment, delivered: u32, mss: u32) -> Heard {
        let mss = mss.max(1);
        let sender = &mut self.sender;
        if !sender.is_newer(segment, delivered) {
            return Heard::default();
        }
        let octets = sender.take_option(segment.options.accecn);
        let packets = delivered.div_ceil(mss).min(1 << 20);
        if packets > 0 {
            sender.average_in(packets);
        }
        let code = ace(segment.flags);
        let is_first = !core::mem::replace(&mut sender.has_feedback, true);
        if is_first && code == 0 && packets < NOT_YET_ZERO && octets.unwrap_or(0) == 0 {
            // §3.2.2.4: it cannot be zero yet; somebody clears the flags.
            sender.sends_ect = false;
            sender.heeds = false;
        }
        let marked = sender.marked(code, packets, octets, mss);
        sender.heard.cep = sender.heard.cep.wrapping_add(marked);
        sender.since_option = sender.since_option.saturating_add(marked);
        sender.is_sure &= packets < ACE_MODULUS;
        if let Some(octets) = octets {
            if octets > 0 && sender.since_option == 0 && sender.is_sure {
                // §3.2.3.2.5 ACC-17: marked octets without a marked packet.
                sender.sends_ect = false;
            }
            sender.since_option = 0;
            sender.is_sure = true;
        }
        Heard {
            packets: if sender.heeds { marked } else { 0 },
        }
    }

    /// Whether the handshake fed back a mark that has not been answered.
    pub(crate) fn take_handshake_mark(&mut self) -> bool {
        core::mem::take(&mut self.sender.handshake_mark) && self.sender.heeds
    }

    /// The counters, for people.
    pub(crate) fn info(&self) -> AccurateInfo {
        let (s, r, start) = (self.sender.heard, self.received, Counters::START);
        AccurateInfo {
            delivered_ce: s.cep.wrapping_sub(start.cep),
            delivered_ce_bytes: s.ceb,
            delivered_ect0_bytes: s.e0b - start.e0b,
            delivered_ect1_bytes: s.e1b - start.e1b,
            received_ce: r.cep.wrapping_sub(start.cep),
            received_ce_bytes: r.ceb,
            received_ect0_bytes: r.e0b - start.e0b,
            received_ect1_bytes: r.e1b - start.e1b,
            options: self.sender.incoming == Incoming::Available,
        }
    }
}
