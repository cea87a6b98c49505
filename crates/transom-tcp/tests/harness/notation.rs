//! Segments as text, in the manner of packet scripts.
//!
//! `FLAGS SEQ:END [ack N] [win N] [urg N] [<OPTION,…>]`
//!
//! Flags: `S` SYN, `F` FIN, `R` RST, `P` PSH, `E` ECE, `W` CWR, `A` AE, `U` URG, `.` ACK, `-` none. `SEQ:END` is the data; SYN
//! and FIN do not count in it. Options: `mss N`, `wscale N`, `sackOK`, `TS val N ecr N`, `nots`
//! (expected absent), `sack A:B C:D`, `ECN e0b N ceb N e1b N` in either order, `noECN`.

use transom_tcp::{Segment, Transmit};
use transom_wire::tcp::{AccEcn, AccEcnOrder, Flags, Options, SackBlocks, Timestamps};
use transom_wire::{Ecn, Seq, SeqRange};

use super::{start, stream};

/// A line, parsed. Numbers are relative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub flags: String,
    pub seq: i64,
    pub end: i64,
    pub ack: Option<i64>,
    pub win: Option<u16>,
    pub urg: Option<u16>,
    pub options: Vec<String>,
}

impl Line {
    pub fn parse(text: &str) -> Self {
        let (head, options) = match text.split_once('<') {
            Some((head, options)) => (head, options.trim_end_matches('>')),
            None => (text, ""),
        };
        let mut words = head.split_whitespace();
        let flags = words.next().expect("flags").to_owned();
        let (seq, end) = words
            .next()
            .and_then(|w| w.split_once(':'))
            .expect("SEQ:END");
        let mut line = Self {
            flags,
            seq: seq.parse().expect("SEQ"),
            end: end.parse().expect("END"),
            options: options
                .split(',')
                .map(|o| o.trim().to_owned())
                .filter(|o| !o.is_empty())
                .collect(),
            ..Self::default()
        };
        while let Some(word) = words.next() {
            let value = words
                .next()
                .unwrap_or_else(|| panic!("{word} needs a value in {text:?}"));
            match word {
                "ack" => line.ack = Some(value.parse().expect("ack")),
                "win" => line.win = Some(value.parse().expect("win")),
                "urg" => line.urg = Some(value.parse().expect("urg")),
                _ => panic!("unknown word {word} in {text:?}"),
            }
        }
        line
    }

    /// The segment that this line means, sent by a peer whose SYN is `from` to one whose is `to`.
    pub fn segment(&self, from: Seq, to: Seq, default_window: u16) -> Segment {
        let len = usize::try_from(self.end - self.seq).expect("END ≥ SEQ");
        let position = u64::try_from(self.seq.max(1) - 1).unwrap();
        Segment {
            seq: at(from, self.seq),
            ack: self.ack.map_or(Seq::new(0), |ack| at(to, ack)),
            flags: flags(&self.flags),
            window: self.win.unwrap_or(default_window),
            urgent: self.urg.unwrap_or(0),
            options: self.options(from, to),
            payload: stream(position, len),
            ecn: Ecn::NotEct,
            received: start(),
            gso_size: 0,
        }
    }

    fn options(&self, _from: Seq, to: Seq) -> Options {
        let mut options = Options::EMPTY;
        for option in &self.options {
            let words: Vec<&str> = option.split_whitespace().collect();
            match words.as_slice() {
                ["mss", value] => options.mss = Some(value.parse().unwrap()),
                ["wscale", value] => options.window_scale = Some(value.parse().unwrap()),
                ["sackOK"] => options.sack_permitted = true,
                ["TS", "val", val, "ecr", ecr] => {
                    options.timestamps = Some(Timestamps {
                        val: val.parse().unwrap(),
                        ecr: ecr.parse().unwrap(),
                    });
                }
                ["ECN", counters @ ..] => options.accecn = Some(accecn(counters)),
                ["sack", blocks @ ..] => {
                    for block in blocks {
                        let (start, end) = block.split_once(':').unwrap();
                        options.sack.push(SeqRange {
                            start: at(to, start.parse().unwrap()),
                            end: at(to, end.parse().unwrap()),
                        });
                    }
                }
                _ => panic!("unknown option {option:?}"),
            }
        }
        options
    }
}

/// A relative number as a sequence number.
pub fn at(base: Seq, relative: i64) -> Seq {
    Seq::new(base.raw().wrapping_add(relative as u32))
}

