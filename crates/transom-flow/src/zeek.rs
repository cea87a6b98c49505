//! The state and the history of a connection as Zeek's `conn.log` has them, so that programs which
//! read that log can read ours.
//!
//! Both follow from rules of their own, which see the control bits of each segment at the capture
//! point and nothing else; they differ on purpose from the states that [`Connection`] infers.

use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::model::{End, Ends};
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// Letters kept of a history; an attack can make it longer.
const HISTORY_MAX: usize = 40;

/// What an end did, as far as the log's rules care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    #[default]
    Inactive,
    SynSent,
    /// It sent a SYN,ACK without having been asked.
    SynAckSent,
    /// It was in a conversation when the capture began.
    Partial,
    Established,
    /// It sent a FIN.
    Closed,
    /// It sent a RST.
    Reset,
}

impl Stage {
    const fn is_absent(self) -> bool {
        matches!(self, Self::Inactive | Self::Partial)
    }
}

/// Letters that a direction has once only.
mod seen {
    pub(super) const SYN: u8 = 1;
    pub(super) const FIN: u8 = 1 << 1;
    pub(super) const RST: u8 = 1 << 2;
    pub(super) const DATA: u8 = 1 << 3;
    pub(super) const ACK: u8 = 1 << 4;
    pub(super) const INCONSISTENT: u8 = 1 << 5;
    pub(super) const MULTIPLE: u8 = 1 << 6;
}

/// One end.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    stage: Stage,
    previous: Stage,
    seen: u8,
    /// Numbers of the last SYN, FIN and RST.
    syn: Seq,
    fin: Seq,
    rst: Seq,
    /// The initial number, and the highest sent or acknowledged.
    start: Seq,
    last: Seq,
    /// Segments with data that was sent before, with a window of zero, and gaps.
    again: u32,
    zero: u32,
    gaps: u32,
}

impl Side {
    fn enter(&mut self, stage: Stage) {
        if stage != self.stage {
            self.previous = self.stage;
            self.stage = stage;
        }
    }

    /// Marks a letter as seen, and tells whether it was before.
    const fn mark(&mut self, letter: u8) -> bool {
        let was = self.seen & letter != 0;
        self.seen |= letter;
        was
    }

    /// Whether data lost here would be known: the end is in conversation, or left it with a FIN.
    fn is_clean(&self) -> bool {
        self.stage == Stage::Established
            || (self.stage == Stage::Closed && self.previous == Stage::Established)
    }
}

/// State and history under construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    sides: Ends<Side>,
    history: [u8; HISTORY_MAX],
    len: u8,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            sides: Ends::default(),
            history: [0; HISTORY_MAX],
            len: 0,
        }
    }
}

/// Whether the n-th time is worth a letter: the 1st, 10th, 100th…
const fn is_counted(n: u32) -> bool {
    let mut n = n;
    while n.is_multiple_of(10) && n > 0 {
        n /= 10;
    }
    n == 1
}

impl Log {
    fn push(&mut self, from: End, letter: u8) {
        let letter = if from == End::Client {
            letter
        } else {
            letter.to_ascii_lowercase()
        };
        if let Some(place) = self.history.get_mut(usize::from(self.len)) {
            *place = letter;
            self.len += 1;
        }
    }

    /// The direction of the first segment was turned round.
    pub(crate) fn flip(&mut self) {
        self.push(End::Client, b'^');
    }

    /// Adds a letter that stands once; or again, if its number differs from the last one's.
    fn once(&mut self, from: End, letter: u8, mark: u8, differs: bool) {
        if !self.sides[from].mark(mark) || differs {
            self.push(from, letter);
        }
    }

    /// Whether both ends are in conversation.
    pub(crate) fn is_open(&self) -> bool {
        let stages = [self.sides.client.stage, self.sides.server.stage];
        stages == [Stage::Established; 2]
    }

    /// Takes a segment with neither SYN, FIN nor RST while both ends are in conversation, with an open
    /// window, that acknowledges nothing that was not captured.
    pub(crate) fn plain(&mut self, from: End, segment: &Dissected<'_>) {
        self.letters(from, segment);
        self.repeats(from, segment, segment.seq + segment.len);
    }

