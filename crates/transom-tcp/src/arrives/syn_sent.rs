//! SEGMENT ARRIVES in SYN-SENT (RFC 9293 §3.10.7.3).

use alloc::boxed::Box;

use transom_wire::Seq;
use transom_wire::tcp::Flags;

use super::arrival::Arrival;
use super::closed::bare_reset;
use super::other;
use crate::connection::Block;
use crate::discard::Discard;
use crate::ecn;
use crate::env::Env;
use crate::event::CloseReason;
use crate::segment::Segment;
use crate::state::State;
use crate::synsent::SynSent;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::Timer;

/// The four steps. The segment that is the peer's SYN puts a control block in the place of what was known in SYN-SENT.
pub(crate) fn segment_arrives(
    block: &mut Block,
    env: &mut Env,
    now: Instant,
    segment: &mut Segment,
) -> Result<(), Discard> {
    let Block::SynSent(syn_sent) = block else {
        return Ok(());
    };
    let acknowledges = first_ack(syn_sent, env, segment)?;
    if second_rst(syn_sent, env, segment, acknowledges)? {
        return Ok(());
    }
    // Third, security: not in use (see `other.rs`).
    // Fifth: neither SYN nor RST.
    if !segment.has(Flags::SYN) {
        return Err(Discard::SynSentWithoutSyn);
    }
    *block = Block::Tcb(syn_sent.open(env, segment, now));
    match block {
        Block::Tcb(tcb) => fourth_syn(tcb, env, now, segment, acknowledges),
        Block::SynSent(_) | Block::Closed(_) => Ok(()),
    }
}

/// First: whether the segment acknowledges our SYN; an acknowledgement of anything else is refused.
fn first_ack(syn_sent: &mut SynSent, env: &Env, segment: &Segment) -> Result<bool, Discard> {
    if !segment.has(Flags::ACK) {
        return Ok(false);
    }
    // RFC 9293 §3.10.7.3: ISS < SEG.ACK ≤ SND.NXT; only the SYN was sent, and what it carried.
    let first = syn_sent.iss + 1;
    let in_range = segment.ack.ge(first) && segment.ack.le(first + env.syn_data_sent());
    if in_range && echo_is_ours(syn_sent, env, segment) {
        return Ok(true);
    }
    if !segment.has(Flags::RST) {
        syn_sent.reply = Some(Box::new(bare_reset(segment.ack, None)));
        // EV-S-1: the reset clears the peer's old connection, so the SYN may succeed at once. Only
        // the first time: a stranger must not make us send SYN after SYN. What acknowledges our SYN and echoes a
        // timestamp that we never sent is no old connection's.
        if syn_sent.transmissions == 1 && !in_range {
            syn_sent.syn_owed = true;
        }
    }
    Err(Discard::SynSentUnacceptableAck)
}

/// A timestamp echo, if there is one, must be of a SYN that we sent.
fn echo_is_ours(syn_sent: &SynSent, env: &Env, segment: &Segment) -> bool {
    let echo = segment
        .options
        .timestamps
        .map_or(0, |timestamps| timestamps.ecr);
    if echo == 0 || !env.config.timestamps || segment.has(Flags::RST) {
        return true;
    }
    let first = Seq::new(env.ts_val(syn_sent.sent_at));
    let last = Seq::new(env.ts_val(segment.received));
    Seq::new(echo).ge(first) && Seq::new(echo).le(last)
}

/// Second: whether a reset ends the connection.
fn second_rst(
    syn_sent: &mut SynSent,
    env: &mut Env,
    segment: &Segment,
    acknowledges: bool,
) -> Result<bool, Discard> {
    if !segment.has(Flags::RST) {
        return Ok(false);
    }
    // RFC 9293 §3.10.7.3 also asks for SEG.SEQ = RCV.NXT, which nobody knows yet (EV-S-2); that
    // the reset acknowledges our SYN proves that it answers it.
    if !acknowledges {
        return Err(Discard::SynSentBlindReset);
    }
    let asked = !ecn::syn_flags(&env.config, 0, false).is_empty();
    if asked && !syn_sent.plain {
        // RFC 3168 §6.1.1.1 ECN-13: some firewalls answer the flags with a reset. Once more, without.
        syn_sent.plain = true;
        syn_sent.syn_owed = true;
    } else {
        env.end(CloseReason::Refused, None);
    }
    Ok(true)
}

/// Fourth: the peer's SYN, which has made the control block.
fn fourth_syn(
    tcb: &mut Tcb,
    env: &mut Env,
    now: Instant,
    segment: &mut Segment,
    acknowledges: bool,
) -> Result<(), Discard> {
    if !acknowledges {
        // Simultaneous open (RFC 9293 Figure 7): our SYN again, with the acknowledgement of theirs.
        if let Some(handshake) = &mut tcb.handshake {
            handshake.syn_ack_owed = true;
        }
        env.enter(State::SynSent, State::SynReceived);
        // RFC 6298 §5.1: started anew with our SYN-ACK. The user timeout runs on.
        env.timers.stop(Timer::Retransmit);
        return Ok(());
    }
    env.enter(State::SynSent, State::Established);
    tcb.phase = Phase::Established;
    tcb.on_ack(env, now, segment);
    tcb.rcv.ack_now();
    let mut arrival = Arrival::new(segment);
    other::after_the_handshake(tcb, env, now, &mut arrival)
}
