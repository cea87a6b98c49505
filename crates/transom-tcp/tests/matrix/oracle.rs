//! What RFC 9293 §3.10.7 says about one segment, written from the RFC's text and from nothing else.
//!
//! The oracle counts in plain integers, relative to the two initial sequence numbers, so that not
//! even the comparison of sequence numbers is shared with the engine. Where the engine is meant
//! to differ from the text there is a [`Deviation`], and the oracle says at the very step which one
//! it follows; a deviation that no cell needs fails the test.

use transom_tcp::{CloseReason, Discard, State};

pub use crate::deviations::{Deviation, Used};

/// A segment, relative to the initial numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seg {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub has_ack: bool,
    pub urg: bool,
    pub seq: i64,
    pub ack: i64,
    /// Octets of text.
    pub text: i64,
    pub wnd: i64,
    pub up: i64,
    pub ts: Option<i64>,
}

impl Seg {
    /// SEG.LEN.
    fn len(&self) -> i64 {
        self.text + i64::from(self.syn) + i64::from(self.fin)
    }

    fn end(&self) -> i64 {
        self.seq + self.len()
    }
}

/// A segment that comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Out {
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    /// Relative to our own number, but as in the segment that it answers for a reset without
    /// connection.
    pub seq: i64,
    pub ack: Option<i64>,
    /// TSecr, with timestamps and without RST.
    pub ecr: Option<i64>,
}

/// What the user learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    State(State, State),
    Connected,
    PeerFinished,
    Closed(CloseReason),
    Urgent,
    Readable,
    Retransmitting,
}

/// The variables of RFC 9293 §3.3.1 and what else decides.
#[derive(Clone, Debug)]
pub struct Model {
    pub state: State,
    /// The connection came from LISTEN.
    pub passive: bool,
    pub una: i64,
    pub nxt: i64,
    /// The number of our FIN.
    pub fin: Option<i64>,
    pub snd_wnd: i64,
    pub wl1: i64,
    pub wl2: i64,
    pub max_wnd: i64,
    pub rnxt: i64,
    /// RCV.NXT + RCV.WND: the furthest edge that was seen on the wire.
    pub edge: i64,
    /// The first octet that the application has not read.
    pub consumed: i64,
    /// TS.Recent.
    pub recent: Option<i64>,
    /// Last.ACK.sent.
    pub last_ack_sent: i64,
    /// TIME-WAIT in its small form, which the stack keeps.
    pub small: bool,
}

/// What is expected of one cell.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub out: Vec<Out>,
    pub signals: Vec<Signal>,
    pub discard: Option<Discard>,
    /// 2 MSL begins anew.
    pub restarted: bool,
}

impl Model {
    fn ack(&self) -> Out {
        Out {
            syn: false,
            fin: false,
            rst: false,
            seq: self.nxt,
            ack: Some(self.rnxt),
            ecr: self.recent,
        }
    }

    fn syn_ack(&self) -> Out {
        Out {
            syn: true,
            seq: 0,
            ..self.ack()
        }
    }

    fn enter(&mut self, outcome: &mut Outcome, state: State) {
        outcome.signals.push(Signal::State(self.state, state));
        self.state = state;
    }

    fn end(&mut self, outcome: &mut Outcome, reason: CloseReason) {
        self.enter(outcome, State::Closed);
        outcome.signals.push(Signal::Closed(reason));
    }
}

/// `<SEQ=SEG.ACK><CTL=RST>`
fn reset(seq: i64) -> Out {
    Out {
        syn: false,
        fin: false,
        rst: true,
        seq,
        ack: None,
        ecr: None,
    }
}

impl Outcome {
    fn drop(mut self, discard: Discard) -> Self {
        self.discard = Some(discard);
        self
    }

    fn answer(mut self, out: Out, discard: Discard) -> Self {
        self.out.push(out);
        self.drop(discard)
    }
}

