//! How a connection ended, or where it stands.

use super::{Finding, closed_by, first_fin, only_heard};
use crate::connection::Connection;
use crate::milestones::{FinSeen, ResetSeen};
use crate::model::{ClosedBy, End, EndState};
use crate::truth::SAME_MOMENT;
use crate::words::{bytes, count, duration, times};
use core::time::Duration;
use transom_tcp::State;

/// An application that has not closed this long after the other end's FIN has probably forgotten to.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// An answer that takes longer than this is worth its time being told apart.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The program's name, or "the client".
pub(super) fn name(connection: &Connection, end: End) -> String {
    match &connection.endpoints[end].process {
        Some(process) => process.name.to_string(),
        None => phrase!("the {end}"),
    }
}

/// The same at the start of a sentence; a program's name keeps its case.
pub(super) fn start(connection: &Connection, end: End) -> String {
    match &connection.endpoints[end].process {
        Some(process) => process.name.to_string(),
        None => phrase!("The {end}"),
    }
}

fn finding(id: &'static str, frames: Vec<u64>, text: String) -> Finding {
    Finding::new(id, frames, text)
}

pub(super) fn ending(connection: &Connection) -> Finding {
    if let Some(heard) = only_heard(connection) {
        return one_direction(connection, heard);
    }
    match closed_by(connection) {
        ClosedBy::Refused => refused(connection),
        ClosedBy::Unanswered => unanswered(connection),
        ClosedBy::Unreachable => unreachable(connection),
        ClosedBy::Reset(end) => reset(connection, end),
        ClosedBy::Fin(end) => finished(connection, end),
        ClosedBy::BothFin => simultaneous_close(connection),
        ClosedBy::Vanished(end) => vanished(connection, end),
        ClosedBy::StillOpen => still_open(connection),
    }
}

fn refused(connection: &Connection) -> Finding {
    let reset = connection.milestones.resets.server;
    let server = connection.endpoints.server.addr;
    let text = phrase!(
        "Refused: nothing listens at {server}, so the reset that came back acknowledges the SYN, \
         and {}'s connect fails at once (RFC 9293 §3.10.7.1).",
        name(connection, End::Client)
    );
    finding("refused", reset.iter().map(|r| r.frame).collect(), text)
}

fn unanswered(connection: &Connection) -> Finding {
    let m = &connection.milestones;
    let client = start(connection, End::Client);
    let tries = u64::from(m.syns.client.max(1));
    let frames = m.first_syn.iter().map(|(_, frame)| *frame).collect();
    if let Some(reset) = m.resets.server.filter(|reset| !reset.has_ack) {
        let text = phrase!(
            "Answered in vain: the reset that came back does not acknowledge the SYN, so the \
             client had to ignore it and sent its SYN {} (RFC 9293 §3.10.7.3). To refuse, a \
             reset must carry ACK (§3.10.7.1).",
            times(tries)
        );
        return finding("reset_without_ack", vec![reset.frame], text);
    }
    let over = match (m.first_syn, m.last_syn) {
        (Some((first, _)), Some(last)) if last > first => {
            phrase!(" over {}", duration(last.saturating_sub(first)))
        }
        _ => String::new(),
    };
    if m.heard.server > 0 {
        let text = phrase!(
            "No answer that fits: {} sent its SYN {}{over}, and what came back does not acknowledge it \
             (RFC 9293 §3.10.7.3).",
            name(connection, End::Client),
            times(tries)
        );
        return finding("unanswered", frames, text);
    }
    let text = phrase!(
        "No answer: {client} sent its SYN {}{over} and nothing came back. Either no host is \
         there, or a filter drops the segments (RFC 9293 §3.8.3).",
        times(tries)
    );
    finding("unanswered", frames, text.replace(": The", ": the"))
}

fn unreachable(connection: &Connection) -> Finding {
    let Some(icmp) = connection.milestones.icmp else {
        return still_open(connection);
    };
    let text = phrase!(
        "Unreachable: {} reported \"{}\", so {} gave up its attempt (RFC 1122 §4.2.3.9, RFC 5461).",
        icmp.reporter,
        icmp.kind,
        name(connection, End::Client)
    );
    finding("unreachable", vec![icmp.frame], text)
}

/// What the connection was doing when the reset came.
fn stage(connection: &Connection, end: End, reset: &ResetSeen) -> String {
    let m = &connection.milestones;
    // A TCP that aborts is in CLOSED when its reset leaves; what counts is the state before.
    let aborted = m.vanished[end].filter(|v| {
        reset.before[end].is_any(&[State::Closed]) && v.time.abs_diff(reset.time) <= SAME_MOMENT
    });
    let own = aborted.map_or(reset.before[end], |v| EndState::observed(v.from));
    let has_data = connection.totals.client.bytes + connection.totals.server.bytes > 0;
    let peer_finished = m.fins[end.other()].is_some_and(|fin| fin.frame < reset.frame);
    let finished = m.fins[end].is_some_and(|fin| fin.frame < reset.frame);
    let stage = match own.state {
        Some(State::SynSent | State::SynReceived | State::Listen) => "during the handshake",
        _ if m.handshake.is_none() && m.first_syn.is_some() => "during the handshake",
        _ if finished && peer_finished => "while closing",
        _ if finished => "after its own FIN",
        _ if peer_finished => "after the other end's FIN",
        _ if has_data => "in the middle of the conversation",
        _ => "before any data",
    };
    match own.state {
        Some(state) => phrase!("{stage}, in {state}"),
        None => stage.into(),
    }
}

