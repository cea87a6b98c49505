//! What else is worth saying about a connection, besides how it ended.

use super::ending::{name, start};
use super::{Finding, Severity};
use crate::connection::Connection;
use crate::model::{ClosedBy, End};
use crate::words::{count, duration, thousands, times};

pub(super) fn findings(connection: &Connection) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(mid_stream(connection));
    findings.extend(simultaneous_open(connection));
    findings.extend(late_answer(connection));
    findings.extend(reset_without_effect(connection));
    for end in End::BOTH {
        findings.extend(lost(connection, end));
        findings.extend(retransmissions(connection, end));
        findings.extend(zero_window(connection, end));
        findings.extend(reordering(connection, end));
        findings.extend(keep_alives(connection, end));
        findings.extend(gaps(connection, end));
    }
    findings
}

fn mid_stream(connection: &Connection) -> Option<Finding> {
    (!connection.are_roles_known).then(|| Finding {
        id: "mid_stream",
        severity: Severity::Note,
        text: "The capture starts after the handshake: which end is the client is a guess from \
               the ports."
            .into(),
        frames: Vec::new(),
    })
}

fn simultaneous_open(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    (m.syns.client > 0 && m.syns.server > 0).then(|| Finding {
        id: "simultaneous_open",
        severity: Severity::Note,
        text: "A simultaneous open: both ends sent SYN, and one connection came of it \
               (RFC 9293 §3.5, Figure 7)."
            .into(),
        frames: m
            .first_syn
            .iter()
            .chain(&m.syn_ack)
            .map(|(_, frame)| *frame)
            .collect(),
    })
}

/// The SYN had to be sent again.
fn late_answer(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let ((first, frame), (answer, answer_frame)) = (m.first_syn?, m.syn_ack?);
    if m.syns.client < 2 {
        return None;
    }
    let tries = times(u64::from(m.syns.client));
    let text = if m.last_syn.is_some_and(|last| last > answer) {
        format!(
            "The SYN was sent {tries} and the SYN,ACK {}: the first answer did not reach the \
             client in time (RFC 6298 §2).",
            times(u64::from(m.syn_acks.server))
        )
    } else {
        format!(
            "The SYN had to be sent {tries}: the answer came {} after the first (RFC 6298 §2).",
            duration(answer.saturating_sub(first))
        )
    };
    let frames = vec![frame, answer_frame];
    Some(Finding {
        id: "syn_answered_late",
        severity: Severity::Problem,
        text,
        frames,
    })
}

/// A reset that nobody heeded: its number was wrong, or it came from somebody else.
fn reset_without_effect(connection: &Connection) -> Option<Finding> {
    let goes_on = matches!(
        connection.closed_by(),
        ClosedBy::StillOpen | ClosedBy::Fin(_) | ClosedBy::BothFin
    );
    let (end, reset) = End::BOTH
        .into_iter()
        .find_map(|end| Some((end, connection.milestones.resets[end]?)))?;
    (goes_on && !reset.acceptable && reset.ignored > 0).then(|| Finding {
        id: "reset_without_effect",
        severity: Severity::Problem,
        text: format!(
            "A reset that claims to come from {} did not end the connection: its sequence number \
             is not the one expected, so {} had to question it with a challenge ACK and go on \
             (RFC 5961 §3.2). It may be forged.",
            name(connection, end),
            name(connection, end.other())
        ),
        frames: vec![reset.frame],
    })
}

fn lost(connection: &Connection, end: End) -> Option<Finding> {
    let lost = connection.totals[end].lost;
    (lost > 0).then(|| Finding {
        id: "lost",
        severity: Severity::Note,
        text: format!(
            "{} of {} {} lost on the way.",
            count(lost, "segment"),
            name(connection, end),
            if lost == 1 { "was" } else { "were" }
        ),
        frames: Vec::new(),
    })
}

fn retransmissions(connection: &Connection, end: End) -> Option<Finding> {
    let totals = &connection.totals[end];
    let m = &connection.milestones;
    // SYNs sent again, and the answers to them, have a sentence of their own.
    let told = match end {
        End::Client => m.syns.client.saturating_sub(1),
        End::Server if m.syns.client > 1 || m.handshake.is_none() => {
            m.syn_acks.server.saturating_sub(1)
        }
        End::Server => 0,
    };
    let again = totals.retransmitted.saturating_sub(u64::from(told));
    let is_told = matches!(
        connection.closed_by(),
        ClosedBy::Unanswered | ClosedBy::Vanished(_)
    );
    (again > 0 && !is_told).then(|| Finding {
        id: "retransmissions",
        severity: Severity::Note,
        text: format!(
            "{} sent {} of {} again (RFC 6298, RFC 5681).",
            start(connection, end),
            thousands(again),
            count(totals.segments, "segment"),
        ),
        frames: connection
            .milestones
            .first_retransmission
            .into_iter()
            .collect(),
    })
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
        n => format!(
            " {} probed it {}.",
            start(connection, end.other()),
            times(u64::from(n))
        ),
    };
    Some(Finding {
        id: "zero_window",
        severity: Severity::Problem,
        text: format!(
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
        ),
        frames: vec![closed.first_frame],
    })
}

fn reordering(connection: &Connection, end: End) -> Option<Finding> {
    let late = connection.totals[end].out_of_order;
    (late > 0).then(|| Finding {
        id: "out_of_order",
        severity: Severity::Note,
        text: format!(
            "{} of {} overtaken by later ones.",
            count(late, "segment"),
            format_args!(
                "{} {}",
                name(connection, end),
                if late == 1 { "was" } else { "were" }
            )
        ),
        frames: Vec::new(),
    })
}

fn keep_alives(connection: &Connection, end: End) -> Option<Finding> {
    let probes = connection.totals[end].keep_alives;
    (probes > 0).then(|| Finding {
        id: "keep_alive",
        severity: Severity::Fine,
        text: format!(
            "{} sent {} while idle (RFC 9293 §3.8.4).",
            start(connection, end),
            count(probes, "keep-alive")
        ),
        frames: Vec::new(),
    })
}

fn gaps(connection: &Connection, end: End) -> Option<Finding> {
    let gaps = connection.totals[end].gaps;
    let is_explained =
        connection.totals[end].out_of_order > 0 || connection.totals[end].retransmitted > 0;
    (gaps > 0 && !is_explained).then(|| Finding {
        id: "not_captured",
        severity: Severity::Note,
        text: format!(
            "The capture lacks segments of {} {}.",
            name(connection, end),
            if gaps == 1 {
                "at one place".into()
            } else {
                format!("at {} places", thousands(gaps))
            }
        ),
        frames: Vec::new(),
    })
}
