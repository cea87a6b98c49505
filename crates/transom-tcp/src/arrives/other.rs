//! SEGMENT ARRIVES in the other states (RFC 9293 §3.10.7.4): eight steps, in the RFC's order, each
//! of which may end the processing with a named reason.
//!
//! Nothing here sends. Each step marks what is owed; `transmit.rs` sends it.

use transom_wire::tcp::Flags;
use transom_wire::{Seq, SeqRange};

use super::arrival::Arrival;
use super::closed::bare_reset;
use crate::discard::Discard;
use crate::env::Env;
use crate::event::{CloseReason, Event};
use crate::recv::Reader;
use crate::segment::Segment;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;

/// The eight steps.
pub(crate) fn segment_arrives(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    segment: &mut Segment,
) -> Result<(), Discard> {
    before_the_first_timestamps(tcb, env, now, segment)?;
    let mut arrival = Arrival::new(segment);
    first_sequence_number(tcb, env, now, &mut arrival)?;
    second_rst(tcb, env, now, arrival.segment)?;
    // Third, security: RFC 9293 knows the IPv4 security option; nothing that we speak to uses it.
    fourth_syn(tcb, env, now, arrival.segment)?;
    fifth_ack(tcb, env, now, arrival.segment)?;
    tcb.count_marks(&arrival);
    sixth_urg(tcb, env, arrival.segment);
    seventh_text(tcb, env, now, &mut arrival)?;
    eighth_fin(tcb, env, now, &arrival)
}

/// Steps six to eight, for a SYN-ACK that carries more than the handshake (RFC 9293 §3.10.7.3).
pub(crate) fn after_the_handshake(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    arrival: &mut Arrival<'_>,
) -> Result<(), Discard> {
    arrival.trim_right(tcb.rcv.acceptable_end(tcb.negotiated.rcv_shift()));
    sixth_urg(tcb, env, arrival.segment);
    seventh_text(tcb, env, now, arrival)?;
    eighth_fin(tcb, env, now, arrival)
}

/// PAWS comes before everything else (RFC 7323 §5.3 R1, PAWS-3).
fn before_the_first_timestamps(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    segment: &Segment,
) -> Result<(), Discard> {
    // RFC 7323 §5.2 PAWS-2: a reset is never rejected for its timestamp.
    if !tcb.negotiated.timestamps || segment.has(Flags::RST) {
        return Ok(());
    }
    match segment.options.timestamps {
        // RFC 7323 §3.2 TS-3: dropped without an answer. A SYN of the handshake may come from a
        // peer that has forgotten the connection, and is challenged below.
        None if !segment.has(Flags::SYN) => Err(Discard::TimestampMissing),
        Some(timestamps) if tcb.rcv.is_old_timestamp(timestamps.val, now) => {
            // PAWS-1: acknowledged. Bare acknowledgements are reordered often; only they are
            // throttled, so that a peer that resends data learns at once that it has arrived.
            if segment.is_empty() || segment.has(Flags::SYN) {
                env.request_challenge(now);
            } else {
                tcb.rcv.ack_now();
            }
            Err(Discard::PawsRejected)
        }
        _ => Ok(()),
    }
}