fn reset(connection: &Connection, end: End) -> Finding {
    let Some(reset) = connection.milestones.resets[end] else {
        return still_open(connection);
    };
    if is_harmless(connection, end, &reset) {
        return closed_by_reset(connection, end, &reset);
    }
    let text = phrase!(
        "Reset by {} after {}, {}.",
        name(connection, end),
        duration(reset.time.saturating_sub(connection.start)),
        stage(connection, end, &reset)
    );
    let id = if end == End::Client {
        "reset_by_client"
    } else {
        "reset_by_server"
    };
    finding(id, vec![reset.frame], text)
}

/// Whether the reset only stands where a FIN might: the other end had finished, and nothing was under way.
fn is_harmless(connection: &Connection, end: End, reset: &ResetSeen) -> bool {
    let m = &connection.milestones;
    let peer_finished = m.fins[end.other()].is_some_and(|fin| fin.frame < reset.frame);
    let is_all_acknowledged = End::BOTH.into_iter().all(|sender| {
        let lane = &connection.lanes[sender];
        let due = lane.fin.unwrap_or_else(|| lane.passed.highest());
        lane.base.is_none() || lane.acked.ge(due)
    });
    let has_talked = m.talk[end].last_data.is_some() || m.talk[end.other()].last_data.is_some();
    peer_finished && is_all_acknowledged && has_talked && m.fins[end].is_none()
}

fn closed_by_reset(connection: &Connection, end: End, reset: &ResetSeen) -> Finding {
    let first = connection.milestones.fins[end.other()];
    let later = first.map_or(Duration::ZERO, |fin| reset.time.saturating_sub(fin.time));
    let text = phrase!(
        "Closed by FIN and reset: {} finished first and sent FIN; {later} later {} sent a reset \
         instead of its own FIN; all data had been acknowledged, so nothing was lost \
         (RFC 9293 §3.6.1).",
        name(connection, end.other()),
        name(connection, end),
        later = duration(later),
    );
    let frames = first.iter().map(|fin| fin.frame).chain([reset.frame]);
    finding("closed_by_reset", frames.collect(), text)
}

/// How the second closer answered the first one's FIN.
fn answer(connection: &Connection, first: End, fin: &FinSeen, second: &FinSeen) -> String {
    let later = phrase!("{}", duration(second.time.saturating_sub(fin.time)));
    let other = name(connection, first.other());
    match fin.acknowledged {
        Some((_, frame)) if frame == second.frame => {
            phrase!("{other} answered with ACK and its own FIN in one segment {later} later")
        }
        Some((time, _)) if time.saturating_sub(fin.time) <= AT_ONCE => {
            phrase!("{other} acknowledged it and sent its own FIN {later} later")
        }
        Some((time, _)) => phrase!(
            "{other} acknowledged it after {} and sent its own FIN {later} later",
            duration(time.saturating_sub(fin.time))
        ),
        None => phrase!("{other} sent its own FIN {later} later"),
    }
}

fn finished(connection: &Connection, first: End) -> Finding {
    let m = &connection.milestones;
    let who = name(connection, first);
    let (Some(fin), Some(second)) = (m.fins[first], m.fins[first.other()]) else {
        let text =
            phrase!("Closed: {who} sent FIN, and neither end holds the connection any more.");
        return finding("closed", Vec::new(), text);
    };
    let other = name(connection, first.other());
    let gap = second.time.saturating_sub(fin.time);
    let frames = vec![fin.frame, second.frame];
    let mut answered = answer(connection, first, &fin, &second);
    if gap > Duration::from_secs(1) && fin.data_after == 0 {
        answered.push_str(", having waited in CLOSE-WAIT for its application to close");
    }
    let no_data = connection.totals.client.bytes + connection.totals.server.bytes == 0;
    let (id, mut text) = if fin.data_after > 0 {
        let text = phrase!(
            "A half-close: {who} finished first and sent FIN, but went on receiving: {other} sent \
             {} more before its own FIN {} later (RFC 9293 §3.6)",
            bytes(fin.data_after),
            duration(gap)
        );
        ("half_close", text)
    } else if no_data && first == End::Server && m.handshake.is_some() {
        let text = phrase!(
            "Closed at once: {who} accepted the connection and sent FIN without a byte of data; \
             {answered}"
        );
        ("closed_at_once", text)
    } else {
        let text = phrase!("A normal close: {who} finished first and sent FIN; {answered}");
        ("normal_close", text)
    };
    text.push_str(&after_close(connection, first, &second));
    text.push('.');
    finding(id, frames, text)
}

