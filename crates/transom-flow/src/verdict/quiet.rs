//! What is to be said of waiting: for an application, for an answer, for a window, for nothing.

use super::Finding;
use super::ending::{name, start};
use crate::connection::Connection;
use crate::model::{ClosedBy, End};
use crate::words::{bytes, count, duration, thousands, times};
use core::time::Duration;

/// An answer that takes longer is slow, whoever makes it.
pub(crate) const SLOW_ANSWER: Duration = Duration::from_secs(1);
/// So long a client waits for an answer, not for the end of a conversation.
const PATIENCE: Duration = Duration::from_secs(5);
/// Turns of a conversation after which what the server says need not be an answer.
const ANSWERS_MAX: u32 = 10;
/// Windows smaller than a segment are a stall when they last this long in all.
const SMALL_WINDOW_MIN: Duration = Duration::from_millis(500);
/// Pieces cut to fit a small window.
const PIECES_MIN: u32 = 3;
/// Keep-alives that make a connection of nothing else.
const KEEP_ALIVES_MIN: u64 = 3;
/// Unanswered keep-alives that show that nobody is there.
const UNANSWERED_MIN: u32 = 2;
/// A silence of one end while the other talks on.
const SILENCE_MIN: Duration = Duration::from_secs(10);
const TURNS_MIN: u32 = 20;
const RUN_MIN: u32 = 20;

pub(super) fn findings(connection: &Connection, ending: &Finding, found: &mut Vec<Finding>) {
    found.extend(never_used(connection, ending));
    for end in End::BOTH {
        found.extend(request_unanswered(connection, end));
        found.extend(slow_answer(connection, end));
        found.extend(zero_window(connection, end));
        found.extend(small_window(connection, end));
        found.extend(held_data(connection, end));
        found.extend(slow_restart(connection, end));
        found.extend(one_way_silence(connection, end));
        found.extend(keep_alives(connection, end));
    }
}

/// Opened, and closed without a byte.
fn never_used(connection: &Connection, ending: &Finding) -> Option<Finding> {
    let has_data = connection.totals.client.bytes + connection.totals.server.bytes > 0;
    let m = &connection.milestones;
    let is_told = !matches!(
        ending.id,
        "normal_close" | "reset_by_client" | "half_open_close" | "simultaneous_close"
    );
    if has_data || m.handshake.is_none() || is_told {
        return None;
    }
    let text =
        "No data passed: probably a health check, or a connection opened in advance and never \
                used."
            .into();
    Some(Finding::new("never_used", Vec::new(), text))
}

/// A request that nobody answered, though it arrived.
fn request_unanswered(connection: &Connection, asker: End) -> Option<Finding> {
    let m = &connection.milestones;
    let answerer = asker.other();
    let asked = m.talk[asker].last_data?;
    let is_request = asker == End::Client
        && m.talk[answerer]
            .last_data
            .is_none_or(|answered| answered < asked);
    let has_arrived = connection.lanes[asker]
        .acked
        .ge(connection.lanes[asker].passed.contiguous())
        || connection.lanes[asker].fin.is_some();
    if !is_request || !has_arrived || connection.lanes[asker].base.is_none() {
        return None;
    }
    let ended = End::BOTH
        .into_iter()
        .flat_map(|end| {
            [
                m.fins[end].map(|fin| fin.time),
                m.resets[end].map(|r| r.time),
            ]
        })
        .flatten()
        .filter(|time| *time > asked)
        .min();
    let until = ended.unwrap_or_else(|| connection.quiet_until());
    let waited = until.saturating_sub(asked);
    // Outside HTTP the last word of a conversation may need no answer, unless the client waited for one
    // and left.
    let has_left = matches!(
        connection.closed_by(),
        ClosedBy::Fin(End::Client) | ClosedBy::Reset(End::Client)
    );
    let has_waited = has_left && m.talk[answerer].turns > 0 && waited >= PATIENCE;
    if waited < SLOW_ANSWER || !(m.talk[asker].asks_http || has_waited) {
        return None;
    }
    let text = phrase!(
        "{} acknowledged the last request and did not answer it in {}: its application is slow or \
         stuck, the network did its part.",
        start(connection, answerer),
        duration(waited),
    );
    Some(Finding::new("request_unanswered", Vec::new(), text))
}

/// The answer took long, and the network did not.
fn slow_answer(connection: &Connection, end: End) -> Option<Finding> {
    let m = &connection.milestones;
    let (wait, frame) = m.talk[end].slowest?;
    let handshake = m.handshake?;
    let trip = handshake.duration();
    let stuck = m
        .rare
        .as_ref()
        .map_or(0, |rare| rare.stuck[end.other()].worst.count);
    let repeats =
        connection.totals[End::Client].retransmitted + connection.totals[End::Server].retransmitted;
    let asker = &m.talk[end.other()];
    let is_asked = asker.asks_http || asker.asks_tls && m.talk[end].turns <= ANSWERS_MAX;
    if !is_asked {
        return None;
    }
    if end == End::Client || wait < SLOW_ANSWER.max(trip.saturating_mul(4)) {
        return None;
    }
    if stuck > 0 || repeats > 0 && wait < Duration::from_secs(5) {
        return None;
    }
    let text = phrase!(
        "{} took {} to answer, of which the network needs {}: the time probably went into its \
         application, not into TCP.",
        start(connection, end),
        duration(wait),
        duration(trip),
    );
    Some(Finding::new("slow_answer", vec![frame], text))
}

