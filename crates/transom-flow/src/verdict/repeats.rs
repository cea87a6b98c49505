//! What is to be said of segments that were sent again, lost, or came out of order.

use super::Finding;
use super::ending::{name, start};
use crate::connection::Connection;
use crate::milestones::{Causes, Run};
use crate::model::{ClosedBy, End};
use crate::words::{count, duration, thousands, times};

/// Data that is sent again this often in vain is stuck.
const STUCK_MIN: u32 = 3;
/// A segment that a link with a smaller MTU might not take.
const LARGE_MIN: u32 = 1000;
/// Retransmissions that make a storm, in number and in parts of all segments.
const STORM_MIN: u64 = 10;
const STORM_SHARE: u64 = 5;

pub(super) fn findings(connection: &Connection, found: &mut Vec<Finding>) {
    for end in End::BOTH {
        found.extend(lost(connection, end));
        found.extend(stuck(connection, end));
        found.extend(retransmissions(connection, end));
        found.extend(needless(connection, end));
        found.extend(fin_again(connection, end));
        found.extend(reordering(connection, end));
        found.extend(gaps(connection, end));
    }
}

fn causes(connection: &Connection, end: End) -> Causes {
    let rare = connection.milestones.rare.as_ref();
    rare.map_or_else(Causes::default, |rare| rare.causes[end])
}

fn lost(connection: &Connection, end: End) -> Option<Finding> {
    let lost = connection.totals[end].lost;
    (lost > 0).then(|| {
        let text = phrase!(
            "{} of {} {} lost on the way.",
            count(lost, "segment"),
            name(connection, end),
            if lost == 1 { "was" } else { "were" }
        );
        Finding::new("lost", Vec::new(), text)
    })
}

/// The same data again and again: it does not get through, or nobody is there.
fn stuck(connection: &Connection, end: End) -> Option<Finding> {
    let rare = connection.milestones.rare.as_ref()?;
    let stuck = &rare.stuck[end];
    let (run, is_open) = if stuck.now.count >= STUCK_MIN {
        (stuck.now, true)
    } else {
        (stuck.worst, false)
    };
    if run.count < STUCK_MIN || run.len == 0 {
        return None;
    }
    black_hole(connection, end, &run, is_open)
        .or_else(|| is_open.then(|| vanished(connection, end, &run)).flatten())
}

fn black_hole(connection: &Connection, end: End, run: &Run, is_open: bool) -> Option<Finding> {
    let m = &connection.milestones;
    let rare = m.rare.as_ref()?;
    let arrived = m.talk[end].largest_arrived;
    let is_told = rare.too_big.is_some_and(|told| told.to == end);
    // What is stuck is the largest that was sent; whatever arrived was smaller.
    if run.len < LARGE_MIN || run.len <= arrived || m.handshake.is_none() {
        return None;
    }
    let heard = connection.lanes[end.other()].last_sent;
    let is_peer_alive = heard.is_some_and(|heard| heard > run.first);
    if is_open && !is_peer_alive && arrived == 0 && !is_told && m.talk[end].turns == 0 {
        // Nothing of this end ever arrived but the handshake: the size may be the reason.
        return Some(black_hole_finding(connection, end, run, ""));
    }
    let smaller = match arrived {
        0 => String::new(),
        n => phrase!(
            ", while segments up to {} bytes arrive",
            thousands(u64::from(n))
        ),
    };
    Some(black_hole_finding(connection, end, run, &smaller))
}

fn black_hole_finding(connection: &Connection, end: End, run: &Run, smaller: &str) -> Finding {
    let rare = connection.milestones.rare.as_ref();
    let told = rare.and_then(|rare| rare.too_big);
    let icmp = match told {
        Some(told) => phrase!(
            " {} reported \"packet too big, MTU {}\", and the sender did not heed it.",
            told.reporter,
            told.mtu
        ),
        None => " No ICMP \"packet too big\" was seen: probably a filter drops it.".into(),
    };
    let text = phrase!(
        "Probably an MTU black hole: {} sent {} bytes {} in vain over {}{smaller} \
         (RFC 2923 §2.1, RFC 4821).{icmp}",
        name(connection, end),
        thousands(u64::from(run.len)),
        times(u64::from(run.count) + 1),
        duration(run.last.saturating_sub(run.first)),
    );
    Finding::new("mtu_black_hole", vec![run.frame], text)
}

/// Nobody answers any more.
fn vanished(connection: &Connection, end: End, run: &Run) -> Option<Finding> {
    let peer = end.other();
    let heard = connection.lanes[peer].last_sent?;
    let is_told = matches!(
        connection.closed_by(),
        ClosedBy::Reset(_) | ClosedBy::Vanished(_)
    );
    if heard >= run.first || is_told {
        return None;
    }
    let text = phrase!(
        "{} fell silent: {} sent the same data again {} over {} without an answer, so {} or the way to \
         it is gone (RFC 9293 §3.8.3).",
        start(connection, peer),
        name(connection, end),
        times(u64::from(run.count)),
        duration(run.last.saturating_sub(run.first)),
        name(connection, peer),
    );
    Some(Finding::new("peer_vanished", vec![run.frame], text))
}