    /// Takes a segment. `reveals_gap` tells that it acknowledges what was not captured.
    pub(crate) fn segment(&mut self, from: End, segment: &Dissected<'_>, reveals_gap: bool) {
        let flags = segment.flags;
        let has = |flag: Flags| flags.contains(flag);
        let control = u32::from(has(Flags::SYN)) + u32::from(has(Flags::FIN));
        let data = if has(Flags::RST) { 0 } else { segment.len };
        let end = segment.seq + control + data;
        let side = &mut self.sides[from];
        if has(Flags::SYN) && side.stage != Stage::Closed && side.stage != Stage::Reset {
            side.start = segment.seq;
            side.last = end;
        } else if side.stage == Stage::Inactive {
            side.start = segment.seq - 1;
            side.last = segment.seq;
        }
        self.letters(from, segment);
        let peer = from.other();
        let is_boring =
            self.sides[peer].stage == Stage::Closed || self.sides[from].stage == Stage::Reset;
        if segment.window == 0 && !has(Flags::RST) && !is_boring {
            self.sides[from].zero = self.sides[from].zero.saturating_add(1);
            if is_counted(self.sides[from].zero) {
                self.push(from, b'W');
            }
        }
        self.repeats(from, segment, end);
        self.advance(from, segment);
        if reveals_gap && self.sides[from].is_clean() && self.sides[peer].is_clean() {
            self.sides[peer].gaps = self.sides[peer].gaps.saturating_add(1);
            if is_counted(self.sides[peer].gaps) {
                self.push(peer, b'G');
            }
        }
    }

    fn letters(&mut self, from: End, segment: &Dissected<'_>) {
        let has = |flag: Flags| segment.flags.contains(flag);
        match (has(Flags::SYN), has(Flags::FIN), has(Flags::RST)) {
            (_, true, true) => self.once(from, b'I', seen::INCONSISTENT, false),
            (true, true, _) | (true, _, true) => self.once(from, b'Q', seen::MULTIPLE, false),
            (true, false, false) => {
                let letter = if segment.ack.is_some() { b'H' } else { b'S' };
                let differs = self.sides[from].syn != segment.seq;
                self.once(from, letter, seen::SYN, differs);
                self.sides[from].syn = segment.seq;
            }
            (false, true, false) => {
                let at = segment.seq + segment.len;
                self.once(from, b'F', seen::FIN, self.sides[from].fin != at);
                self.sides[from].fin = at;
            }
            (false, false, true) => {
                let differs = self.sides[from].rst != segment.seq;
                self.once(from, b'R', seen::RST, differs);
                self.sides[from].rst = segment.seq;
            }
            (false, false, false) if segment.len > 0 => self.once(from, b'D', seen::DATA, false),
            (false, false, false) if segment.ack.is_some() => {
                self.once(from, b'A', seen::ACK, false);
            }
            (false, false, false) => {}
        }
    }

    /// Data that ends no higher than what was sent before counts as sent again.
    fn repeats(&mut self, from: End, segment: &Dissected<'_>, end: Seq) {
        const TOO_FAR: u32 = 1 << 20;
        let side = &mut self.sides[from];
        let ahead = end.offset_from(side.last);
        let is_control = segment.flags.contains(Flags::SYN) || segment.flags.contains(Flags::RST);
        let is_lone_fin = segment.flags.contains(Flags::FIN) && side.last == side.start + 1;
        if is_control && ahead.unsigned_abs() > TOO_FAR {
            return;
        }
        if ahead > 0 || is_lone_fin {
            if side.stage != Stage::Reset {
                side.last = end;
            }
        } else if segment.len > 0 && side.stage != Stage::Reset {
            side.again = side.again.saturating_add(1);
            if is_counted(side.again) {
                self.push(from, b'T');
            }
        }
    }

    /// The stages that a segment leads to.
    fn advance(&mut self, from: End, segment: &Dissected<'_>) {
        let has = |flag: Flags| segment.flags.contains(flag);
        let peer = from.other();
        match self.sides[from].stage {
            Stage::Inactive => self.advance_first(from, segment),
            Stage::SynSent | Stage::SynAckSent => {
                if has(Flags::FIN) {
                    self.sides[from].enter(Stage::Closed);
                }
                if has(Flags::RST) {
                    self.sides[from].enter(Stage::Reset);
                }
            }
            Stage::Partial | Stage::Established => {
                let is_bare_syn = has(Flags::SYN) && segment.ack.is_none();
                if is_bare_syn
                    && self.sides[from].stage == Stage::Partial
                    && self.sides[peer].stage == Stage::Inactive
                {
                    self.sides[from].enter(Stage::SynSent);
                }
                if has(Flags::FIN) && !has(Flags::RST) {
                    self.sides[from].enter(Stage::Closed);
                    // FIN and then RST from the other end, and this FIN: a normal close after all.
                    let other = &mut self.sides[peer];
                    if other.stage == Stage::Reset && other.previous == Stage::Closed {
                        other.enter(Stage::Closed);
                    }
                }
                if has(Flags::RST) {
                    self.sides[from].enter(Stage::Reset);
                }
            }
            Stage::Closed => {
                if has(Flags::RST) && self.sides[peer].stage != Stage::Closed {
                    self.sides[from].enter(Stage::Reset);
                }
            }
            Stage::Reset => {}
        }
    }