/// Where the active closer's end stands after both FINs.
fn after_close(connection: &Connection, first: End, second: &FinSeen) -> String {
    let who = name(connection, first);
    let waited = connection.milestones.vanished[first].filter(|v| v.from == State::TimeWait);
    if let Some(waited) = waited {
        let long = duration(waited.time.saturating_sub(second.time));
        return phrase!(
            "; {who}'s end stayed in TIME-WAIT for {long}, as the active closer must \
             (RFC 9293 §3.6.1)"
        );
    }
    let state = connection.states()[first];
    if second.acknowledged.is_none() && connection.is_finished() {
        return phrase!(
            "; the acknowledgement of {}'s FIN was not seen",
            name(connection, first.other())
        );
    }
    if state.is_any(&[State::TimeWait]) {
        return phrase!(
            "; {who}'s end stays in TIME-WAIT (60 s on Linux), as the active closer must \
             (RFC 9293 §3.6.1)"
        );
    }
    String::new()
}

fn simultaneous_close(connection: &Connection) -> Finding {
    let frames = End::BOTH
        .iter()
        .filter_map(|end| Some(connection.milestones.fins[*end]?.frame))
        .collect();
    let text = "A simultaneous close: both ends sent FIN before either saw the other's, so both \
                are active closers and go through CLOSING to TIME-WAIT (RFC 9293 §3.6, Figure 13)."
        .into();
    finding("simultaneous_close", frames, text)
}

fn vanished(connection: &Connection, end: End) -> Finding {
    let Some(vanished) = connection.milestones.vanished[end] else {
        return still_open(connection);
    };
    let who = start(connection, end);
    let repeats = connection.totals[end].retransmitted;
    let tries = match repeats {
        0 => String::new(),
        n => phrase!(" after {} that nobody answered", count(n, "retransmission")),
    };
    let text = phrase!(
        "{who} gave up in {}{tries}: its TCP dropped the connection without a segment that says \
         so (RFC 9293 §3.8.3).",
        vanished.from
    );
    finding("gave_up", Vec::new(), text)
}

fn still_open(connection: &Connection) -> Finding {
    let m = &connection.milestones;
    let when = if connection.is_finished() {
        "Still open at the end"
    } else {
        "Still open"
    };
    if let Some((end, fin)) = first_fin(connection) {
        return half_closed(connection, end, &fin, when);
    }
    if m.handshake.is_none() && m.first_syn.is_some() {
        let frames = m.first_syn.iter().map(|(_, frame)| *frame).collect();
        let text = match m.syn_ack {
            None => "The handshake has begun: the SYN is not answered yet.".into(),
            Some(_) => phrase!(
                "The handshake is not done: the server answered {} with SYN,ACK, but the \
                 acknowledgement was not seen (RFC 9293 §3.5).",
                times(u64::from(m.syn_acks.server.max(1)))
            ),
        };
        return finding("opening", frames, text);
    }
    let idle = connection.totals.client.bytes + connection.totals.server.bytes == 0;
    let text = if idle {
        phrase!("{when}: no data has passed and neither end has closed.")
    } else {
        phrase!("{when}: neither end has closed.")
    };
    finding("still_open", Vec::new(), text)
}

/// One end has finished, the other has not.
fn half_closed(connection: &Connection, end: End, fin: &FinSeen, when: &str) -> Finding {
    let who = name(connection, end);
    let other = name(connection, end.other());
    let since = connection.quiet_until().saturating_sub(fin.time);
    let fin_received = fin.acknowledged.is_some();
    if fin_received && fin.data_after == 0 && since >= FORGOTTEN {
        let text = phrase!(
            "Never closed: {other}'s end has been in CLOSE-WAIT for {} at least, since it \
             acknowledged {who}'s FIN: its application has not closed the connection, and probably \
             never will (RFC 9293 §3.6).",
            duration(since)
        );
        return finding("close_wait_stuck", vec![fin.frame], text);
    }
    let text = phrase!(
        "{when}, half-closed: {who} sent FIN {} after the start, and {other} has not closed its \
         direction ({}; RFC 9293 §3.6).",
        duration(fin.time.saturating_sub(connection.start)),
        match fin.data_after {
            0 => "nothing sent since".into(),
            n => phrase!("{} sent since", bytes(n)),
        }
    );
    finding("half_open_close", vec![fin.frame], text)
}

/// Only one end's segments were captured.
fn one_direction(connection: &Connection, heard: End) -> Finding {
    let silent = heard.other();
    let lane = &connection.lanes[silent];
    let acked = match (connection.lanes[heard].last_ack, lane.base) {
        (Some(ack), Some(base)) => u64::from(ack.since(base)),
        _ => 0,
    };
    let grown = match acked {
        0 | 1 => String::new(),
        n => phrase!(", and its acknowledgements cover {}", bytes(n - 1)),
    };
    let text = phrase!(
        "Half a conversation: only segments of {} were captured, yet it goes on as if it were \
         answered{grown}: the other direction takes another way, or the capture was filtered.",
        name(connection, heard)
    );
    let frames = connection.milestones.first_syn.iter().map(|(_, f)| *f);
    finding("one_direction", frames.collect(), text)
}