/// First: is any part of the segment inside the window?
fn first_sequence_number(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    arrival: &mut Arrival<'_>,
) -> Result<(), Discard> {
    let segment = &*arrival.segment;
    let (nxt, wnd) = (tcb.rcv.nxt(), tcb.rcv.wnd());
    if segment.has(Flags::RST) {
        // RFC 5961 §3.2: looked at in the second step, when inside the window. With a closed window
        // RCV.NXT itself still counts (RFC 9293 §3.4 MUST-66).
        let inside = segment.seq.in_window(nxt, wnd.max(1));
        return if inside {
            Ok(())
        } else {
            Err(Discard::ResetOutOfWindow)
        };
    }
    if is_peers_own_syn(tcb, segment) {
        return peers_own_syn(tcb, env, now, arrival);
    }
    let (seq, len) = (segment.seq, segment.len());
    let acceptable = match (len, wnd) {
        (0, 0) => seq == nxt,
        // Its sender may have filled the window, and all that it says begins at the edge. Were it not heard, two sides that
        // have both done so, and lost something on the way, would never hear that what they sent again has arrived.
        (0, _) => seq.in_window(nxt, wnd) || seq == nxt + wnd,
        (_, 0) => false,
        _ => {
            seq.in_window(nxt, wnd)
                || (segment.end() - 1).in_window(nxt, wnd)
                || covers(segment, nxt)
        }
    };
    if acceptable {
        arrival.trim_right(tcb.rcv.acceptable_end(tcb.negotiated.rcv_shift()));
        if arrival.seq.lt(nxt) && !tcb.rcv.fin_received && arrival.segment.has(Flags::ACK) {
            note_duplicate(tcb, arrival, nxt);
        }
        arrival.trim_left(nxt);
        return Ok(());
    }
    if wnd == 0 && seq == nxt {
        return at_a_closed_window(tcb, arrival);
    }
    unacceptable(tcb, env, now, arrival.segment)
}

/// The segment begins before the window and ends behind it.
fn covers(segment: &Segment, nxt: Seq) -> bool {
    segment.seq.lt(nxt) && segment.end().gt(nxt)
}

/// RFC 2883 §4: what is cut off on the left was a duplicate, and the next acknowledgement says so.
fn note_duplicate(tcb: &mut Tcb, arrival: &Arrival<'_>, nxt: Seq) {
    let range = SeqRange {
        start: arrival.seq,
        end: arrival.payload_end().min(nxt),
    };
    if !range.is_empty() && tcb.negotiated.sack {
        tcb.rcv.queue.note_duplicate(range);
    }
}

/// SYN-RECEIVED: the peer's SYN once more, alone, or with the acknowledgement of ours where both sides
/// may have sent SYN. Who connected to a listener has no SYN-ACK to send.
fn is_peers_own_syn(tcb: &Tcb, segment: &Segment) -> bool {
    let may_acknowledge = tcb
        .handshake
        .as_ref()
        .is_some_and(|handshake| !handshake.passive);
    tcb.phase == Phase::SynReceived
        && segment.has(Flags::SYN)
        && segment.seq == tcb.rcv.irs
        && (may_acknowledge || !segment.has(Flags::ACK))
}

/// What it brings about.
fn peers_own_syn(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    arrival: &mut Arrival<'_>,
) -> Result<(), Discard> {
    if let Some(handshake) = &tcb.handshake
        && !tcb
            .ecn
            .on_syn_again(&env.config, handshake, arrival.segment)
    {
        // RFC 9768 §3.1.5 ACC-4.
        tcb.end_with_reset(env, now, CloseReason::Aborted);
        return Err(Discard::EcnModesMixed);
    }
    if arrival.segment.has(Flags::ACK) {
        // A simultaneous open (RFC 9293 Figure 7). Read literally, step 1 would reject this
        // SYN-ACK, because its sequence number lies left of the window (EV-SO-2).
        arrival.trim_right(tcb.rcv.acceptable_end(tcb.negotiated.rcv_shift()));
        return Ok(());
    }
    if let Some(handshake) = &mut tcb.handshake {
        handshake.syn_ack_owed = true;
    }
    Err(Discard::SynRetransmitted)
}

/// RCV.WND is 0 and the segment starts at RCV.NXT: a window probe, or a FIN.
fn at_a_closed_window(tcb: &mut Tcb, arrival: &mut Arrival<'_>) -> Result<(), Discard> {
    // RFC 9293 §3.10.7.4: no text is taken in, but ACK and URG are looked at (MUST-66), and
    // ZWP-9: a probe is answered at once.
    tcb.rcv.ack_now();
    if arrival.payload_len() > 0 {
        arrival.cut_payload();
    }
    Ok(())
}