    /// The stage after the first segment of an end.
    fn advance_first(&mut self, from: End, segment: &Dissected<'_>) {
        let has = |flag: Flags| segment.flags.contains(flag);
        let peer = from.other();
        if has(Flags::SYN) {
            if from == End::Client {
                self.sides[from].enter(if segment.ack.is_some() {
                    Stage::SynAckSent
                } else {
                    Stage::SynSent
                });
            } else {
                if self.sides[peer].stage == Stage::SynSent {
                    self.sides[peer].enter(Stage::Established);
                }
                self.sides[from].enter(Stage::Established);
            }
        }
        if has(Flags::FIN) {
            self.sides[from].enter(Stage::Closed);
        }
        if has(Flags::RST) {
            self.sides[from].enter(Stage::Reset);
        }
        if self.sides[from].stage != Stage::Inactive {
            return;
        }
        // Some answer a SYN with a bare ACK before they send their SYN.
        let is_early_ack =
            from == End::Server && segment.len == 0 && self.sides[peer].stage == Stage::SynSent;
        if is_early_ack {
            return;
        }
        let is_answer = segment.ack.is_some() && self.sides[peer].stage == Stage::Established;
        self.sides[from].enter(if is_answer {
            Stage::Established
        } else {
            Stage::Partial
        });
    }

    fn history(&self) -> &str {
        let letters = self.history.get(..usize::from(self.len)).unwrap_or(&[]);
        core::str::from_utf8(letters).unwrap_or("")
    }

    /// A SYN and later a RST of the client, with none of the letters between that tell of an answer
    /// to it.
    fn is_abandoned(&self) -> bool {
        let history = self.history();
        let history = history.strip_prefix('^').unwrap_or(history);
        let Some(rest) = history.strip_prefix('S') else {
            return false;
        };
        let before_reset = rest.split('R').next().unwrap_or("");
        rest.contains('R') && !before_reset.contains(['H', 'A', 'F', 'G', 'I', 'Q'])
    }

    /// The state; `has_data` tells that either end sent data.
    fn state(&self, has_data: bool) -> &'static str {
        let (orig, resp) = (self.sides.client.stage, self.sides.server.stage);
        match (orig, resp) {
            (Stage::SynSent | Stage::SynAckSent, Stage::Reset) => "REJ",
            (Stage::Reset, Stage::Reset) if !has_data => "REJ",
            (_, Stage::Reset) if orig.is_absent() => "RSTRH",
            (_, Stage::Reset) => "RSTR",
            (Stage::Reset, _) if !resp.is_absent() => "RSTO",
            (Stage::Reset, _) if self.is_abandoned() => "RSTOS0",
            (Stage::Closed, Stage::Closed) => "SF",
            (Stage::Closed, _) if resp.is_absent() => "SH",
            (Stage::Closed, _) => "S2",
            (_, Stage::Closed) if orig.is_absent() => "SHR",
            (_, Stage::Closed) => "S3",
            (Stage::SynSent, Stage::Inactive) => "S0",
            (Stage::Established, Stage::Established) => "S1",
            _ => "OTH",
        }
    }
}

impl Connection {
    /// The state of the connection as in Zeek's `conn.log`: `S0`, `S1`, `SF`, `REJ`, `S2`, `S3`,
    /// `RSTO`, `RSTR`, `RSTOS0`, `RSTRH`, `SH`, `SHR` or `OTH`.
    #[must_use]
    pub fn conn_state(&self) -> &'static str {
        let has_data = self.totals.client.extent > 0 || self.totals.server.extent > 0;
        self.log.state(has_data)
    }

    /// What happened, a letter each, as in Zeek's `conn.log`: `S` a SYN, `H` a SYN,ACK, `A` a bare
    /// ACK, `D` data, `F` a FIN, `R` a RST, `G` a gap, `T` data sent again, `W` a window of zero, `I`
    /// FIN with RST, `Q` SYN with FIN or RST; upper case from the client, lower case from the server;
    /// `^` first when the client did not send the first segment. `G`, `T` and `W` stand for the 1st,
    /// 10th, 100th… time.
    #[must_use]
    pub fn history(&self) -> &str {
        self.log.history()
    }
}
