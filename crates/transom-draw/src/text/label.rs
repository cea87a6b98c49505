//! What stands on an arrow.

use super::Options;
use super::cell;
use transom_flow::wire::tcp::{Flags, Options as TcpOptions};
use transom_flow::words::{bytes, count, thousands};
use transom_flow::{Cause, Fate, FoldedTotals, Meaning, Segment};

/// The control bits in the order in which people name them: `FIN,ACK`, `PSH,ACK`.
pub(crate) fn flags(flags: Flags) -> String {
    const ORDER: [(Flags, &str); 9] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
        (Flags::AE, "AE"),
    ];
    let names: Vec<&str> = ORDER
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, name)| *name)
        .collect();
    if names.is_empty() {
        "no flags".into()
    } else {
        names.join(",")
    }
}

/// The options of a SYN: `mss 1460 sack ts ws 7`.
pub(crate) fn syn_options(options: &TcpOptions) -> String {
    let mut words = Vec::new();
    if let Some(mss) = options.mss {
        words.push(format!("mss {mss}"));
    }
    if options.sack_permitted {
        words.push("sack".into());
    }
    if options.timestamps.is_some() {
        words.push("ts".into());
    }
    if let Some(scale) = options.window_scale {
        words.push(format!("ws {scale}"));
    }
    words.join(" ")
}

/// A remark about what the segment is for, where flags and length do not tell.
pub(crate) fn remark(segment: &Segment) -> Option<String> {
    let window = || bytes(u64::from(segment.window));
    Some(match segment.meaning {
        Meaning::Retransmission { cause, .. } => again(cause).into(),
        Meaning::OutOfOrder => "out of order".into(),
        Meaning::DataAfterGap => "after a gap".into(),
        Meaning::DuplicateAck(n) => format!("duplicate {n}"),
        Meaning::KeepAlive => "keep-alive".into(),
        Meaning::KeepAliveAck => "still here".into(),
        Meaning::ZeroWindow => "window 0".into(),
        Meaning::WindowProbeAck => "window still 0".into(),
        Meaning::WindowUpdate => format!("window {}", window()),
        Meaning::WindowProbe => "window probe".into(),
        Meaning::ChallengeAck => "challenge".into(),
        Meaning::ResetAgain => "again".into(),
        _ if segment.window == 0 && !segment.flags.contains(Flags::RST) => "window 0".into(),
        _ => return None,
    })
}

const fn again(cause: Cause) -> &'static str {
    match cause {
        Cause::Timeout => "again, RTO",
        Cause::FastRetransmit => "again, fast",
        Cause::TailLossProbe => "again, probe",
        Cause::AlreadyAcknowledged => "again, acked",
        _ => "again",
    }
}

/// The label of a segment: flags, length, remark, options, first line.
pub(super) fn label(segment: &Segment, options: &Options) -> String {
    let mut parts = vec![flags(segment.flags)];
    if segment.len > 0 {
        let mut size = bytes(u64::from(segment.len));
        if segment.segments > 1 {
            size = format!("{size} in {}", thousands(u64::from(segment.segments)));
        }
        parts.push(size);
    }
    if segment.fate == Fate::Lost {
        parts.push("lost".into());
    }
    parts.extend(remark(segment));
    let is_repeat = matches!(segment.meaning, Meaning::Retransmission { .. });
    let offered = segment
        .options
        .as_deref()
        .filter(|_| !is_repeat)
        .map(syn_options);
    parts.extend(offered.filter(|words| !words.is_empty()));
    if let Some(hint) = segment.hint.as_ref().filter(|_| !is_repeat) {
        parts.push(cell::escaped(hint, !options.unicode).into_owned());
    }
    parts.join("  ")
}

/// The flags alone, for a remark about a segment drawn before.
pub(super) fn short(segment: &Segment) -> String {
    flags(segment.flags)
}

/// The label of a folded run in one direction.
pub(crate) fn folded(sent: &FoldedTotals) -> String {
    let mut label = count(sent.segments, "segment");
    if sent.bytes > 0 {
        label.push_str("  ");
        label.push_str(&bytes(sent.bytes));
    }
    if sent.retransmitted > 0 {
        label.push_str(&format!("  {} again", thousands(sent.retransmitted)));
    }
    if sent.lost > 0 {
        label.push_str(&format!("  {} lost", thousands(sent.lost)));
    }
    label
}