/// §3.10.7.1. `raw_zero`: how the number 0 looks among ours, which are relative.
pub fn closed(seg: &Seg, raw_zero: i64, discard: Option<Discard>) -> Outcome {
    let outcome = Outcome::default();
    if seg.rst {
        return outcome.drop(discard.unwrap_or(Discard::ResetWithoutConnection));
    }
    let out = if seg.has_ack {
        reset(seg.ack)
    } else {
        Out {
            ack: Some(seg.end()),
            ..reset(raw_zero)
        }
    };
    Outcome {
        out: vec![out],
        discard,
        ..outcome
    }
}

/// §3.10.7.2. With a SYN the model becomes that of the new connection.
pub fn listen(m: &mut Model, seg: &Seg, used: &mut Used) -> Outcome {
    let mut outcome = Outcome::default();
    if seg.rst {
        return outcome.drop(Discard::ResetWithoutConnection);
    }
    if seg.has_ack {
        return outcome.answer(reset(seg.ack), Discard::ListenUnexpectedAck);
    }
    if !seg.syn {
        return outcome.drop(Discard::ListenWithoutSyn);
    }
    if seg.fin {
        used.insert(Deviation::SynWithFinDropped);
        return outcome.drop(Discard::SynWithFin);
    }
    if seg.text > 0 {
        used.insert(Deviation::TextWithSynLeft);
    }
    (m.una, m.nxt) = (0, 1);
    m.rnxt = seg.seq + 1;
    m.recent = m.recent.and(seg.ts);
    m.snd_wnd = seg.wnd;
    m.enter(&mut outcome, State::SynReceived);
    outcome.out.push(m.syn_ack());
    outcome
}

/// §3.10.7.3.
pub fn syn_sent(m: &mut Model, seg: &Seg, used: &mut Used) -> Outcome {
    let mut outcome = Outcome::default();
    if seg.has_ack && (seg.ack <= 0 || seg.ack > m.nxt) {
        let discard = Discard::SynSentUnacceptableAck;
        if seg.rst {
            return outcome.drop(discard);
        }
        used.insert(Deviation::SynAfterReset);
        outcome.out.push(reset(seg.ack));
        outcome.out.push(Out {
            syn: true,
            rst: false,
            ..reset(0)
        });
        return outcome.drop(discard);
    }
    if seg.rst {
        used.insert(Deviation::ResetInSynSentByAck);
        if !seg.has_ack {
            return outcome.drop(Discard::SynSentBlindReset);
        }
        m.end(&mut outcome, CloseReason::Refused);
        return outcome;
    }
    if !seg.syn {
        return outcome.drop(Discard::SynSentWithoutSyn);
    }
    m.rnxt = seg.seq + 1;
    m.edge += seg.seq;
    m.consumed = m.rnxt;
    m.recent = m.recent.and(seg.ts);
    m.snd_wnd = seg.wnd;
    (m.wl1, m.wl2) = (seg.seq, seg.ack);
    if !seg.has_ack {
        if seg.text > 0 || seg.fin {
            used.insert(Deviation::TextWithSynLeft);
        }
        m.enter(&mut outcome, State::SynReceived);
        outcome.out.push(m.syn_ack());
        return outcome;
    }
    m.una = seg.ack;
    m.enter(&mut outcome, State::Established);
    outcome.signals.push(Signal::Connected);
    let arrival = Arrival::trimmed(m, seg, used);
    sixth_to_eighth(m, seg, &arrival, outcome, true, used)
}

/// What is left of a segment when what lies outside the window is cut off.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    seq: i64,
    text: i64,
    fin: bool,
    /// Something was cut off on the right.
    cut: bool,
}

impl Arrival {
    /// "trimming off any portions that lie outside the window (including SYN and FIN)"
    fn trimmed(m: &Model, seg: &Seg, used: &mut Used) -> Self {
        let start = seg.seq + i64::from(seg.syn);
        let end = start + seg.text;
        let right = end.min(m.edge);
        let left = start.max(m.rnxt).min(right.max(start));
        let cut = end > m.edge;
        if seg.fin && end == m.edge {
            used.insert(Deviation::FinNeedsNoRoom);
        }
        Self {
            seq: left,
            text: (right - left).max(0),
            fin: seg.fin && !cut,
            cut,
        }
    }
}