/// The SYN-ACK that completed the handshake, once more.
fn is_syn_ack_again(tcb: &Tcb, segment: &Segment) -> bool {
    segment.has(Flags::ACK) && segment.seq == tcb.rcv.irs && segment.ack == tcb.snd.iss + 1
}

/// RFC 9293 §3.10.7.4: "send an acknowledgment … and drop".
fn unacceptable(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    segment: &Segment,
) -> Result<(), Discard> {
    let nxt = tcb.rcv.nxt();
    let end = segment.end();
    // Only as far back as the peer could have sent.
    let is_old = end.le(nxt) && nxt.since(segment.seq) <= 1 << 30;
    if segment.has(Flags::SYN) {
        let is_answered = env.request_challenge(now);
        if is_answered
            && is_syn_ack_again(tcb, segment)
            && let Some(accurate) = &mut tcb.ecn.accurate
        {
            accurate.on_late_syn_ack(segment);
        }
        return Err(Discard::SynChallenged);
    }
    // EV-Q-10: the acknowledgement of a segment at the left edge counts, so that two sides that
    // probe each other's closed window do not wait for ever.
    let at_the_edge = is_old && end.ge(nxt - 1);
    if at_the_edge && segment.has(Flags::ACK) {
        take_acknowledgement(tcb, env, now, segment);
    }
    if !is_old {
        env.request_challenge(now);
        return Err(Discard::OutOfWindow);
    }
    if segment.has(Flags::FIN) && tcb.phase == Phase::TimeWait {
        // RFC 9293 §3.10.7.4, eighth: acknowledge and restart 2 MSL. A repeated FIN lies left of
        // the window, so this is the only place that sees it (EV-T-19).
        tcb.restart_time_wait(env, now);
    }
    if segment.is_empty() {
        // A keep-alive without data, or an old acknowledgement.
        env.request_challenge(now);
        let probe = segment.seq == nxt - 1;
        return Err(if probe {
            Discard::KeepAliveProbe
        } else {
            Discard::StaleAck
        });
    }
    if tcb.negotiated.sack && segment.payload_len() > 0 {
        let start = segment.seq;
        let range = SeqRange {
            start,
            end: start + segment.payload_len(),
        };
        tcb.rcv.queue.note_duplicate(range);
    }
    tcb.rcv.ack_now();
    if let Some(accurate) = &mut tcb.ecn.accurate
        && segment.payload_len() > 1
    {
        accurate.on_data(Some(segment.seq));
    }
    let probe = segment.len() == 1 && segment.seq == nxt - 1 && segment.payload_len() == 1;
    Err(if probe {
        Discard::KeepAliveProbe
    } else {
        Discard::OldDuplicate
    })
}

/// Takes the acknowledgement of a segment whose text is not taken.
fn take_acknowledgement(tcb: &mut Tcb, env: &mut Env, now: Instant, segment: &Segment) {
    let within = segment.ack.le(tcb.snd.max_ack())
        && segment.ack.ge(tcb.snd.una)
        && tcb.phase != Phase::SynReceived;
    if within {
        tcb.on_ack(env, now, segment);
        // What follows from it for the state; an ending is noted in `env`.
        let _ = after_ack(tcb, env, now);
    }
}

