//! What is to be said of the pace of a transfer, and of the capture that shows it.

use super::Finding;
use super::ending::name;
use crate::connection::Connection;
use crate::measure::Limit;
use crate::model::End;
use crate::words::{bytes, count, duration};
use core::time::Duration;

/// Less data than this is no transfer whose pace matters.
pub(crate) const TRANSFER_MIN: u64 = 100_000;
/// A reason that held a sender back for less is not worth a word.
const HELD_MIN: Duration = Duration::from_millis(200);
/// A round trip has grown by a queue, if it grew by this much at least.
const QUEUE_MIN: Duration = Duration::from_millis(100);
const QUEUE_MAX: Duration = Duration::from_secs(10);
/// Fewer bytes than this under way fill no queue.
const QUEUED_MIN: f64 = 12_000.0;
const SAMPLES_MIN: u64 = 10;

pub(super) fn findings(connection: &Connection, found: &mut Vec<Finding>) {
    for end in End::BOTH {
        found.extend(copies(connection, end));
        found.extend(time_reversals(connection, end));
        if connection.totals[end].bytes >= TRANSFER_MIN {
            found.extend(limited(connection, end));
            found.extend(bufferbloat(connection, end));
        }
    }
}

/// What held a long transfer back for most of its time.
fn limited(connection: &Connection, end: End) -> Option<Finding> {
    let measures = &connection.measures()[end];
    let limit = measures.limit()?;
    let total = measures.limited.total();
    let held = match limit {
        Limit::ReceiverWindow => measures.limited.receiver_window,
        Limit::Application => measures.limited.application,
        Limit::Loss => measures.limited.loss,
        Limit::Network => return None,
    };
    if held < HELD_MIN || held.saturating_mul(2) < total {
        return None;
    }
    let who = name(connection, end);
    let other = name(connection, end.other());
    let of = phrase!("{} of {}", duration(held), duration(total));
    let (id, text) = match limit {
        Limit::ReceiverWindow => {
            let window = connection.measures()[end.other()].window.max;
            let text = phrase!(
                "The receive window of {other}, {} at most, held {who} back for {of}: no more than a \
                 window can go in a round trip (RFC 9293 §3.8.6).",
                bytes(u64::from(window)),
            );
            ("receiver_limited", text)
        }
        Limit::Application => {
            let text = phrase!(
                "{who} had nothing more to send for {of}: its application sets the pace, not the \
                 network."
            );
            ("sender_limited", super::opening::capitalised(&text))
        }
        _ => {
            let text = phrase!("Repairing losses held {who} back for {of} (RFC 5681, RFC 6675).");
            ("loss_limited", text)
        }
    };
    Some(Finding::new(id, Vec::new(), text))
}

/// The round trip grew with the data under way: a queue on the way is too long.
fn bufferbloat(connection: &Connection, sender: End) -> Option<Finding> {
    let rtt = connection.measures()[sender.other()].path_rtt;
    let has_grown = rtt.max >= rtt.min.saturating_mul(3).saturating_add(QUEUE_MIN)
        && rtt.mean >= rtt.min.saturating_mul(2).saturating_add(QUEUE_MIN / 2);
    let measures = &connection.measures()[sender];
    // Where an application waits on either side, a late acknowledgement is no sign of a queue.
    // Little's law: rate times round trip is what was under way on average.
    let under_way = measures.throughput().unwrap_or(0.0) * rtt.mean.as_secs_f64();
    let is_waiting = measures.limit() == Some(Limit::Application)
        || under_way < QUEUED_MIN
        || connection.milestones.windows[sender.other()].episodes > 0
        || rtt.max > QUEUE_MAX;
    if rtt.samples < SAMPLES_MIN || !has_grown || is_waiting {
        return None;
    }
    let text = phrase!(
        "Bufferbloat: the round trip grew from {} to {} (mean {}) while {} sent {}: probably a queue on \
         the way to {} holds too much (RFC 8290, RFC 7567).",
        duration(rtt.min),
        duration(rtt.max),
        duration(rtt.mean),
        name(connection, sender),
        bytes(connection.totals[sender].bytes),
        name(connection, sender.other()),
    );
    Some(Finding::new("bufferbloat", Vec::new(), text))
}

/// The same packets captured twice.
fn copies(connection: &Connection, end: End) -> Option<Finding> {
    let totals = &connection.totals[end];
    if totals.duplicate_frames == 0 {
        return None;
    }
    let hops = match totals.hop_changed_frames {
        0 => "a port mirror shows them on their way in and out, or the network doubles them",
        _ => "with another hop limit: they were captured before and behind a router",
    };
    let text = phrase!(
        "{} of {} {} in the capture a further time: {hops}; they are no retransmissions.",
        count(totals.duplicate_frames, "packet"),
        name(connection, end),
        if totals.duplicate_frames == 1 {
            "is"
        } else {
            "are"
        },
    );
    Some(Finding::new("duplicate_packets", Vec::new(), text))
}

fn time_reversals(connection: &Connection, end: End) -> Option<Finding> {
    let reversals = connection.totals[end].time_reversals;
    (reversals > 0).then(|| {
        let text = phrase!(
            "{} of {} {} an earlier time than the frame before: the capture was merged, or taken on \
             several queues; short times are not to be trusted.",
            count(reversals, "frame"),
            name(connection, end),
            if reversals == 1 { "has" } else { "have" },
        );
        Finding::new("time_reversed", Vec::new(), text)
    })
}