/// Table 6.
fn is_acceptable(m: &Model, seg: &Seg) -> bool {
    let window = m.edge - m.rnxt;
    let inside = |seq: i64| m.rnxt <= seq && seq < m.rnxt + window;
    match (seg.len(), window) {
        (0, 0) => seg.seq == m.rnxt,
        (0, _) => inside(seg.seq),
        (_, 0) => false,
        (len, _) => inside(seg.seq) || inside(seg.seq + len - 1),
    }
}

/// What Table 6 leaves out.
fn covers(m: &Model, seg: &Seg, used: &mut Used) -> bool {
    let covers = m.edge > m.rnxt && seg.seq < m.rnxt && seg.end() > m.edge;
    if covers {
        used.insert(Deviation::CoveringSegmentTaken);
    }
    covers
}

/// What Table 6 leaves out, too: all that is said by one who has filled the window.
fn at_the_right_edge(m: &Model, seg: &Seg, used: &mut Used) -> bool {
    // The small form has nothing more to hear.
    let at_it = !m.small && m.edge > m.rnxt && seg.len() == 0 && seg.seq == m.edge;
    if at_it {
        used.insert(Deviation::AckAtTheRightEdgeTaken);
    }
    at_it
}

/// §3.10.7.4.
pub fn other_states(m: &mut Model, seg: &Seg, used: &mut Used) -> Outcome {
    if !m.small {
        return eight_steps(m, seg, used);
    }
    if let Some(outcome) = time_wait_syn(m, seg) {
        return outcome;
    }
    let mut outcome = eight_steps(m, seg, used);
    // The small form keeps no more reasons apart than these.
    outcome.discard = Some(match outcome.discard {
        _ if seg.rst => Discard::ResetInTimeWait,
        _ if seg.syn => Discard::SynChallenged,
        Some(Discard::OldDuplicate) if outcome.restarted => Discard::OldDuplicate,
        Some(discard @ (Discard::TimestampMissing | Discard::AckMissing)) => discard,
        _ => Discard::TimeWaitOldSegment,
    });
    outcome
}

fn eight_steps(m: &mut Model, seg: &Seg, used: &mut Used) -> Outcome {
    let mut outcome = Outcome::default();
    // RFC 7323 §5.3 R1 and §3.2.
    if let Some(recent) = m.recent
        && !seg.rst
    {
        match seg.ts {
            None if seg.syn => {
                used.insert(Deviation::SynWithoutTimestampChallenged);
            }
            None => return outcome.drop(Discard::TimestampMissing),
            Some(value) if value < recent => {
                return outcome.answer(m.ack(), Discard::PawsRejected);
            }
            Some(_) => {}
        }
    }
    // First.
    let window = m.edge - m.rnxt;
    let own_syn = m.state == State::SynReceived && seg.syn && !seg.rst && seg.seq == 0;
    let mut answered = false;
    let arrival = if seg.rst {
        let inside = m.rnxt <= seg.seq && seg.seq < m.rnxt + window.max(1);
        if !inside {
            return outcome.drop(Discard::ResetOutOfWindow);
        }
        Arrival::trimmed(m, seg, used)
    } else if own_syn && !seg.has_ack {
        used.insert(Deviation::SynAgainAnswered);
        return outcome.answer(m.syn_ack(), Discard::SynRetransmitted);
    } else if own_syn && !m.passive {
        used.insert(Deviation::SimultaneousSynAckTaken);
        Arrival::trimmed(m, seg, used)
    } else if seg.syn {
        // RFC 5961 §4.2: irrespective of the sequence number.
        if m.state == State::SynReceived && m.passive && is_acceptable(m, seg) {
            used.insert(Deviation::SynInSynReceivedChallenged);
        }
        if m.state == State::TimeWait && !m.small && !seg.has_ack {
            used.insert(Deviation::TimeWaitHeld);
        }
        return outcome.answer(m.ack(), Discard::SynChallenged);
    } else if is_acceptable(m, seg) || covers(m, seg, used) || at_the_right_edge(m, seg, used) {
        Arrival::trimmed(m, seg, used)
    } else if window == 0 && seg.seq == m.rnxt {
        // "special allowance should be made to accept valid ACKs, URGs, and RSTs"; the answer is
        // owed all the same.
        answered = true;
        Arrival {
            cut: seg.text > 0,
            ..Arrival::trimmed(m, seg, used)
        }
    } else {
        return unacceptable(m, seg, outcome, used);
    };
    // Second.
    if seg.rst {
        return second(m, seg, outcome, used);
    }
    // Fifth.
    let owed = |mut outcome: Outcome, m: &Model| {
        if answered {
            outcome.out.push(m.ack());
        }
        outcome
    };
    if !seg.has_ack {
        return owed(outcome, m).drop(Discard::AckMissing);
    }
    if m.state == State::SynReceived {
        if seg.ack <= m.una || seg.ack > m.nxt {
            used.insert(Deviation::UnacceptableAckReset);
            return outcome.answer(reset(seg.ack), Discard::SynReceivedUnacceptableAck);
        }
    } else if seg.ack > m.nxt || seg.ack < m.una - m.max_wnd {
        if seg
            .ts
            .is_some_and(|value| m.recent.is_some_and(|recent| value > recent))
        {
            used.insert(Deviation::TsRecentAfterAck);
        }
        let discard = if seg.ack > m.nxt {
            Discard::AckOfUnsentData
        } else {
            Discard::AckTooOld
        };
        return outcome.answer(m.ack(), discard);
    }
    take_timestamp(m, seg, used);
    take_ack(m, seg, &mut outcome, used);
    if m.state == State::Closed {
        return outcome;
    }
    sixth_to_eighth(m, seg, &arrival, outcome, answered, used)
}