/// Second: RST.
fn second_rst(tcb: &Tcb, env: &mut Env, now: Instant, segment: &Segment) -> Result<(), Discard> {
    if !segment.has(Flags::RST) {
        return Ok(());
    }
    if tcb.phase == Phase::TimeWait {
        // RFC 1337 §3 fix (F1), TW-10: otherwise a stray reset ends TIME-WAIT early.
        return Err(Discard::ResetInTimeWait);
    }
    let extended = env.config.reset_at_sack_edge
        && matches!(
            tcb.phase,
            Phase::Established | Phase::FinWait1 | Phase::FinWait2
        )
        && tcb.rcv.is_sack_edge(segment.seq);
    // RFC 5961 §3.2 BLIND-1: exactly RCV.NXT, else a challenge. A peer that lost our
    // acknowledgements resets at the end of what it has sent: the edge of a SACK block (EV-T-5).
    if segment.seq != tcb.rcv.nxt() && !extended {
        env.fast_open_stray_reset();
        env.request_challenge(now);
        return Err(Discard::ResetChallenged);
    }
    let refused = tcb.phase == Phase::SynReceived
        && tcb
            .handshake
            .as_ref()
            .is_some_and(|handshake| !handshake.passive);
    let finished = matches!(tcb.phase, Phase::Closing | Phase::LastAck) && tcb.snd.queue.is_empty();
    let reason = match () {
        // RFC 9293 §3.5 MUST-11: an active opener is told that it was refused.
        () if refused => CloseReason::Refused,
        () if finished => CloseReason::Normal,
        () => CloseReason::ResetByPeer,
    };
    env.end(reason, None);
    Ok(())
}

/// Fourth: SYN.
fn fourth_syn(tcb: &Tcb, env: &mut Env, now: Instant, segment: &Segment) -> Result<(), Discard> {
    if env.ended.is_some() || !segment.has(Flags::SYN) {
        return Ok(());
    }
    if is_peers_own_syn(tcb, segment) {
        return Ok(());
    }
    // RFC 5961 §4.2 BLIND-2: whatever its sequence number.
    env.request_challenge(now);
    Err(Discard::SynChallenged)
}

/// Fifth: ACK.
fn fifth_ack(tcb: &mut Tcb, env: &mut Env, now: Instant, segment: &Segment) -> Result<(), Discard> {
    if env.ended.is_some() {
        return Ok(());
    }
    if !segment.has(Flags::ACK) {
        return Err(Discard::AckMissing);
    }
    let ack = segment.ack;
    if tcb.syn_outstanding() {
        if !(ack.gt(tcb.snd.una) && ack.le(tcb.snd.nxt)) {
            // RFC 9293 §3.5.2 group 2: every unacceptable ACK before the handshake is complete.
            tcb.reply_with(bare_reset(ack, None));
            return Err(Discard::SynReceivedUnacceptableAck);
        }
    } else if ack.gt(tcb.snd.max_ack()) {
        env.request_challenge(now);
        return Err(Discard::AckOfUnsentData);
    } else if ack.lt(tcb.snd.una - tcb.oldest_ack(env)) {
        // RFC 5961 §5.2 BLIND-3: older than any window that the peer ever offered.
        env.request_challenge(now);
        return Err(Discard::AckTooOld);
    }
    if let Some(timestamps) = segment.options.timestamps {
        // RFC 7323 §4.3; after the ACK check, so that a blind segment cannot poison TS.Recent.
        tcb.rcv.update_ts_recent(timestamps.val, segment.seq, now);
    }
    tcb.on_ack(env, now, segment);
    after_ack(tcb, env, now)
}

/// What the acknowledgement of our FIN means in each state.
fn after_ack(tcb: &mut Tcb, env: &mut Env, now: Instant) -> Result<(), Discard> {
    let fin_acked = tcb.snd.fin_acked();
    match tcb.phase {
        Phase::FinWait1 if fin_acked => tcb.enter(env, Phase::FinWait2, now),
        Phase::Closing if fin_acked => tcb.enter(env, Phase::TimeWait, now),
        Phase::LastAck if fin_acked => env.end(CloseReason::Normal, None),
        _ => {}
    }
    Ok(())
}

