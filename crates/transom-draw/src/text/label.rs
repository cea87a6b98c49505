//! What stands on an arrow.

use super::Options;
use super::cell;
use super::paint::Glyphs;
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

/// The options of a SYN: `tfo cookie mss 1460 sack ts ws 7`.
pub(crate) fn syn_options(options: &TcpOptions) -> String {
    let mut words = Vec::new();
    if let Some(fast_open) = fast_open(options) {
        words.push(format!("tfo {fast_open}"));
    }
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

/// What a Fast Open option is: the `request` of a cookie, or a `cookie`.
pub(crate) fn fast_open(options: &TcpOptions) -> Option<&'static str> {
    Some(match options.fast_open?.is_request() {
        true => "request",
        false => "cookie",
    })
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

/// What a label is made with, besides the segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling<'a> {
    pub(super) options: &'a Options,
    pub(super) glyphs: &'a Glyphs,
    /// The drawing tells the numbers of frames.
    pub(super) has_frames: bool,
    /// It was sent again, so it seems to be lost.
    pub(super) is_doubtful: bool,
    /// The largest window that its sender advertised.
    pub(super) window_max: u32,
}

/// A label in parts: how much there is, and what it is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Label {
    flags: String,
    /// Sequence numbers and length.
    extent: Vec<String>,
    /// What the segment is for, and what became of it.
    remarks: Vec<String>,
    /// What else it carries.
    rest: Vec<String>,
}

impl Label {
    /// Words without parts.
    pub(super) fn words(words: String) -> Self {
        Self {
            flags: words,
            ..Self::default()
        }
    }

    /// The label in at most so many columns: with single blanks if it does not fit, and cut if that
    /// is not enough; then what the segment is about comes before how much there is.
    pub(super) fn fitted(&self, columns: usize, more: &str) -> String {
        let joined = |parts: [&[String]; 4], blanks: &str| parts.concat().join(blanks);
        let flags = std::slice::from_ref(&self.flags);
        let natural = [flags, &self.extent, &self.remarks, &self.rest];
        for blanks in ["  ", " "] {
            let label = joined(natural, blanks);
            if cell::width(&label) <= columns {
                return label;
            }
        }
        let urgent = joined([flags, &self.remarks, &self.extent, &self.rest], " ");
        cell::cut(&urgent, columns, more).into_owned()
    }
}

/// The label of a segment: flags, numbers, length, remarks, options, first line.
pub(super) fn label(segment: &Segment, telling: &Telling<'_>) -> Label {
    let options = telling.options;
    let mut label = Label::words(flags(segment.flags));
    if options.sequence {
        label.extent.extend(numbers(segment, telling.glyphs));
    }
    if segment.len > 0 {
        let mut size = bytes(u64::from(segment.len));
        if segment.segments > 1 {
            size = format!("{size} in {}", thousands(u64::from(segment.segments)));
        }
        label.extent.push(size);
    }
    if segment.fate == Fate::Lost {
        label.remarks.push("lost".into());
    } else if telling.is_doubtful {
        label.remarks.push("lost?".into());
    }
    match segment.meaning {
        Meaning::Retransmission {
            cause,
            original: Some(original),
        } if telling.has_frames => label.remarks.push(again_of(cause, original)),
        _ => label.remarks.extend(remark(segment)),
    }
    label.rest.extend(sack(segment, telling.glyphs));
    let is_repeat = matches!(segment.meaning, Meaning::Retransmission { .. });
    let offered = segment
        .options
        .as_deref()
        .filter(|_| !is_repeat)
        .map(syn_options);
    label.rest.extend(offered.filter(|words| !words.is_empty()));
    // A reset's window says nothing, and a SYN's is not scaled as the others are.
    if options.windows && !segment.flags.intersects(Flags::RST | Flags::SYN) {
        label.rest.push(window_bar(segment.window, telling));
    }
    if let Some(hint) = segment.hint.as_ref().filter(|_| !is_repeat) {
        let hint = cell::escaped(hint, !options.unicode);
        label.rest.push(hint.into_owned());
    }
    label
}

/// `again #5, RTO`: which frame carried it first, and why it was sent again.
fn again_of(cause: Cause, original: u64) -> String {
    match again(cause).split_once(", ") {
        Some((_, why)) => format!("again #{original}, {why}"),
        None => format!("again #{original}"),
    }
}

/// `seq 1–1449` of a segment that takes sequence numbers, `ack 1449` of another.
fn numbers(segment: &Segment, glyphs: &Glyphs) -> Option<String> {
    let len = segment.sequence_len();
    if len == 0 {
        return Some(format!("ack {}", segment.relative_ack?));
    }
    let (start, end) = (segment.relative_seq, segment.relative_seq.wrapping_add(len));
    Some(format!("seq {start}{}{end}", glyphs.range))
}

/// `sack 2001–3001`: what a receiver has beyond a gap; `dsack`, what it has twice (RFC 2883).
fn sack(segment: &Segment, glyphs: &Glyphs) -> Option<String> {
    let ack = segment.relative_ack?;
    let mut text = String::new();
    for (at, (start, end)) in segment.relative_sack().enumerate() {
        let is_repeat = at == 0 && end <= ack;
        text.push_str(match (at, is_repeat) {
            (0, true) => "dsack ",
            (0, false) => "sack ",
            _ => " ",
        });
        text.push_str(&format!("{start}{}{end}", glyphs.range));
    }
    (!text.is_empty()).then_some(text)
}

/// `███░░ 38 KiB`: the window, and how much of the largest one that is.
fn window_bar(window: u32, telling: &Telling<'_>) -> String {
    const CELLS: u64 = 5;
    let most = u64::from(telling.window_max.max(window).max(1));
    let full = (u64::from(window) * CELLS).div_ceil(most);
    let bar: String = (0..CELLS)
        .map(|cell| {
            if cell < full {
                telling.glyphs.full
            } else {
                telling.glyphs.empty
            }
        })
        .collect();
    format!("{bar} {}", bytes(u64::from(window)))
}

/// The flags alone, for a remark about a segment drawn before.
pub(super) fn short(segment: &Segment) -> String {
    flags(segment.flags)
}

/// The label of a folded run in one direction: `… 1,024 segments, 1.4 MiB, 3 retransmitted …`.
pub(super) fn folded_run(sent: &FoldedTotals, glyphs: &Glyphs) -> String {
    format!("{more} {} {more}", folded(sent), more = glyphs.more)
}

/// What a folded run holds in one direction: `1,024 segments, 1.4 MiB, 3 retransmitted`.
pub(crate) fn folded(sent: &FoldedTotals) -> String {
    let mut words = count(sent.segments, "segment");
    if sent.bytes > 0 {
        words.push_str(&format!(", {}", bytes(sent.bytes)));
    }
    if sent.retransmitted > 0 {
        words.push_str(&format!(
            ", {} retransmitted",
            thousands(sent.retransmitted)
        ));
    }
    if sent.lost > 0 {
        words.push_str(&format!(", {} lost", thousands(sent.lost)));
    }
    words
}