/// RFC 7323 §5.3 R3.
fn take_timestamp(m: &mut Model, seg: &Seg, used: &mut Used) {
    if m.small {
        used.insert(Deviation::TsRecentStaysInTimeWait);
    } else if let (Some(recent), Some(value)) = (m.recent, seg.ts)
        && value >= recent
        && seg.seq <= m.last_ack_sent
    {
        m.recent = Some(value);
    }
}

/// First, the end of it: "send an acknowledgment … and drop".
fn unacceptable(m: &mut Model, seg: &Seg, mut outcome: Outcome, used: &mut Used) -> Outcome {
    let was = m.state;
    let is_old = seg.end() <= m.rnxt;
    let at_the_edge = is_old && seg.end() >= m.rnxt - 1;
    if at_the_edge
        && seg.has_ack
        && m.state != State::SynReceived
        && (m.una..=m.nxt).contains(&seg.ack)
    {
        used.insert(Deviation::AckAtTheEdgeCounts);
        take_ack(m, seg, &mut outcome, used);
        if m.state == State::Closed {
            return outcome.drop(old_name(m, seg));
        }
    }
    outcome.restarted = seg.fin && is_old && was == State::TimeWait;
    if m.small {
        outcome.restarted = seg.fin && seg.end() == m.rnxt;
    }
    outcome.answer(m.ack(), old_name(m, seg))
}

/// The names of what is left of the window, or right of it.
fn old_name(m: &Model, seg: &Seg) -> Discard {
    if seg.end() > m.rnxt || seg.seq > m.rnxt {
        return Discard::OutOfWindow;
    }
    let probe = seg.seq == m.rnxt - 1 && !seg.fin && seg.text <= 1;
    match seg.len() {
        _ if probe => Discard::KeepAliveProbe,
        0 => Discard::StaleAck,
        _ => Discard::OldDuplicate,
    }
}

/// Second: RST, inside the window.
fn second(m: &mut Model, seg: &Seg, mut outcome: Outcome, used: &mut Used) -> Outcome {
    if m.state == State::TimeWait {
        used.insert(Deviation::ResetInTimeWaitIgnored);
        return outcome.drop(Discard::ResetInTimeWait);
    }
    if seg.seq != m.rnxt {
        return outcome.answer(m.ack(), Discard::ResetChallenged);
    }
    let reason = match m.state {
        State::SynReceived if !m.passive => CloseReason::Refused,
        // No text of ours was lost unless some is outstanding besides the FIN.
        State::Closing | State::LastAck if m.fin == Some(m.una) => CloseReason::Normal,
        _ => CloseReason::ResetByPeer,
    };
    m.end(&mut outcome, reason);
    outcome
}