/// A sequence number as a relative one, between -2^31 and 2^31.
pub fn relative(base: Seq, seq: Seq) -> i64 {
    i64::from(seq.offset_from(base))
}

fn flags(text: &str) -> Flags {
    text.chars().fold(Flags::EMPTY, |flags, letter| {
        flags
            | match letter {
                'S' => Flags::SYN,
                'F' => Flags::FIN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                'E' => Flags::ECE,
                'W' => Flags::CWR,
                'A' => Flags::AE,
                'U' => Flags::URG,
                '.' => Flags::ACK,
                '-' => Flags::EMPTY,
                _ => panic!("unknown flag {letter}"),
            }
    })
}

fn flag_letters(flags: Flags) -> String {
    let letters = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::AE, 'A'),
        (Flags::URG, 'U'),
        (Flags::ACK, '.'),
    ];
    let text: String = letters
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, letter)| *letter)
        .collect();
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// Writes a transmitted segment as a full line. `from`: our SYN's number; `to`: the peer's.
pub fn show(transmit: &Transmit, from: Seq, to: Seq) -> String {
    let seq = if transmit.flags.contains(Flags::RST) && transmit.seq == Seq::new(0) {
        0
    } else {
        relative(from, transmit.seq)
    };
    let mut text = format!(
        "{} {}:{}",
        flag_letters(transmit.flags),
        seq,
        seq + transmit.payload.len() as i64
    );
    if transmit.flags.contains(Flags::ACK) {
        text += &format!(" ack {}", relative(to, transmit.ack));
    }
    text += &format!(" win {}", transmit.window);
    if transmit.flags.contains(Flags::URG) {
        text += &format!(" urg {}", transmit.urgent);
    }
    let options = option_words(&transmit.options, to);
    if !options.is_empty() {
        text += &format!(" <{}>", options.join(","));
    }
    text
}

fn option_words(options: &Options, to: Seq) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(options.mss.map(|mss| format!("mss {mss}")));
    words.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
    words.extend(
        options
            .timestamps
            .map(|ts| format!("TS val {} ecr {}", ts.val, ts.ecr)),
    );
    words.extend(options.accecn.as_ref().map(accecn_word));
    words.extend(options.window_scale.map(|shift| format!("wscale {shift}")));
    if !options.sack.is_empty() {
        words.push(sack_word(&options.sack, to));
    }
    words
}

/// `e0b N ceb N e1b N` or `e1b N ceb N e0b N`, or less.
fn accecn(words: &[&str]) -> AccEcn {
    let order = if words.first() == Some(&"e1b") {
        AccEcnOrder::One
    } else {
        AccEcnOrder::Zero
    };
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        Some(words[at + 1].parse::<u32>().unwrap())
    };
    let [e0b, ceb, e1b] = ["e0b", "ceb", "e1b"].map(|name| value(name).unwrap_or(0));
    AccEcn::new(order, words.len() / 2, e0b, ceb, e1b)
}

fn accecn_word(option: &AccEcn) -> String {
    let mut counters = [
        ("e0b", option.e0b()),
        ("ceb", option.ceb()),
        ("e1b", option.e1b()),
    ];
    if option.order() == AccEcnOrder::One {
        counters.reverse();
    }
    let present = counters
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!(" {name} {value}")));
    format!("ECN{}", present.collect::<String>())
}

fn sack_word(sack: &SackBlocks, to: Seq) -> String {
    let blocks: Vec<String> = sack
        .iter()
        .map(|block| format!("{}:{}", relative(to, block.start), relative(to, block.end)))
        .collect();
    format!("sack {}", blocks.join(" "))
}

/// Whether `transmit` is what `expected` says. Flags, data and acknowledgement always count; window,
/// urgent pointer and options only where they are written down.
pub fn matches(expected: &Line, transmit: &Transmit, from: Seq, to: Seq) -> bool {
    let actual = Line::parse(&show(transmit, from, to));
    let all_options_are_there = expected.options.iter().all(|wanted| match wanted.as_str() {
        "nots" => transmit.options.timestamps.is_none(),
        "nosack" => transmit.options.sack.is_empty(),
        "noECN" => transmit.options.accecn.is_none(),
        _ => actual.options.contains(wanted),
    });
    actual.flags == expected.flags
        && actual.seq == expected.seq
        && actual.end == expected.end
        && actual.ack == expected.ack
        && expected.win.is_none_or(|win| actual.win == Some(win))
        && expected.urg.is_none_or(|urg| actual.urg == Some(urg))
        && all_options_are_there
}