/// Sixth: URG.
fn sixth_urg(tcb: &mut Tcb, env: &mut Env, segment: &Segment) {
    let reads = matches!(
        tcb.phase,
        Phase::Established | Phase::FinWait1 | Phase::FinWait2
    );
    // URG-5: without the flag the field means nothing.
    if !segment.has(Flags::URG) || !reads || env.ended.is_some() {
        return;
    }
    // RFC 9293 §3.8.5 MUST-62: the pointer names the octet after the urgent data.
    let up = segment.seq + u32::from(segment.urgent);
    // URG-4: RCV.UP never goes back.
    if up.le(tcb.rcv.read_seq()) || tcb.rcv.up.is_some_and(|known| up.le(known)) {
        return;
    }
    tcb.rcv.up = Some(up);
    // MUST-32: on the first pointer and on each advance.
    env.events.push(Event::Urgent);
}

/// Seventh: the text.
fn seventh_text(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    arrival: &mut Arrival<'_>,
) -> Result<(), Discard> {
    if env.ended.is_some() || arrival.payload_len() == 0 {
        if arrival.cut_right && env.ended.is_none() {
            return Err(Discard::ZeroWindow);
        }
        return Ok(());
    }
    if !matches!(
        tcb.phase,
        Phase::Established | Phase::FinWait1 | Phase::FinWait2
    ) {
        // EV-DA-1: after the peer's FIN there is nothing more to receive.
        env.request_challenge(now);
        return Err(Discard::DataAfterFin);
    }
    if let Some(fin) = tcb.rcv.fin {
        arrival.trim_right(fin);
    }
    if tcb.rcv.reader == Reader::Gone {
        // RFC 9293 §3.6.1 SHLD-3: the peer learns that its data was not read.
        tcb.end_with_reset(env, now, CloseReason::Aborted);
        return Err(Discard::DataAfterClose);
    }
    tcb.take_text(env, now, arrival)
}

/// Eighth: FIN.
fn eighth_fin(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    arrival: &Arrival<'_>,
) -> Result<(), Discard> {
    if env.ended.is_some() {
        return Ok(());
    }
    if arrival.fin && tcb.rcv.fin_received {
        // A second FIN beyond the first, which cannot be; RCV.NXT does not move over it.
        env.request_challenge(now);
        return Err(Discard::DataAfterFin);
    }
    let fin = arrival.payload_end();
    if arrival.fin && tcb.rcv.fin.is_some_and(|first| first != fin) {
        // Neither has taken effect; the first stands, and the peer learns what is expected.
        env.request_challenge(now);
        return Err(Discard::DataAfterFin);
    }
    if arrival.fin && tcb.rcv.fin.is_none() {
        if fin.lt(tcb.rcv.queue.highest()) {
            // A FIN before octets that were received already contradicts them; the octets stand.
            env.request_challenge(now);
            return Err(Discard::DataAfterFin);
        }
        tcb.rcv.fin = Some(fin);
        if fin != tcb.rcv.queue.rcv_nxt() {
            // EV-T-17: beyond a gap. It takes effect when the gap closes.
            tcb.rcv.ack_now();
        }
    }
    if tcb.rcv.fin_received || tcb.rcv.fin != Some(tcb.rcv.queue.rcv_nxt()) {
        return Ok(());
    }
    // RCV.NXT moves over the FIN, which is acknowledged at once (DACK-3).
    tcb.rcv.fin_received = true;
    tcb.rcv.ack_now();
    env.events.push(Event::PeerFinished);
    match tcb.phase {
        Phase::Established => tcb.enter(env, Phase::CloseWait, now),
        // Our FIN is not acknowledged, or step five would have left this state.
        Phase::FinWait1 => tcb.enter(env, Phase::Closing, now),
        Phase::FinWait2 => tcb.enter(env, Phase::TimeWait, now),
        // SYN-RECEIVED was left in step five as well.
        Phase::SynReceived
        | Phase::CloseWait
        | Phase::Closing
        | Phase::LastAck
        | Phase::TimeWait => {}
    }
    Ok(())
}