/// Fifth, with an acceptable ACK.
fn take_ack(m: &mut Model, seg: &Seg, outcome: &mut Outcome, used: &mut Used) {
    if m.state == State::SynReceived {
        m.una = seg.ack;
        m.snd_wnd = seg.wnd;
        (m.wl1, m.wl2) = (seg.seq, seg.ack);
        m.enter(outcome, State::Established);
        outcome.signals.push(Signal::Connected);
        return;
    }
    let advances = seg.ack > m.una;
    m.una = m.una.max(seg.ack);
    let newer = m.wl1 < seg.seq || m.wl1 == seg.seq && m.wl2 <= seg.ack;
    if advances && !newer {
        used.insert(Deviation::WindowOfNewAckTaken);
    }
    if seg.ack >= m.una && (newer || advances) {
        m.snd_wnd = seg.wnd;
        (m.wl1, m.wl2) = (seg.seq, seg.ack);
    }
    let fin_acked = m.fin.is_some_and(|fin| m.una > fin);
    match m.state {
        State::FinWait1 if fin_acked => m.enter(outcome, State::FinWait2),
        State::Closing if fin_acked => m.enter(outcome, State::TimeWait),
        State::LastAck if fin_acked => m.end(outcome, CloseReason::Normal),
        _ => {}
    }
}

/// Sixth, seventh and eighth. `owed`: an acknowledgement is due whatever follows.
fn sixth_to_eighth(
    m: &mut Model,
    seg: &Seg,
    arrival: &Arrival,
    mut outcome: Outcome,
    mut owed: bool,
    used: &mut Used,
) -> Outcome {
    let receives = matches!(
        m.state,
        State::Established | State::FinWait1 | State::FinWait2
    );
    let mut last = Vec::new();
    if seg.urg && receives && seg.seq + seg.up > m.consumed {
        last.push(Signal::Urgent);
    }
    if arrival.text > 0 && !receives {
        used.insert(Deviation::TextAfterFinAnswered);
        outcome.signals.extend(last);
        return outcome.answer(m.ack(), Discard::DataAfterFin);
    }
    if arrival.text > 0 {
        // In order at once or within 500 ms, out of order at once.
        owed = true;
        if arrival.seq == m.rnxt {
            m.rnxt += arrival.text;
            last.push(Signal::Readable);
        }
    }
    if arrival.cut && arrival.text == 0 {
        outcome.discard = Some(Discard::ZeroWindow);
    }
    if arrival.fin && !receives {
        used.insert(Deviation::SecondFinIgnored);
        owed = true;
        outcome.discard = Some(Discard::DataAfterFin);
    }
    if arrival.fin && receives {
        owed = true;
        if arrival.seq + arrival.text == m.rnxt {
            m.rnxt += 1;
            outcome.signals.push(Signal::PeerFinished);
            let next = match m.state {
                State::Established => State::CloseWait,
                State::FinWait1 => State::Closing,
                _ => State::TimeWait,
            };
            m.enter(&mut outcome, next);
        }
    }
    if owed {
        outcome.out.push(m.ack());
    }
    outcome.signals.extend(last);
    outcome
}

/// RFC 6191 §2, for a SYN alone.
fn time_wait_syn(m: &mut Model, seg: &Seg) -> Option<Outcome> {
    if !seg.syn || seg.has_ack || seg.rst {
        return None;
    }
    let later = seg.seq >= m.rnxt;
    let acceptable = match (m.recent, seg.ts) {
        (Some(recent), Some(value)) => value > recent || value == recent && later,
        (None, Some(_)) => true,
        (_, None) => later,
    };
    if acceptable {
        // The stack hands the segment to the listener.
        m.state = State::SynReceived;
        return Some(Outcome::default());
    }
    Some(Outcome::default().drop(Discard::TimeWaitOldSyn))
}