fn retransmissions(connection: &Connection, end: End) -> Option<Finding> {
    let totals = &connection.totals[end];
    let m = &connection.milestones;
    // SYNs sent again, and the answers to them, have a sentence of their own; so have FINs.
    let openings = match end {
        End::Client => m.syns.client.saturating_sub(1),
        End::Server => m.syn_acks.server.saturating_sub(1),
    };
    let fins = m.fins[end].map_or(0, |fin| fin.repeats);
    let told = u64::from(openings) + u64::from(fins) + needless_count(connection, end);
    let again = totals.retransmitted.saturating_sub(told);
    let is_told = matches!(
        connection.closed_by(),
        ClosedBy::Unanswered | ClosedBy::Vanished(_)
    );
    if again == 0 || is_told {
        return None;
    }
    let timeouts = causes(connection, end).timeouts;
    let waits = match u64::from(timeouts) {
        0 => String::new(),
        n if n >= again && again == 1 => ", after a timeout".into(),
        n if n >= again => ", each after a timeout".into(),
        n => phrase!(", {} of them after a timeout", thousands(n)),
    };
    let frames = m.first_retransmission.into_iter().collect();
    if again >= STORM_MIN && again * STORM_SHARE >= totals.segments {
        let percent = again * 100 / totals.segments.max(1);
        let text = phrase!(
            "A storm of retransmissions: {} sent {percent} % of its segments again, {} of {}{waits}; \
             the way to {} loses far too much (RFC 6298, RFC 5681).",
            name(connection, end),
            thousands(again),
            thousands(totals.segments),
            name(connection, end.other()),
        );
        return Some(Finding::new("retransmission_storm", frames, text));
    }
    let text = phrase!(
        "{} sent {} of {} again{waits} (RFC 6298, RFC 5681).",
        start(connection, end),
        thousands(again),
        count(totals.segments, "segment"),
    );
    Some(Finding::new("retransmissions", frames, text))
}

/// Segments that were sent again for nothing, as it showed at once or later.
fn needless_count(connection: &Connection, end: End) -> u64 {
    u64::from(causes(connection, end).needless).max(connection.survey.meters[end].needless())
}

/// Sent again though it had arrived.
fn needless(connection: &Connection, end: End) -> Option<Finding> {
    let needless = needless_count(connection, end);
    if needless == 0 {
        return None;
    }
    let text = phrase!(
        "{} sent {} again that had arrived already: its timer is too quick for the path, or \
         acknowledgements were lost (RFC 2883, RFC 3522).",
        start(connection, end),
        count(needless, "segment"),
    );
    let frames = connection.milestones.first_retransmission;
    Some(Finding::new(
        "spurious_retransmissions",
        frames.into_iter().collect(),
        text,
    ))
}

/// A FIN that did not arrive, or whose acknowledgement did not.
fn fin_again(connection: &Connection, end: End) -> Option<Finding> {
    let fin = connection.milestones.fins[end]?;
    // In a simultaneous close BSD's descendants send the FIN again with the acknowledgement.
    let is_answer = connection.closed_by() == ClosedBy::BothFin && fin.repeats == 1;
    if fin.repeats == 0 || is_answer {
        return None;
    }
    let tries = times(u64::from(fin.repeats) + 1);
    let who = start(connection, end);
    if fin.acknowledged.is_none() && fin.repeats >= STUCK_MIN {
        let text = phrase!(
            "{who} sent its FIN {tries} without an acknowledgement: {} was gone already, or the way to \
             it (RFC 9293 §3.6).",
            name(connection, end.other())
        );
        return Some(Finding::new("fin_unanswered", vec![fin.frame], text));
    }
    let text = phrase!(
        "{who} had to send its FIN {tries}, because it or its acknowledgement was lost \
         (RFC 9293 §3.6)."
    );
    Some(Finding::new("fin_lost", vec![fin.frame], text))
}

fn reordering(connection: &Connection, end: End) -> Option<Finding> {
    let late = connection.totals[end].out_of_order;
    (late > 0).then(|| {
        let text = phrase!(
            "{} of {} {} overtaken by later ones.",
            count(late, "segment"),
            name(connection, end),
            if late == 1 { "was" } else { "were" }
        );
        Finding::new("out_of_order", Vec::new(), text)
    })
}

fn gaps(connection: &Connection, end: End) -> Option<Finding> {
    let totals = &connection.totals[end];
    let is_explained = totals.out_of_order > 0 || totals.retransmitted > 0;
    (totals.gaps > 0 && !is_explained).then(|| {
        let places = match totals.gaps {
            1 => "at one place".into(),
            n => phrase!("at {} places", thousands(n)),
        };
        let text = phrase!(
            "The capture lacks segments of {} {places}.",
            name(connection, end)
        );
        Finding::new("not_captured", Vec::new(), text)
    })
}