fn zero_window(connection: &Connection, end: End) -> Option<Finding> {
    let closed = &connection.milestones.windows[end];
    if closed.episodes == 0 {
        return None;
    }
    let still = closed
        .since
        .map(|since| connection.last_frame.saturating_sub(since));
    let total = closed.total.saturating_add(still.unwrap_or_default());
    let probes = match closed.probes {
        0 => String::new(),
        n => phrase!(
            " {} probed it {}.",
            start(connection, end.other()),
            times(u64::from(n))
        ),
    };
    let text = phrase!(
        "{} closed its receive window {} for {} in all{}: its application did not read fast \
         enough (RFC 9293 §3.8.6.1).{probes}",
        start(connection, end),
        times(u64::from(closed.episodes)),
        duration(total),
        if still.is_some() {
            ", and it is closed still"
        } else {
            ""
        },
    );
    Some(Finding::new("zero_window", vec![closed.first_frame], text))
}

/// A window that opens by crumbs.
fn small_window(connection: &Connection, end: End) -> Option<Finding> {
    let rare = connection.milestones.rare.as_ref()?;
    let small = &rare.small_windows[end];
    let still = small
        .since
        .map(|since| connection.last_frame.saturating_sub(since));
    let total = small.total.saturating_add(still.unwrap_or_default());
    if small.pieces < PIECES_MIN || total < SMALL_WINDOW_MIN {
        return None;
    }
    let text = phrase!(
        "Silly windows: for {} {} offered less than a segment (down to {}), and {} sent {} cut to fit; \
         the reader takes small pieces and its TCP offers each at once (RFC 9293 §3.8.6.2).",
        duration(total),
        name(connection, end),
        bytes(u64::from(small.least)),
        name(connection, end.other()),
        count(u64::from(small.pieces), "segment"),
    );
    Some(Finding::new("small_window", vec![small.frame], text))
}

/// Nagle's algorithm held data back until a delayed acknowledgement came.
fn held_data(connection: &Connection, end: End) -> Option<Finding> {
    let rare = connection.milestones.rare.as_ref()?;
    let held = rare.held[end];
    if held.count < 2 {
        return None;
    }
    let text = phrase!(
        "{} of {}'s small writes waited for a delayed acknowledgement, {} in all: Nagle's algorithm \
         holds a small segment while another is unacknowledged; write in one piece, or set TCP_NODELAY \
         (RFC 9293 §3.7.4, §3.8.6.3).",
        thousands(u64::from(held.count)),
        name(connection, end),
        duration(held.total),
    );
    Some(Finding::new("nagle_delayed_ack", vec![held.frame], text))
}

/// After a pause the congestion window began small again.
fn slow_restart(connection: &Connection, end: End) -> Option<Finding> {
    let restarts = &connection.milestones.rare.as_ref()?.restarts[end];
    let (pause, burst, flight, frame) = restarts.shown?;
    let text = phrase!(
        "After a pause of {} {} began anew with slow start: {} in the first round trip, where {} had \
         been under way before (RFC 5681 §4.1); {} in all.",
        duration(pause),
        name(connection, end),
        bytes(u64::from(burst)),
        bytes(u64::from(flight)),
        times(u64::from(restarts.times)),
    );
    Some(Finding::new("slow_start_after_idle", vec![frame], text))
}

/// One application stopped talking while the other talks on.
fn one_way_silence(connection: &Connection, end: End) -> Option<Finding> {
    let m = &connection.milestones;
    let (own, peer) = (&m.talk[end], &m.talk[end.other()]);
    let silence = peer.last_data?.saturating_sub(own.last_data?);
    let heard = connection.lanes[end].last_sent?;
    let is_alive = heard > own.last_data?;
    let is_small = peer.run_bytes / peer.run_segments.max(1) < 600;
    if own.turns < TURNS_MIN || peer.run_segments < RUN_MIN || silence < SILENCE_MIN {
        return None;
    }
    (is_alive && is_small).then(|| {
        let text = phrase!(
            "One-way silence: {} sent no more data for the last {}, while {} went on with {}; its TCP \
             acknowledges them, so the way is free and its application is silent.",
            name(connection, end),
            duration(silence),
            name(connection, end.other()),
            count(u64::from(peer.run_segments), "segment"),
        );
        Finding::new("one_way_silence", Vec::new(), text)
    })
}

fn keep_alives(connection: &Connection, end: End) -> Option<Finding> {
    let probes = connection.totals[end].keep_alives;
    if probes == 0 {
        return None;
    }
    let m = &connection.milestones;
    let asked = m.rare.as_ref().map_or(0, |rare| rare.asked[end]);
    let is_reset = matches!(connection.closed_by(), ClosedBy::Reset(_));
    if asked >= UNANSWERED_MIN {
        let then = if is_reset {
            ", and it gave the connection up"
        } else {
            ""
        };
        let text = phrase!(
            "{} does not answer any more: the last {} of {} remained without an answer{then} \
             (RFC 9293 §3.8.4).",
            start(connection, end.other()),
            count(u64::from(asked), "keep-alive"),
            name(connection, end),
        );
        return Some(Finding::new("keep_alive_unanswered", Vec::new(), text));
    }
    let last_data = m.talk.client.last_data.max(m.talk.server.last_data);
    let quiet = connection
        .last_frame
        .saturating_sub(last_data.unwrap_or(connection.start));
    let is_only = last_data.is_none() || quiet >= connection.duration() / 10 * 9;
    if probes >= KEEP_ALIVES_MIN && is_only {
        let text = phrase!(
            "Kept alive for nothing: {} sent {} in {}, and no data passed in that time \
             (RFC 9293 §3.8.4).",
            name(connection, end),
            count(probes, "keep-alive"),
            duration(quiet),
        );
        return Some(Finding::new("keep_alive_only", Vec::new(), text));
    }
    let text = phrase!(
        "{} sent {} while idle (RFC 9293 §3.8.4).",
        start(connection, end),
        count(probes, "keep-alive")
    );
    Some(Finding::new("keep_alive", Vec::new(), text))
}
